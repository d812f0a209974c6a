"""Which processes are found by marker and by descent, and which a sweep ends."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from pathlib import Path

import pytest

from core.agent.process import process_table
from core.agent.process.ladder import end_tree
from core.agent.process.orphans import run_ids_on_machine, sweep_orphans
from core.agent.process.process_table import identify
from core.agent.process.process_tree import ProcessTree, find_run_processes
from core.domain.kills.termination import ProcessIdentity
from tests.limits import limit
from tests.unit.process_trees import (
    COOPERATIVE,
    ESCAPED,
    ORPHANED,
    STUBBORN,
    UNMARKED,
    StartedTree,
    command_line,
    linux_only,
    no_descriptors,
    start_tree,
    wait_until_gone,
)

pytestmark = linux_only


async def test_an_identity_is_pid_and_start_time_and_ends_with_the_process() -> None:
    with start_tree("bash", "-c", COOPERATIVE) as tree:
        assert identify(tree.root.pid) == tree.root
        tree.process.kill()

        # A zombie, because nothing has waited for it yet; it counts as dead.
        await wait_until_gone(tree.root)
        assert Path(f"/proc/{tree.root.pid}").exists()  # noqa: ASYNC240 - not on a disk


async def test_a_signal_reaches_only_its_target() -> None:
    with start_tree("bash", "-c", COOPERATIVE) as tree:
        another = ProcessIdentity(pid=tree.root.pid, started_ticks=tree.root.started_ticks - 1)

        assert not process_table.send_signal(another, signal.SIGKILL)
        assert identify(tree.root.pid) == tree.root
        assert process_table.send_signal(tree.root, signal.SIGKILL)


async def test_a_signal_to_a_dead_process_reaches_no_other() -> None:
    with start_tree("bash", "-c", COOPERATIVE) as tree:
        root = tree.root
        await end_tree(run_marker=tree.run_marker, root=root)
        tree.process.wait(5)

        assert not process_table.send_signal(root, signal.SIGTERM)


@pytest.mark.parametrize(
    ("script", "sleeper"),
    [(COOPERATIVE, "60"), (ESCAPED, "61"), (STUBBORN, "62"), (ORPHANED, "63")],
)
async def test_every_process_with_the_marker_is_found(script: str, sleeper: str) -> None:
    with start_tree("bash", "-c", script) as tree:
        async with limit(20):
            # The child exists before it executes its program, and a process that is just about to
            # execute one has no environment.
            while True:
                found = find_run_processes(tree.run_marker, None)
                if sleeper in " ".join(map(command_line, found)) and tree.root in found:
                    break
                await asyncio.sleep(0.01)
        assert len({one.pid for one in found}) == len(found) >= 2


async def test_another_runs_processes_are_not_found() -> None:
    with start_tree("bash", "-c", COOPERATIVE) as one, start_tree("bash", "-c", ESCAPED) as other:
        ours = {found.pid for found in find_run_processes(one.run_marker, one.root)}
        theirs = {found.pid for found in find_run_processes(other.run_marker, other.root)}

        assert not ours & theirs
        assert os.getpid() not in ours


async def test_an_orphan_without_the_marker_stays_in_a_reapers_tree() -> None:
    with start_tree("bash", "-c", UNMARKED, with_reaper=True) as tree:
        async with limit(20):
            while names_in(tree).count("sleep") < 2:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.01)
        proof = await end_tree(run_marker=tree.run_marker, root=tree.root)

        assert proof.is_confirmed
        assert [one.name for one in proof.seen].count("sleep") == 2


def names_in(tree: StartedTree) -> list[str]:
    return [one.name for one in find_run_processes(tree.run_marker, tree.root)]


async def test_a_known_session_is_found_after_its_leader_is_gone() -> None:
    # The child of a session's dead leader, orphaned and without the marker.
    script = "setsid bash -c 'env -i sleep 65 & echo ready; sleep 60' & wait"
    with start_tree("bash", "-c", script) as tree:
        known = ProcessTree(tree.run_marker, tree.root)
        # Before it executes `env`, the child is a shell with the marker.
        async with limit(30):
            while [one.name for one in known.scan()].count("sleep") < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        live = known.scan()
        killed = [one for one in live if not command_line(one).startswith("sleep 65")]
        for one in killed:
            process_table.send_signal(one, signal.SIGKILL)
        for one in killed:
            await wait_until_gone(one)
        assert find_run_processes(tree.run_marker, None) == ()

        proof = await end_tree(run_marker=tree.run_marker, root=tree.root, known=known)

        assert proof.is_confirmed
        assert all(identify(one.pid) != one for one in live)


async def test_a_sweep_ends_processes_of_runs_that_are_not_live_only() -> None:
    installation_id = uuid.uuid4().hex
    with (
        start_tree("bash", "-c", ESCAPED, installation_id=installation_id) as lost,
        start_tree("bash", "-c", COOPERATIVE, installation_id=installation_id) as live,
        start_tree("bash", "-c", COOPERATIVE, installation_id="another") as foreign,
    ):
        assert run_ids_on_machine(installation_id=installation_id) == {
            lost.run_marker,
            live.run_marker,
        }

        proofs = await sweep_orphans({live.run_marker}, installation_id=installation_id)

        assert set(proofs) == {lost.run_marker}
        assert proofs[lost.run_marker].is_confirmed
        assert find_run_processes(lost.run_marker, None) == ()
        assert identify(live.root.pid) == live.root
        assert identify(foreign.root.pid) == foreign.root


async def test_a_sweep_spares_processes_that_started_after_its_decision() -> None:
    installation_id = uuid.uuid4().hex
    seen = run_ids_on_machine(installation_id=installation_id)
    with start_tree("bash", "-c", COOPERATIVE, installation_id=installation_id) as later:
        assert await sweep_orphans((), installation_id=installation_id, candidates=seen) == {}
        assert identify(later.root.pid) == later.root


async def test_without_proc_the_same_processes_are_found() -> None:
    with start_tree("bash", "-c", ESCAPED) as tree:
        here = {one.pid: one for one in process_table._iter_proc()}
        there = {one.pid: one for one in process_table._iter_psutil()}

        for pid in (tree.root.pid, os.getpid()):
            assert there[pid].parent == here[pid].parent
            assert there[pid].session == here[pid].session
            assert there[pid].name == here[pid].name


async def test_ending_one_attempt_spares_the_next() -> None:
    with (
        start_tree("bash", "-c", ESCAPED) as first,
        start_tree("bash", "-c", ESCAPED, run_marker=first.run_marker, attempt=2) as second,
    ):
        proof = await end_tree(run_marker=first.run_marker, root=first.root, attempt=1)

        assert proof.is_confirmed
        left = {one.pid for one in find_run_processes(first.run_marker, None)}
        assert second.root.pid in left
        assert first.root.pid not in left


def test_a_process_is_not_gone_because_this_one_cannot_look() -> None:
    with start_tree("bash", "-c", COOPERATIVE) as tree:
        with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
            identify(tree.root.pid)
        with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
            process_table.send_signal(tree.root, signal.SIGTERM)
        with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
            process_table.read_environment(tree.root.pid, "PATH")

        assert identify(tree.root.pid) == tree.root
