"""The way out of a network namespace: the handover of a listener, and real programs behind it."""

from __future__ import annotations

import array
import asyncio
import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from core.agent.egress import listener as listener_script
from core.agent.egress.hand_over import BadHandover, HandoverPoint, receive_listener
from core.agent.egress.proxy import EgressProxy
from core.domain.reach.network import NetworkPolicy
from core.domain.runs.event import HostRefused
from tests.egress_harness import LOCAL_HOSTS, NO_MODEL, open_origin
from tests.limits import limit
from tests.namespaces import can_unshare

LIMIT = timedelta(seconds=60)
# What `launch.py` does: hand over, then become a program that knows the proxy.
LAUNCHER = """
import fcntl, importlib.util, os, socket, struct, sys
with socket.socket() as handle:
    # SIOCSIFFLAGS: the loopback interface, up and running.
    fcntl.ioctl(handle, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))
spec = importlib.util.spec_from_file_location("listener", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
port = module.hand_over_listener(sys.argv[2])
environment = module.proxied_environment(dict(os.environ), port)
os.execvpe(sys.argv[3], sys.argv[3:], environment)
"""
needs_namespaces = pytest.mark.skipif(not can_unshare("--net"), reason="needs network namespaces")


@asynccontextmanager
async def run_inside(
    folder: Path, policy: NetworkPolicy, *command: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[HostRefused]]]:
    """A program in its own network namespace, whose only way out is a proxy of this process."""
    refused: list[HostRefused] = []
    point = HandoverPoint(folder / "listener")
    point.open()
    environment = {"PATH": os.defpath + ":/usr/local/bin", "NO_PROXY": "*", "HOME": str(folder)}
    async with EgressProxy(
        "run_0a1b2c3d4e5f",
        policy,
        model=NO_MODEL,
        on_refused=refused.append,
        resolve=LOCAL_HOSTS,
    ) as proxy:
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--net", sys.executable, "-I", "-S", "-c", LAUNCHER),
            *(str(listener_script.__file__), str(point.path), *command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            proxy.serve(await point.receive(LIMIT))
            yield process, refused
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def output_of(process: asyncio.subprocess.Process) -> str:
    async with limit(LIMIT.total_seconds()):
        return (await process.communicate())[0].decode()


@needs_namespaces
async def test_a_program_inside_reaches_what_is_listed_and_nothing_else(tmp_path: Path) -> None:
    async with open_origin() as origin:
        listed, other = f"api.example.test:{origin.port}", f"evil.test:{origin.port}"
        script = (
            f"curl -s http://{listed}/; echo; curl -s http://{other}/; "
            f"curl -s --noproxy '*' http://127.0.0.1:{origin.port}/ || echo direct: $?"
        )
        policy = NetworkPolicy.parse([listed])
        async with run_inside(tmp_path, policy, "sh", "-c", script) as (process, refused):
            lines = (await output_of(process)).splitlines()

        assert lines[0] == "hello"
        assert lines[1].startswith(f"Signalbox refuses {other}")
        # 7: curl found nobody at that port, because the loopback inside is another one.
        assert lines[2] == "direct: 7"
        assert refused == [HostRefused(host="evil.test", port=origin.port)]
        assert len(origin.received) == 1


@needs_namespaces
async def test_git_inside_learns_that_its_host_is_refused(tmp_path: Path) -> None:
    policy = NetworkPolicy.parse("none")
    command = ("git", "ls-remote", "https://github.test/acme/app")
    async with run_inside(tmp_path, policy, *command) as (process, refused):
        said = await output_of(process)

    assert "403" in said
    assert refused == [HostRefused(host="github.test", port=443)]


async def test_the_listener_arrives_and_the_file_is_private_and_goes(tmp_path: Path) -> None:
    # Longer than a socket's address may be.
    folder = tmp_path / ("deep" * 20) / ("er" * 40)
    folder.mkdir(parents=True)
    point = HandoverPoint(folder / "listener")
    point.open()
    assert stat.S_IMODE(point.path.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(point.path.stat().st_mode)

    giving = asyncio.to_thread(listener_script.hand_over_listener, str(point.path))
    port, received = await asyncio.gather(giving, point.receive(LIMIT))

    with received:
        assert received.getsockname() == ("127.0.0.1", port)
        assert not point.path.exists()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
    with pytest.raises(ConnectionError):
        # No other process holds it.
        await asyncio.open_connection("127.0.0.1", port)


async def test_without_a_handover_the_wait_ends_and_the_file_goes(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        await receive_listener(tmp_path / "listener", timedelta(milliseconds=50))

    assert not (tmp_path / "listener").exists()


def udp() -> list[socket.socket]:
    return [socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]


def unbound() -> list[socket.socket]:
    return [socket.socket(socket.AF_INET, socket.SOCK_STREAM)]


def everywhere() -> list[socket.socket]:
    return [socket.create_server(("0.0.0.0", 0))]


def two() -> list[socket.socket]:
    return [socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))]


def unix() -> list[socket.socket]:
    return [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)]


def nothing() -> list[socket.socket]:
    return []


@pytest.mark.parametrize("make", [udp, unbound, everywhere, two, unix, nothing])
async def test_anything_but_one_listening_socket_is_refused(tmp_path: Path, make: object) -> None:
    assert callable(make)
    sockets: list[socket.socket] = make()
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - descriptors, not paths

    def send() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.connect(str(tmp_path / "listener"))
            numbers = array.array("i", [one.fileno() for one in sockets])
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)] if sockets else []
            channel.sendmsg([b"L"], rights)

    point = HandoverPoint(tmp_path / "listener")
    point.open()
    sending = asyncio.create_task(asyncio.to_thread(send))
    with pytest.raises(BadHandover):
        await point.receive(LIMIT)

    await sending
    for one in sockets:
        one.close()
    assert not (tmp_path / "listener").exists()
    # What was received is closed as well.
    after = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 (as above)
    assert after <= before


def test_programs_are_given_the_proxy_in_both_cases_and_no_exceptions() -> None:
    environment = listener_script.proxied_environment(
        {"PATH": "/bin", "NO_PROXY": "*", "no_proxy": "localhost", "https_proxy": "http://old"}, 99
    )

    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    both = {*names, *(name.lower() for name in names)}
    assert environment == {"PATH": "/bin", **dict.fromkeys(both, "http://127.0.0.1:99")}
