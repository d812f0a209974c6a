"""What programs in bubblewrap's namespaces see of a machine that changes, and which tools work."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from core.agent.process.current_view import CurrentView
from core.agent.process.isolation import AgentView, Isolation
from core.agent.process.system_view import SystemView, find_system_view
from tests.isolation import isolation
from tests.limits import patient
from tests.search_path import FULL_VARIABLE

pytestmark = pytest.mark.any_speed

_LIMIT_SECONDS = patient(60)


def seeing(system: SystemView) -> Isolation:
    """The isolation of this machine with another view of it."""
    return replace(isolation(), system=CurrentView(lambda *, limit: system), has_system_git=False)


def view_of(folder: Path, *search_path: Path) -> SystemView:
    """What is seen of this machine with a `PATH` that begins with these directories."""
    return find_system_view(
        search_path=":".join((*map(str, search_path), os.defpath)),
        homes=[folder / "home"],
        hidden=folder / "signalbox",
        limit=timedelta(minutes=1),
    )


def confined(isolated: Isolation, *command: str | Path, path: str = os.defpath) -> str:
    """The output of a command that sees what every agent sees, and no workspace."""
    return output_of([*isolated.confine([]), *map(str, command)], path)


def as_agent(isolated: Isolation, folder: Path, *command: str, has_network: bool = True) -> str:
    """The output of a command in a workspace like an agent's."""
    state = folder / "state"
    workspace = folder / "workspace"
    for path in (state / "tmp", workspace):
        path.mkdir(parents=True, exist_ok=True)
    view = AgentView(
        workspace=workspace,
        state_dir=state,
        tmp_dir=state / "tmp",
        home=state / "home",
        has_network=has_network,
    )
    arguments = isolated.agent_arguments(view)
    return output_of([isolated.program, *arguments, "--remount-ro", "/", "--", *command])


