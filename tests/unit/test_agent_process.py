"""Real process trees are terminated with proof, by a ladder that nothing stops."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable

import pytest

from core.agent.process import process_table
from core.agent.process.ladder import end_tree
from core.agent.process.process_table import identify
from core.agent.process.process_tree import find_run_processes
from core.domain.errors import Unavailable
from core.domain.kills.termination import Phase, Proof
from tests.limits import limit, patient
from tests.unit.process_trees import (
    CHAIN,
    COOPERATIVE,
    ESCAPED,
    FORKING,
    ORPHANED,
    QUICK,
    STUBBORN,
    PhaseRecorder,
    linux_only,
    no_descriptors,
    start_tree,
)

pytestmark = linux_only


@pytest.mark.full_speed
async def test_a_cooperative_tree_ends_on_sigterm() -> None:
    phases = PhaseRecorder()
    with start_tree("bash", "-c", COOPERATIVE) as tree:
        began = time.monotonic()

        proof = await end_tree(run_marker=tree.run_marker, root=tree.root, on_phase=phases)

        assert time.monotonic() - began < patient(3)
        assert proof.is_confirmed
        assert len(proof.seen) == 2
        assert phases.phases == [Phase.TERMINATED]
        assert find_run_processes(tree.run_marker, tree.root) == ()


@pytest.mark.full_speed
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
    phases = PhaseRecorder()
    with start_tree(*command, with_reaper=True) as tree:
        began = time.monotonic()

        proof = await end_tree(
            run_marker=tree.run_marker, root=tree.root, on_phase=phases, terminate_grace=QUICK
        )

        assert time.monotonic() - began < patient(3)
        assert proof.is_confirmed
        assert phases.phases in ([Phase.TERMINATED], [Phase.TERMINATED, Phase.KILLED])
        assert find_run_processes(tree.run_marker, None) == ()
        assert all(identify(one.pid) != one for one in proof.seen)


async def test_a_stopped_tree_is_ended() -> None:
    with start_tree("bash", "-c", COOPERATIVE) as tree:
        tree.process.send_signal(signal.SIGSTOP)

        proof = await end_tree(run_marker=tree.run_marker, root=tree.root, terminate_grace=QUICK)

        assert proof.is_confirmed


async def test_the_ladder_reports_each_phase_in_order_before_acting() -> None:
    phases = PhaseRecorder()
    interrupts: list[str] = []
    with start_tree("bash", "-c", STUBBORN) as tree:

        async def interrupt() -> None:
            interrupts.append("interrupt")
            assert phases.phases == [Phase.INTERRUPTED]
            await asyncio.sleep(60)

        proof = await end_tree(
            run_marker=tree.run_marker,
            root=tree.root,
            interrupt=interrupt,
            has_ended=lambda: False,
            on_phase=phases,
            interrupt_grace=QUICK,
            terminate_grace=QUICK,
        )

        assert proof.is_confirmed
        assert interrupts == ["interrupt"]
        assert phases.phases == [Phase.INTERRUPTED, Phase.TERMINATED, Phase.KILLED]
        assert all(proof.survivors for proof in phases.proofs)


@pytest.mark.full_speed
async def test_the_ladder_does_not_wait_for_an_ended_agent() -> None:
    has_ended = False

    async def interrupt() -> None:
        nonlocal has_ended
        has_ended = True

    with start_tree("bash", "-c", COOPERATIVE) as tree:
        began = time.monotonic()

        proof = await end_tree(
            run_marker=tree.run_marker,
            root=tree.root,
            interrupt=interrupt,
            has_ended=lambda: has_ended,
        )

        assert proof.is_confirmed
        assert time.monotonic() - began < patient(3)


async def test_a_tree_that_ends_after_the_interrupt_gets_no_signal() -> None:
    phases = PhaseRecorder()
    with start_tree("bash", "-c", COOPERATIVE) as tree:

        async def interrupt() -> None:
            for one in find_run_processes(tree.run_marker, tree.root):
                process_table.send_signal(one, signal.SIGKILL)

        proof = await end_tree(
            run_marker=tree.run_marker, root=tree.root, interrupt=interrupt, on_phase=phases
        )

        assert proof.is_confirmed
        assert phases.phases == [Phase.INTERRUPTED]


async def test_force_skips_the_interrupt() -> None:
    phases = PhaseRecorder()

    async def interrupt() -> None:
        pytest.fail("the agent was interrupted")

    with start_tree("bash", "-c", COOPERATIVE) as tree:
        proof = await end_tree(
            run_marker=tree.run_marker,
            root=tree.root,
            interrupt=interrupt,
            force=True,
            on_phase=phases,
        )

        assert proof.is_confirmed
        assert phases.phases == [Phase.TERMINATED]


async def _fail(phase: Phase, proof: Proof) -> None:
    raise Unavailable("no database", user_message="")


async def _hang(phase: Phase, proof: Proof) -> None:
    await asyncio.sleep(60)


async def _break(phase: Phase, proof: Proof) -> None:
    raise LookupError("never thought of")


@pytest.mark.parametrize("on_phase", [_fail, _hang, _break])
async def test_a_phase_that_cannot_be_recorded_stops_no_kill(
    on_phase: Callable[[Phase, Proof], Awaitable[None]],
) -> None:
    with start_tree("bash", "-c", COOPERATIVE) as tree:
        proof = await end_tree(run_marker=tree.run_marker, root=tree.root, on_phase=on_phase)

        assert proof.is_confirmed


async def test_a_cancelled_kill_is_not_swallowed_while_it_records() -> None:
    with start_tree("bash", "-c", COOPERATIVE) as tree:
        recording = asyncio.Event()

        async def hang(phase: Phase, proof: Proof) -> None:
            recording.set()
            await asyncio.Event().wait()

        kill = asyncio.create_task(
            end_tree(run_marker=tree.run_marker, root=tree.root, on_phase=hang)
        )
        await recording.wait()
        kill.cancel()
        await asyncio.wait({kill})

        assert kill.cancelled()


@pytest.mark.parametrize("error", [BrokenPipeError(), LookupError("never thought of")])
async def test_a_failing_interrupt_stops_no_kill(error: Exception) -> None:
    async def interrupt() -> None:
        raise error

    with start_tree("bash", "-c", COOPERATIVE) as tree:
        proof = await end_tree(
            run_marker=tree.run_marker, root=tree.root, interrupt=interrupt, interrupt_grace=QUICK
        )

        assert proof.is_confirmed


async def test_a_kill_goes_on_after_scans_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    with start_tree("bash", "-c", COOPERATIVE) as tree:
        with no_descriptors():
            kill = asyncio.create_task(end_tree(run_marker=tree.run_marker, root=tree.root))
            async with limit(5):
                while "cannot be scanned" not in caplog.text:  # noqa: ASYNC110 - there is no event
                    await asyncio.sleep(0.005)
        proof = await kill

        assert proof.is_confirmed
        assert tree.root in proof.seen


async def test_a_kill_that_can_never_scan_proves_nothing() -> None:
    with start_tree("bash", "-c", COOPERATIVE) as tree:
        with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
            await end_tree(run_marker=tree.run_marker, root=tree.root)

        assert identify(tree.root.pid) == tree.root


async def test_the_tree_of_a_gone_process_is_empty() -> None:
    phases = PhaseRecorder()

    proof = await end_tree(run_marker="run_000000000000", root=None, on_phase=phases)

    assert proof == Proof()
    assert phases.phases == []
