"""The process tree of a run, and the ladder that ends it and proves that nothing is left.

A process belongs to a run if its environment has the run marker, if it descends from the agent
program, or if it is in a session (`setsid`) that a process of the tree opened.  Once seen, it
stays in the tree.  The agent program adopts the orphans of its tree (see `launch.py`), so even a
daemon that cleared its environment stays a descendant while the program lives.

An isolated agent (`isolation.py`) has two processes above it: the supervisor and the first process
of its PID namespace.  When one of them ends, the kernel ends the whole namespace; so they get no
SIGTERM, which is for the programs to end in order, and SIGKILL before all others.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

from core.agent.process import process_table
from core.agent.process.isolation import SUPERVISOR_NAME
from core.domain.errors import OpsError
from core.domain.kills.termination import (
    INTERRUPT_GRACE,
    PROOF_LIMIT,
    TERMINATE_GRACE,
    Phase,
    ProcessIdentity,
    Proof,
    ProofMethod,
)

log = logging.getLogger(__name__)

RUN_MARKER = "SIGNALBOX_RUN_ID"
ATTEMPT_MARKER = "SIGNALBOX_ATTEMPT"
INSTALLATION_MARKER = "SIGNALBOX_INSTALLATION"

OnPhase = Callable[[Phase, Proof], Awaitable[None]]

# A scan takes about one millisecond for every 30 processes on the machine.
_SCAN_INTERVAL = timedelta(milliseconds=40)
# How long a kill waits for a phase to be recorded: a hung database must not keep a process alive.
_PHASE_RECORD_LIMIT = timedelta(seconds=1)
# Not the event loop's default pool, where a kill would wait behind slow clones.
_SCAN_EXECUTOR = ThreadPoolExecutor(max_workers=4, thread_name_prefix="processes")


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a living process; `None` if no process has this pid."""
    process = process_table.find_process(pid)
    return None if process is None else process.identity


@dataclass
class ProcessTree:
    """The processes of a run that have been seen so far.

    Attributes:
        run_marker: The run's id, as its processes carry it in `SIGNALBOX_RUN_ID`.
        root: The agent program's process, once it is known.
        attempt: The attempt whose processes are meant; `None` is every attempt of the run.
        seen: All processes ever seen, by pid and start time.
        sessions: Sessions (`setsid`) opened within the tree that still have members.
        supervisors: The supervisor of an isolated agent and the first process of its namespace,
            once a scan has found them.
    """

    run_marker: str
    root: ProcessIdentity | None = None
    attempt: int | None = None
    seen: dict[tuple[int, int], ProcessIdentity] = field(default_factory=dict)
    sessions: set[int] = field(default_factory=set)
    supervisors: tuple[ProcessIdentity, ...] = ()

    def __post_init__(self) -> None:
        if self.root is not None:
            self._add(self.root)

    def merge_known(self, known: ProcessTree) -> None:
        """Add the processes that `known` has seen.  Safe while another thread scans `known`."""
        self.seen.update(known.seen.copy())
        self.sessions |= known.sessions.copy()
        self.supervisors = self.supervisors or known.supervisors

    def scan(
        self, on_found: Callable[[ProcessIdentity], object] | None = None
    ) -> tuple[ProcessIdentity, ...]:
        """Find the living processes of the tree in one pass over the machine's processes.

        Args:
            on_found: Called with each process as soon as it is found, before the pass goes on.
        """
        own_pids = _own_pids()
        children: dict[int, list[process_table.ProcessInfo]] = defaultdict(list)
        alive: dict[int, ProcessIdentity] = {}
        sessions: set[int] = set()

        def add(process: process_table.ProcessInfo) -> None:
            identity = process.identity
            alive[process.pid] = identity
            self._add(identity)
            if process.session == process.pid:
                self.sessions.add(process.session)
            if on_found is not None:
                on_found(identity)

        for process in process_table.iter_processes():
            if process.pid in own_pids:
                continue
            children[process.parent].append(process)
            sessions.add(process.session)
            if self._belongs_to_run(process):
                add(process)
        pending = list(alive)
        while pending:
            for child in children.get(pending.pop(), ()):
                if child.pid not in alive:
                    add(child)
                    pending.append(child.pid)
        # The kernel may give the id of an empty session to an unrelated process.
        self.sessions &= sessions
        self.supervisors = self.supervisors or _find_supervisors(alive, children)
        return tuple(alive.values())

    def proof(self, survivors: tuple[ProcessIdentity, ...]) -> Proof:
        """Return the proof for a scan that found `survivors`."""
        by = ProofMethod.KERNEL_NAMESPACE if self.supervisors else ProofMethod.PROCESS_SCAN
        return Proof(seen=tuple(self.seen.values()), survivors=survivors, by=by)

    def _belongs_to_run(self, process: process_table.ProcessInfo) -> bool:
        return (
            (process.pid, process.started_ticks) in self.seen
            or self._is_in_tree_session(process)
            or self._has_marker(process)
        )

    def _has_marker(self, process: process_table.ProcessInfo) -> bool:
        markers = process_table.read_environment(process.pid, RUN_MARKER, ATTEMPT_MARKER)
        if markers.get(RUN_MARKER) != self.run_marker:
            return False
        # A worker that lost the run must not end the next attempt, which may be on this machine.
        return self.attempt is None or markers.get(ATTEMPT_MARKER, str(self.attempt)) == str(
            self.attempt
        )

    def _is_in_tree_session(self, process: process_table.ProcessInfo) -> bool:
        if process.session not in self.sessions or process.session == process.pid:
            return False
        leader = process_table.find_process(process.session)
        return leader is None or (leader.pid, leader.started_ticks) in self.seen

    def _add(self, identity: ProcessIdentity) -> None:
        # Not `setdefault`: a process changes its name when it executes another program.
        self.seen[identity.pid, identity.started_ticks] = identity


