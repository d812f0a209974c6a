"""Real trees of processes, each with a cookie of its own, ended with proof."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from core.agent import census
from core.agent.process import COOKIE, SITE, Tree, end_tree, find_tree, identify, runs_here, sweep
from core.domain.errors import Unavailable
from core.domain.termination import Phase, ProcessIdentity, Proof

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the trees are Linux's"
)

QUICK = timedelta(seconds=0.3)

# Each prints "ready" once its tree stands.
COOPERATIVE = "sleep 60 & echo ready; wait"
ESCAPED = "setsid sleep 61 & sleep 0.1; echo ready; wait"
STUBBORN = (
    "trap '' TERM INT HUP; bash -c 'trap \"\" TERM; sleep 62 & wait' & echo ready; wait; wait"
)
ORPHANED = "(setsid sleep 63 &) ; sleep 0.1; echo ready; exec sleep 60"
# A session of its own, orphaned, and without the cookie.
NAMELESS = "(env -i setsid sleep 64 &) ; sleep 0.1; echo ready; exec sleep 60"
FORKING = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
        os._exit(0)
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pass
    time.sleep(0.005)
"""
# Each link forks the next and dies at once: nothing ever stands still.
CHAIN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    if os.fork() != 0:
        time.sleep(0.002)
        os._exit(0)
    os.setsid()