def output_of(command: list[str], path: str = os.defpath) -> str:
    done = subprocess.run(
        command,
        env={"PATH": path, "HOME": "/nonexistent"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    return done.stdout.decode()


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An application with private files in and beside its directory of programs."""
    folder = tmp_path / "app"
    (folder / "bin").mkdir(parents=True)
    for name in (".env", "bin/token", "bin/swap"):
        (folder / name).write_text("a secret\n")
        (folder / name).chmod(0o600)
    (folder / "bin" / "closed").mkdir(mode=0o700)
    (folder / "bin" / "closed" / "file").write_text("a secret\n")
    (folder / "bin" / "tool").write_text("#!/bin/sh\ncat $1\n")
    (folder / "bin" / "tool").chmod(0o755)
    for path in (folder, folder / "bin"):
        path.chmod(0o755)
    return folder


def test_private_files_of_an_application_on_the_path_are_not_seen(
    app: Path, tmp_path: Path
) -> None:
    isolated = seeing(view_of(tmp_path, app / "bin"))

    assert confined(isolated, app / "bin" / "tool", "/dev/null") == ""
    for secret in (".env", "bin/token", "bin/closed/file"):
        said = confined(isolated, app / "bin" / "tool", app / secret)
        assert "secret" not in said
        assert "cat: " in said


@pytest.mark.parametrize("becomes", ["nothing", "another kind", "a link"])
def test_agents_start_after_a_masked_path_is_gone(app: Path, tmp_path: Path, becomes: str) -> None:
    isolated = seeing(view_of(tmp_path, app / "bin"))
    swap, closed = app / "bin" / "swap", app / "bin" / "closed"
    swap.unlink()
    shutil.rmtree(closed)
    if becomes == "another kind":
        swap.mkdir()
        (swap / "file").write_text("a secret")
        closed.write_text("a secret")
    elif becomes == "a link":
        swap.symlink_to("token")
        closed.symlink_to("/etc")

    assert as_agent(isolated, tmp_path, "echo", "started") == "started\n"
    assert confined(isolated, app / "bin" / "tool", "/dev/null") == ""
    for path in (swap, swap / "file", closed):
        assert "secret" not in confined(isolated, app / "bin" / "tool", path)


def test_a_private_socket_cannot_be_connected_to(app: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(app / "bin" / "socket"))
        server.listen()
        (app / "bin" / "socket").chmod(0o755)
        isolated = seeing(view_of(tmp_path, app / "bin"))
        script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        python = os.path.realpath(sys.executable)

        said = confined(isolated, python, "-I", "-S", "-c", script, app / "bin" / "socket")

    assert "ConnectionRefusedError" in said or "PermissionError" in said


@pytest.mark.parametrize("has_network", [True, False])
def test_abstract_sockets_of_the_machine_belong_to_its_network(
    tmp_path: Path, *, has_network: bool
) -> None:
    address = f"\0signalbox-test-{os.getpid()}"
    script = "import socket, sys; socket.socket(socket.AF_UNIX).connect('\\0' + sys.argv[1])"
    python = os.path.realpath(sys.executable)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()

        said = as_agent(
            isolation(),
            tmp_path,
            *(python, "-I", "-S", "-c", script, address[1:]),
            has_network=has_network,
        )

    assert ("ConnectionRefusedError" in said) is not has_network, said


def test_programs_in_a_masked_directory_are_seen_and_what_is_beside_them_is_not(
    app: Path, tmp_path: Path
) -> None:
    system = view_of(tmp_path, app / "bin")
    # As if the application were in `/opt`, in a directory that only a group may enter.
    masked = replace(system, directories=(*system.directories, str(app)), masked=(str(app),))

    isolated = seeing(masked)

    assert confined(isolated, app / "bin" / "tool", "/dev/null") == ""
    assert "secret" not in confined(isolated, app / "bin" / "tool", app / ".env")
    assert "secret" not in confined(isolated, app / "bin" / "tool", app / "bin" / "token")


def _toolchains(folder: Path) -> Iterator[tuple[str, Path, tuple[str, ...]]]:
    """Toolchains as they are installed here or could be: a directory, and what to try in it."""
    venv = folder / "venv"
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(venv)), check=True)
    check = "import sys, ssl, sysconfig; assert sys.prefix != sys.base_prefix; print(sys.prefix)"
    yield str(venv), venv / "bin", ("python", "-I", "-c", check)
    yield "Signalbox", Path(sys.prefix) / "bin", ("python", "-I", "-c", "import ssl, pydantic")
    node = shutil.which("node")
    if node is not None:
        version = folder / ".nvm" / "versions" / "node" / "v1"
        (version / "bin").mkdir(parents=True)
        shutil.copy2(os.path.realpath(node), version / "bin" / "node")
        module = version / "lib" / "node_modules" / "tool"
        module.mkdir(parents=True)
        (module / "cli.js").write_text("#!/usr/bin/env node\nconsole.log('from node')\n")
        (module / "cli.js").chmod(0o755)
        (version / "bin" / "tool").symlink_to("../lib/node_modules/tool/cli.js")
        yield "from node", version / "bin", ("tool",)
    pyenv = shutil.which("pyenv", path=os.environ[FULL_VARIABLE])
    if pyenv is not None:
        root = Path(pyenv).resolve().parents[1]
        if (root / "shims" / "python3").exists():
            yield "Python 3", root / "shims", ("python3", "--version")
    go = shutil.which("go", path=os.environ[FULL_VARIABLE])
    if go is not None:
        yield "go version", Path(go).parent, ("go", "version")


def test_ordinary_toolchains_work(tmp_path: Path) -> None:
    for expected, directory, command in _toolchains(tmp_path):
        isolated = seeing(view_of(tmp_path, directory))
        path = f"{directory}:{os.defpath}"

        said = confined(isolated, *command, path=path)

        if expected == "Signalbox":
            assert said == ""
        else:
            assert expected in said, (directory, said)


def test_the_private_files_of_this_machine_are_masked(tmp_path: Path) -> None:
    system = view_of(tmp_path)
    isolated = seeing(system)

    files = [path for path in system.masked if Path(path).is_file()]
    assert "/etc/shadow" in files
    for path in files:
        assert confined(isolated, "cat", path).startswith("cat: ")