def find_run_processes(
    run_marker: str, root: ProcessIdentity | None
) -> tuple[ProcessIdentity, ...]:
    """Find the living processes of a run.  Blocking, for a few milliseconds."""
    return ProcessTree(run_marker, root).scan()


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
    """
    tree = ProcessTree(run_marker, root, attempt)
    if known is not None:
        tree.merge_known(known)
    alive = await scan_tree(tree)
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


def run_ids_on_machine(*, installation_id: str = "") -> frozenset[str]:
    """Find the runs of this installation that have processes on this machine.  Blocking."""
    own_pids = _own_pids()
    run_ids = set()
    for process in process_table.iter_processes():
        if process.pid not in own_pids:
            markers = process_table.read_environment(process.pid, RUN_MARKER, INSTALLATION_MARKER)
            if markers.get(RUN_MARKER) and markers.get(INSTALLATION_MARKER, "") == installation_id:
                run_ids.add(markers[RUN_MARKER])
    return frozenset(run_ids)


async def sweep_orphans(
    live: Collection[str], *, installation_id: str = "", candidates: Collection[str] | None = None
) -> dict[str, Proof]:
    """End the processes on this machine of runs that are not `live`.

    A run that starts after `live` was read and before this call would be ended, too.  So either
    nothing may start meanwhile (as when a worker starts), or `candidates` has to be the result of
    `run_ids_on_machine` from before `live` was read.

    Args:
        live: Ids of the runs that may have processes here.
        installation_id: The installation whose processes are ended; others are left alone.
        candidates: The only runs to consider; `None` is every run found.

    Returns:
        A proof for each run that had processes, by run id.
    """
    found = await asyncio.to_thread(run_ids_on_machine, installation_id=installation_id)
    orphaned = [run_id for run_id in found if run_id not in live]
    if candidates is not None:
        orphaned = [run_id for run_id in orphaned if run_id in candidates]
    endings = [end_tree(run_marker=run_id, root=None) for run_id in orphaned]
    return dict(zip(orphaned, await asyncio.gather(*endings), strict=True))


async def _interrupt(
    tree: ProcessTree,
    interrupt: Callable[[], Awaitable[None]],
    has_ended: Callable[[], bool] | None,
    grace: timedelta,
) -> tuple[ProcessIdentity, ...]:
    async def call_interrupt() -> None:
        try:
            await interrupt()
        except (OpsError, OSError) as error:
            log.warning(
                "%s: interrupt failed: %s",
                tree.run_marker,
                error,
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
            alive = await scan_tree(tree)
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
            process_table.send_signal(supervisor, number)

    def signal_one(identity: ProcessIdentity) -> None:
        key = identity.pid, identity.started_ticks
        if identity in spared:
            return
        if number is signal.SIGKILL or key not in signalled:
            signalled.add(key)
            process_table.send_signal(identity, number)

    deadline = time.monotonic() + limit.total_seconds()
    while True:
        alive = await scan_tree(tree, signal_one)
        if not alive or time.monotonic() >= deadline:
            return alive
        # Only an immediate rescan catches a process that forks and exits.
        if number is not signal.SIGKILL:
            await asyncio.sleep(_SCAN_INTERVAL.total_seconds())


async def scan_tree(
    tree: ProcessTree, on_found: Callable[[ProcessIdentity], object] | None = None
) -> tuple[ProcessIdentity, ...]:
    """Find the living processes of a tree without blocking the event loop.

    An empty result takes two scans, since one can miss a process that forks meanwhile.
    """

    def scan() -> tuple[ProcessIdentity, ...]:
        return tree.scan(on_found) or tree.scan(on_found)

    return await asyncio.get_running_loop().run_in_executor(_SCAN_EXECUTOR, scan)


def _find_supervisors(
    alive: Mapping[int, ProcessIdentity], children: Mapping[int, list[process_table.ProcessInfo]]
) -> tuple[ProcessIdentity, ...]:
    """Find the supervisor of an isolated agent, and the first process of its PID namespace.

    An agent cannot feign them: what it starts is below them, in the namespace.
    """
    below = {child.pid for pid in alive for child in children.get(pid, ())}
    for pid, identity in alive.items():
        if pid in below or identity.name != SUPERVISOR_NAME:
            continue
        for child in children.get(pid, ()):
            if process_table.pid_in_own_namespace(child.pid) == 1:
                return identity, child.identity
    return ()


async def _record_phase(on_phase: OnPhase | None, phase: Phase, proof: Proof) -> None:
    if on_phase is None:
        return
    try:
        async with asyncio.timeout(_PHASE_RECORD_LIMIT.total_seconds()):
            await on_phase(phase, proof)
    except (OpsError, OSError) as error:
        log.warning(
            "phase %s could not be recorded: %s",
            phase,
            error,
            extra={"event": "kill_phase.record_failed", "phase": phase.value},
        )


def _own_pids() -> frozenset[int]:
    """Return the pids of this process and its ancestors.

    A worker may itself run inside an agent's tool, and must not end itself.
    """
    pids = {os.getpid()}
    process = process_table.find_process(os.getpid())
    while process is not None and process.parent not in pids:
        pids.add(process.parent)
        process = process_table.find_process(process.parent)
    return frozenset(pids)
