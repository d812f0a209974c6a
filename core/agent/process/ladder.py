"""The ladder that ends the process tree of a run, and proves that nothing is left.

An isolated agent (`isolation.py`) has two processes above it: the supervisor and the first process
of its PID namespace.  When one of them ends, the kernel ends the whole namespace; so they get no
SIGTERM, which is for the programs to end in order, and SIGKILL before all others.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from core.agent.process import process_table
from core.agent.process.process_tree import ProcessTree, scan_tree
from core.domain.errors import unforeseen
from core.domain.kills.termination import (
    INTERRUPT_GRACE,
    PROOF_LIMIT,
    TERMINATE_GRACE,
    Phase,
    ProcessIdentity,
    Proof,
)
from core.waiting import Backoff, retry

log = logging.getLogger(__name__)

OnPhase = Callable[[Phase, Proof], Awaitable[None]]

# A scan takes about one millisecond for every 30 processes on the machine.
_SCAN_INTERVAL = timedelta(milliseconds=40)
# For scans that fail, as without free file descriptors.
_SCAN_PATIENCE = timedelta(seconds=2)
_SCAN_BACKOFF = Backoff(first=timedelta(milliseconds=40), longest=timedelta(seconds=1))
# How long a kill waits for a phase to be recorded: a hung database must not keep a process alive.
_PHASE_RECORD_LIMIT = timedelta(seconds=1)


async def end_tree(
    *,
    run_marker: str,
    root: ProcessIdentity | None,
    attempt: int | None = None,
    interrupt: Callable[[], Awaitable[None]] | None = None,
    has_ended: Callable[[], bool] | None = None,
    force: bool = False,
    on_phase: OnPhase | None = None,
    known: ProcessTree | None = None,
    interrupt_grace: timedelta = INTERRUPT_GRACE,
    terminate_grace: timedelta = TERMINATE_GRACE,
    proof_limit: timedelta = PROOF_LIMIT,
) -> Proof:
    """End every process of a run, as gently as possible, and prove it.

    Takes at most 10 s: `interrupt` (5 s, skipped with `force`), SIGTERM (2 s), SIGKILL (2 s).
    May be called again, and for a tree that is already gone.  A caller that needs the outcome
    has to shield the call from cancellation.

    Args:
        run_marker: The run's id.
        root: The agent program's process, if it is known.
        attempt: Leaves processes of other attempts alone; `None` ends those of all attempts.
        interrupt: Asks the agent to stop; it may fail or hang.
        has_ended: Whether the agent is done, so that waiting longer is useless.
        force: Skip the interrupt.
        on_phase: Awaited before `INTERRUPTED`, `TERMINATED` and `KILLED` are acted on.  If it
            fails or takes longer than 1 s, the ladder goes on: the kill has priority.
        known: Processes seen earlier.
        interrupt_grace: How long to wait after the interrupt.
        terminate_grace: How long to wait after SIGTERM.
        proof_limit: How long to repeat SIGKILL.

    Returns:
        The proof, from which the caller records `CONFIRMED` or `UNCONFIRMED`.

    Raises:
        Exception: If the processes of this machine cannot be scanned, so that nothing is known;
            scans are repeated for 2 s.
    """
    tree = ProcessTree(run_marker, root, attempt)
    if known is not None:
        tree.merge_known(known)
    alive = await _scan(tree)
    if alive and interrupt is not None and not force:
        await _record_phase(on_phase, Phase.INTERRUPTED, tree.proof(alive))
        alive = await _interrupt(tree, interrupt, has_ended, interrupt_grace)
    if alive:
        await _record_phase(on_phase, Phase.TERMINATED, tree.proof(alive))
        alive = await _signal(tree, signal.SIGTERM, terminate_grace)
    if alive:
        await _record_phase(on_phase, Phase.KILLED, tree.proof(alive))
        alive = await _signal(tree, signal.SIGKILL, proof_limit)
    if alive:
        log.error(
            "%s: %d processes survive",
            run_marker,
            len(alive),
            extra={
                "event": "process_tree.survived",
                "run_id": run_marker,
                "attempt": attempt,
                "count": len(alive),
                "pids": [process.pid for process in alive],
            },
        )
    return tree.proof(alive)


async def _interrupt(
    tree: ProcessTree,
    interrupt: Callable[[], Awaitable[None]],
    has_ended: Callable[[], bool] | None,
    grace: timedelta,
) -> tuple[ProcessIdentity, ...]:
    async def call_interrupt() -> None:
        try:
            await interrupt()
        except Exception as error:
            # The signals follow.
            log.warning(
                "%s: interrupt failed: %s",
                tree.run_marker,
                error,
                exc_info=unforeseen(error),
                extra={
                    "event": "agent.interrupt_failed",
                    "run_id": tree.run_marker,
                    "attempt": tree.attempt,
                },
            )

    deadline = time.monotonic() + grace.total_seconds()
    async with asyncio.TaskGroup() as group:
        interrupt_task = group.create_task(call_interrupt(), name=f"interrupt {tree.run_marker}")
        while True:
            alive = await _scan(tree)
            is_over = has_ended is not None and has_ended()
            if not alive or is_over or time.monotonic() >= deadline:
                break
            await asyncio.sleep(_SCAN_INTERVAL.total_seconds())
        interrupt_task.cancel()
    return alive


async def _signal(
    tree: ProcessTree, number: signal.Signals, limit: timedelta
) -> tuple[ProcessIdentity, ...]:
    """Send a signal to every process of the tree until none is left or time is up.

    Each process gets SIGTERM once, but SIGKILL with every scan.  Each scan also finds what the
    tree has forked since the last one.
    """
    signalled: set[tuple[int, int]] = set()
    spared = set() if number is signal.SIGKILL else set(tree.supervisors)
    if number is signal.SIGKILL:
        for supervisor in reversed(tree.supervisors):
            with suppress(OSError):  # The scans signal it too.
                process_table.send_signal(supervisor, number)

    def signal_one(identity: ProcessIdentity) -> None:
        key = identity.pid, identity.started_ticks
        if identity in spared:
            return
        if number is signal.SIGKILL or key not in signalled:
            process_table.send_signal(identity, number)
            signalled.add(key)

    deadline = time.monotonic() + limit.total_seconds()
    while True:
        alive = await _scan(tree, signal_one)
        if not alive or time.monotonic() >= deadline:
            return alive
        # Only an immediate rescan catches a process that forks and exits.
        if number is not signal.SIGKILL:
            await asyncio.sleep(_SCAN_INTERVAL.total_seconds())


async def _scan(
    tree: ProcessTree, on_found: Callable[[ProcessIdentity], object] | None = None
) -> tuple[ProcessIdentity, ...]:
    """Scan a tree, and repeat a scan that fails for a while."""

    def log_failure(error: Exception, pause: float) -> None:
        log.warning(
            "%s: its processes cannot be scanned (%s), next try in %.2f s",
            tree.run_marker,
            error,
            pause,
            extra={
                "event": "process_scan.failed",
                "run_id": tree.run_marker,
                "attempt": tree.attempt,
                "retry_seconds": pause,
            },
        )

    return await retry(
        lambda: scan_tree(tree, on_found),
        on=OSError,
        backoff=_SCAN_BACKOFF,
        patience=_SCAN_PATIENCE,
        on_failure=log_failure,
    )


async def _record_phase(on_phase: OnPhase | None, phase: Phase, proof: Proof) -> None:
    if on_phase is None:
        return
    try:
        async with asyncio.timeout(_PHASE_RECORD_LIMIT.total_seconds()):
            await on_phase(phase, proof)
    except Exception as error:
        # The kill has priority.
        log.warning(
            "phase %s could not be recorded: %s",
            phase,
            error,
            exc_info=unforeseen(error),
            extra={"event": "kill_phase.record_failed", "phase": phase.value},
        )