"""


class Started:
    """A tree that a test started."""

    def __init__(self, cookie: str, process: subprocess.Popen[bytes]) -> None:
        self.cookie = cookie
        self.process = process
        root = identify(process.pid)
        assert root is not None
        self.root = root


@contextmanager
def started(*command: str, site: str = "", reaps: bool = False) -> Iterator[Started]:
    cookie = f"run_{uuid.uuid4().hex[:12]}"
    environment = {"PATH": os.environ["PATH"], COOKIE: cookie, SITE: site}
    wrapped = (sys.executable, "-c", REAPING, *command) if reaps else command
    with subprocess.Popen(
        wrapped, env=environment, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        root = identify(process.pid)
        try:
            assert process.stdout.readline() == b"ready\n"
            yield Started(cookie, process)
        finally:
            for one in find_tree(cookie, root):
                census.send_signal(one, signal.SIGKILL)


def command_line(one: ProcessIdentity) -> str:
    with suppress(OSError):
        return Path(f"/proc/{one.pid}/cmdline").read_text().replace("\0", " ")
    return ""


# What is orphaned below stays below, as `launch.py` has it; and is buried here, for not
# every container's first process does that.
REAPING = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
if os.fork() == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


async def gone(process: ProcessIdentity) -> None:
    async with asyncio.timeout(5):
        while identify(process.pid) == process:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


class Phases:
    """Hears of phases, and looks at what lives at that moment."""

    def __init__(self) -> None:
        self.heard: list[Phase] = []
        self.proofs: list[Proof] = []

    async def __call__(self, phase: Phase, proof: Proof) -> None:
        self.heard.append(phase)
        self.proofs.append(proof)


async def test_an_identity_is_pid_and_start_and_gone_with_the_process() -> None:
    with started("bash", "-c", COOPERATIVE) as tree:
        assert identify(tree.root.pid) == tree.root
        tree.process.kill()

        # A zombie, since nobody has waited for it yet; dead all the same.
        await gone(tree.root)
        assert Path(f"/proc/{tree.root.pid}").exists()  # noqa: ASYNC240 - not on a disk


async def test_a_signal_reaches_only_the_process_that_was_meant() -> None:
    with started("bash", "-c", COOPERATIVE) as tree:
        another = ProcessIdentity(pid=tree.root.pid, started_ticks=tree.root.started_ticks - 1)

        assert not census.send_signal(another, signal.SIGKILL)
        assert identify(tree.root.pid) == tree.root
        assert census.send_signal(tree.root, signal.SIGKILL)


async def test_a_signal_to_a_dead_process_reaches_nobody() -> None:
    with started("bash", "-c", COOPERATIVE) as tree:
        root = tree.root
        await end_tree(cookie=tree.cookie, root=root)
        tree.process.wait(5)

        assert not census.send_signal(root, signal.SIGTERM)


@pytest.mark.parametrize(
    ("script", "sleeper"),
    [(COOPERATIVE, "60"), (ESCAPED, "61"), (STUBBORN, "62"), (ORPHANED, "63")],
)
async def test_every_process_with_the_cookie_is_found(script: str, sleeper: str) -> None:
    with started("bash", "-c", script) as tree:
        async with asyncio.timeout(5):
            # The child exists before it executes its program.
            while sleeper not in " ".join(map(command_line, find_tree(tree.cookie, None))):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        assert tree.root in find_tree(tree.cookie, None)


async def test_another_runs_processes_are_not_found() -> None:
    with started("bash", "-c", COOPERATIVE) as one, started("bash", "-c", ESCAPED) as other:
        ours = {found.pid for found in find_tree(one.cookie, one.root)}
        theirs = {found.pid for found in find_tree(other.cookie, other.root)}

        assert not ours & theirs
        assert os.getpid() not in ours


async def test_an_orphan_without_the_cookie_stays_in_a_reapers_tree() -> None:
    with started("bash", "-c", NAMELESS, reaps=True) as tree:
        proof = await end_tree(cookie=tree.cookie, root=tree.root)

        assert proof.is_confirmed
        assert [one.name for one in proof.seen].count("sleep") == 2


async def test_a_session_once_met_is_known_after_its_head_is_gone() -> None:
    # The child of a session's dead head, orphaned and without the cookie.
    script = "setsid bash -c 'env -i sleep 65 & echo ready; sleep 60' & wait"
    with started("bash", "-c", script) as tree:
        known = Tree(tree.cookie, tree.root)
        living = known.look()
        for one in living:
            if "sleep 65" not in command_line(one) or one.name == "bash":
                census.send_signal(one, signal.SIGKILL)
        await gone(tree.root)
        assert find_tree(tree.cookie, None) == ()

        proof = await end_tree(cookie=tree.cookie, root=tree.root, known=known)

        assert proof.is_confirmed
        assert all(identify(one.pid) != one for one in living)


async def test_a_cooperative_tree_ends_by_sigterm() -> None:
    phases = Phases()
    with started("bash", "-c", COOPERATIVE) as tree:
        began = time.monotonic()

        proof = await end_tree(cookie=tree.cookie, root=tree.root, on_phase=phases)

        assert time.monotonic() - began < 3
        assert proof.is_confirmed
        assert len(proof.seen) == 2
        assert phases.heard == [Phase.TERMINATED]
        assert find_tree(tree.cookie, tree.root) == ()


@pytest.mark.parametrize(
    "command",
    [
        ("bash", "-c", ESCAPED),
        ("bash", "-c", STUBBORN),
        ("bash", "-c", ORPHANED),
        (sys.executable, "-c", FORKING),
        (sys.executable, "-c", CHAIN),
    ],
    ids=["escaped", "stubborn", "orphaned", "forking", "chain"],
)
async def test_no_hostile_tree_survives(command: tuple[str, ...]) -> None:
    phases = Phases()
    with started(*command, reaps=True) as tree:
        began = time.monotonic()

        proof = await end_tree(
            cookie=tree.cookie, root=tree.root, on_phase=phases, terminate_grace=QUICK
        )

        assert time.monotonic() - began < 3
        assert proof.is_confirmed
        assert phases.heard in ([Phase.TERMINATED], [Phase.TERMINATED, Phase.KILLED])
        assert find_tree(tree.cookie, None) == ()
        assert all(identify(one.pid) != one for one in proof.seen)


async def test_a_stopped_tree_is_ended() -> None:
    with started("bash", "-c", COOPERATIVE) as tree:
        tree.process.send_signal(signal.SIGSTOP)

        proof = await end_tree(cookie=tree.cookie, root=tree.root, terminate_grace=QUICK)

        assert proof.is_confirmed


async def test_the_ladder_climbs_in_order_and_tells_before_it_acts() -> None:
    phases = Phases()
    asked: list[str] = []
    with started("bash", "-c", STUBBORN) as tree:

        async def interrupt() -> None:
            asked.append("interrupt")
            assert phases.heard == [Phase.INTERRUPTED]
            await asyncio.sleep(60)

        proof = await end_tree(
            cookie=tree.cookie,
            root=tree.root,
            interrupt=interrupt,
            has_ended=lambda: False,
            on_phase=phases,
            interrupt_grace=QUICK,
            terminate_grace=QUICK,
        )

        assert proof.is_confirmed
        assert asked == ["interrupt"]
        assert phases.heard == [Phase.INTERRUPTED, Phase.TERMINATED, Phase.KILLED]
        assert all(told.survivors for told in phases.proofs)


async def test_an_agent_that_has_ended_is_not_waited_for() -> None:
    has_ended = False

    async def interrupt() -> None:
        nonlocal has_ended
        has_ended = True

    with started("bash", "-c", COOPERATIVE) as tree:
        began = time.monotonic()

        proof = await end_tree(
            cookie=tree.cookie, root=tree.root, interrupt=interrupt, has_ended=lambda: has_ended
        )

        assert proof.is_confirmed
        assert time.monotonic() - began < 3


async def test_a_tree_that_ends_by_the_interrupt_is_not_signalled() -> None:
    phases = Phases()
    with started("bash", "-c", COOPERATIVE) as tree:

        async def interrupt() -> None:
            for one in find_tree(tree.cookie, tree.root):
                census.send_signal(one, signal.SIGKILL)

        proof = await end_tree(
            cookie=tree.cookie, root=tree.root, interrupt=interrupt, on_phase=phases
        )

        assert proof.is_confirmed
        assert phases.heard == [Phase.INTERRUPTED]


async def test_force_leaves_the_interrupt_out() -> None:
    phases = Phases()

    async def interrupt() -> None:
        pytest.fail("nobody is asked")

    with started("bash", "-c", COOPERATIVE) as tree:
        proof = await end_tree(
            cookie=tree.cookie, root=tree.root, interrupt=interrupt, force=True, on_phase=phases
        )

        assert proof.is_confirmed
        assert phases.heard == [Phase.TERMINATED]


async def _fail(phase: Phase, proof: Proof) -> None:
    raise Unavailable("no database", user_message="")


async def _hang(phase: Phase, proof: Proof) -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("on_phase", [_fail, _hang])
async def test_a_phase_that_cannot_be_recorded_stops_no_kill(
    on_phase: Callable[[Phase, Proof], Awaitable[None]],
) -> None:
    with started("bash", "-c", COOPERATIVE) as tree:
        proof = await end_tree(cookie=tree.cookie, root=tree.root, on_phase=on_phase)

        assert proof.is_confirmed


async def test_an_interrupt_that_fails_stops_no_kill() -> None:
    async def interrupt() -> None:
        raise BrokenPipeError

    with started("bash", "-c", COOPERATIVE) as tree:
        proof = await end_tree(
            cookie=tree.cookie, root=tree.root, interrupt=interrupt, interrupt_grace=QUICK
        )

        assert proof.is_confirmed


async def test_nothing_is_a_tree_that_is_gone() -> None:
    phases = Phases()

    proof = await end_tree(cookie="run_000000000000", root=None, on_phase=phases)

    assert proof == Proof()
    assert phases.heard == []


async def test_a_sweep_ends_what_is_not_live_and_leaves_the_rest() -> None:
    site = uuid.uuid4().hex
    with (
        started("bash", "-c", ESCAPED, site=site) as lost,
        started("bash", "-c", COOPERATIVE, site=site) as live,
        started("bash", "-c", COOPERATIVE, site="another") as foreign,
    ):
        assert runs_here(site=site) == {lost.cookie, live.cookie}

        proofs = await sweep({live.cookie}, site=site)

        assert set(proofs) == {lost.cookie}
        assert proofs[lost.cookie].is_confirmed
        assert find_tree(lost.cookie, None) == ()
        assert identify(live.root.pid) == live.root
        assert identify(foreign.root.pid) == foreign.root


async def test_a_sweep_leaves_what_started_after_it_was_decided() -> None:
    site = uuid.uuid4().hex
    seen = runs_here(site=site)
    with started("bash", "-c", COOPERATIVE, site=site) as later:
        assert await sweep((), site=site, among=seen) == {}
        assert identify(later.root.pid) == later.root


async def test_where_there_is_no_proc_the_same_is_seen_by_other_means() -> None:
    with started("bash", "-c", ESCAPED) as tree:
        here = {one.pid: one for one in census._proc_residents()}
        there = {one.pid: one for one in census._psutil_residents()}

        for pid in (tree.root.pid, os.getpid()):
            assert there[pid].parent == here[pid].parent
            assert there[pid].session == here[pid].session
            assert there[pid].name == here[pid].name
