"""The tree of processes of a run, and the ladder that ends it with proof.

A process belongs to a run if it carries the run's cookie, if it descends from the agent,
or if it lives in a session (`setsid`) that one of the tree opened; what was once met is
never forgotten.  The agent program is its orphans' reaper (see `launch.py`), so even a
daemon that emptied its environment stays a descendant while the agent lives.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

from core.agent.process import process_table
from core.domain.errors import OpsError
from core.domain.kills.termination import (
    INTERRUPT_GRACE,
    PROOF_LIMIT,
    TERMINATE_GRACE,
    Phase,
    ProcessIdentity,
    Proof,
)

log = logging.getLogger(__name__)

RUN_MARKER = "SIGNALBOX_RUN_ID"
ATTEMPT_MARKER = "SIGNALBOX_ATTEMPT"
INSTALLATION_MARKER = "SIGNALBOX_SITE"

OnPhase = Callable[[Phase, Proof], Awaitable[None]]

# A look costs about a millisecond for each 30 processes of the machine.
_SCAN_INTERVAL = timedelta(milliseconds=40)
# A database that hangs must not keep a process alive.
_PHASE_RECORD_LIMIT = timedelta(seconds=1)
# Not the loop's own pool: a kill must not queue behind slow clones.
_SCAN_EXECUTOR = ThreadPoolExecutor(max_workers=4, thread_name_prefix="processes")


def identify(pid: int) -> ProcessIdentity | None:
    """The identity of a living process; `None` if there is none."""
    found = process_table.find_process(pid)
    return None if found is None else found.identity


@dataclass
class ProcessTree:
    """A run's processes as met so far.

    Attributes:
        attempt: The one attempt that is meant; `None` means all of the run.
        seen: Everything met, by pid and start.
        sessions: Sessions opened within the tree that still have members.
    """

    run_marker: str
    root: ProcessIdentity | None = None
    attempt: int | None = None
    seen: dict[tuple[int, int], ProcessIdentity] = field(default_factory=dict)
    sessions: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.root is not None:
            self._add(self.root)

    def merge_known(self, known: ProcessTree) -> None:
        """Add what was met before.  Safe while another thread looks at `known`."""
        self.seen.update(known.seen.copy())
        self.sessions |= known.sessions.copy()

    def scan(
        self, on_found: Callable[[ProcessIdentity], object] | None = None
    ) -> tuple[ProcessIdentity, ...]:
        """Those of the tree that live now, in one pass over the machine's processes.

        Args:
            on_found: Called for each at the moment it is found, while the pass goes on.
        """
        own_pids = _own_pids()
        children: dict[int, list[process_table.ProcessInfo]] = defaultdict(list)
        alive: dict[int, ProcessIdentity] = {}
        sessions: set[int] = set()

        def found(one: process_table.ProcessInfo) -> None:
            identity = one.identity
            alive[one.pid] = identity
            self._add(identity)
            if one.session == one.pid:
                self.sessions.add(one.session)
            if on_found is not None:
                on_found(identity)

        for one in process_table.iter_processes():
            if one.pid in own_pids:
                continue
            children[one.parent].append(one)
            sessions.add(one.session)
            if self._belongs_to_run(one):
                found(one)
        pending = list(alive)
        while pending:
            for child in children.get(pending.pop(), ()):
                if child.pid not in alive:
                    found(child)
                    pending.append(child.pid)
        # An empty session's number may come back as a stranger's.
        self.sessions &= sessions
        return tuple(alive.values())

    def proof(self, survivors: tuple[ProcessIdentity, ...]) -> Proof:
        """What can be said of it now."""
        return Proof(seen=tuple(self.seen.values()), survivors=survivors)

    def _belongs_to_run(self, one: process_table.ProcessInfo) -> bool:
        return (
            (one.pid, one.started_ticks) in self.seen
            or self._is_in_tree_session(one)
            or self._has_marker(one)
        )

    def _has_marker(self, one: process_table.ProcessInfo) -> bool:
        markers = process_table.read_environment(one.pid, RUN_MARKER, ATTEMPT_MARKER)
        if markers.get(RUN_MARKER) != self.run_marker:
            return False
        # A worker that was given up must not end what its successor on this machine started.
        return self.attempt is None or markers.get(ATTEMPT_MARKER, str(self.attempt)) == str(
            self.attempt
        )

    def _is_in_tree_session(self, one: process_table.ProcessInfo) -> bool:
        if one.session not in self.sessions or one.session == one.pid:
            return False
        leader = process_table.find_process(one.session)
        return leader is None or (leader.pid, leader.started_ticks) in self.seen

    def _add(self, identity: ProcessIdentity) -> None:
        # Not `setdefault`: a process changes its name when it executes another program.
        self.seen[identity.pid, identity.started_ticks] = identity


def find_run_processes(
    run_marker: str, root: ProcessIdentity | None
) -> tuple[ProcessIdentity, ...]:
    """The living processes of a run.  Blocking, for a few milliseconds."""
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
    """End every process of a run, as gently as it allows, and prove it.

    Within 10 s: `interrupt` (at most 5 s, left out with `force`), SIGTERM (2 s), SIGKILL
    (2 s).  Safe to call again, and for a tree that is gone already.  To be shielded from
    cancellation by who must have its outcome.

    `interrupt` asks the agent to stop; it may fail or hang.  `has_ended` tells whether the
    agent has come to its end, so that more patience gains nothing.  `on_phase` is awaited
    before `INTERRUPTED`, `TERMINATED` and `KILLED` are acted on; if it fails or hangs the
    ladder goes on, for who is asked to stop must stop.  `known` is what was met earlier.
    `attempt` spares other attempts at the run.

    Returns:
        The proof; who asked records `CONFIRMED` or `UNCONFIRMED` by it.
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
        log.error("%s: %d processes survive", run_marker, len(alive))
    return tree.proof(alive)


def run_ids_on_machine(*, installation_id: str = "") -> frozenset[str]:
    """Ids of the runs of this installation that have processes on this machine.  Blocking."""
    own_pids = _own_pids()
    found = set()
    for one in process_table.iter_processes():
        if one.pid not in own_pids:
            markers = process_table.read_environment(one.pid, RUN_MARKER, INSTALLATION_MARKER)
            if markers.get(RUN_MARKER) and markers.get(INSTALLATION_MARKER, "") == installation_id:
                found.add(markers[RUN_MARKER])
    return frozenset(found)


async def sweep_orphans(
    live: Collection[str], *, installation_id: str = "", candidates: Collection[str] | None = None
) -> dict[str, Proof]:
    """End what is left on this machine of runs that are not `live`; proofs by run id.

    A run started between reading `live` and this call would be ended too.  So either
    nothing starts meanwhile (a worker's own start), or `among` names what `run_ids_on_machine` saw
    before `live` was read.
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
            log.warning("%s: interrupt failed: %s", tree.run_marker, error)

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
    """Signal all of the tree until none is left or time is up.

    SIGTERM goes to each process once, SIGKILL again and again: a tree that forks while it
    is ended is met anew at each look.
    """
    signalled: set[tuple[int, int]] = set()

    def signal_one(identity: ProcessIdentity) -> None:
        key = identity.pid, identity.started_ticks
        if number is signal.SIGKILL or key not in signalled:
            signalled.add(key)
            process_table.send_signal(identity, number)

    deadline = time.monotonic() + limit.total_seconds()
    while True:
        alive = await scan_tree(tree, signal_one)
        if not alive or time.monotonic() >= deadline:
            return alive
        # What forks and dies is only caught by looking again at once.
        if number is not signal.SIGKILL:
            await asyncio.sleep(_SCAN_INTERVAL.total_seconds())


async def scan_tree(
    tree: ProcessTree, on_found: Callable[[ProcessIdentity], object] | None = None
) -> tuple[ProcessIdentity, ...]:
    """The living of a tree, by two looks if the first finds none: a fork can slip past one."""

    def scan() -> tuple[ProcessIdentity, ...]:
        return tree.scan(on_found) or tree.scan(on_found)

    return await asyncio.get_running_loop().run_in_executor(_SCAN_EXECUTOR, scan)


async def _record_phase(on_phase: OnPhase | None, phase: Phase, proof: Proof) -> None:
    if on_phase is None:
        return
    try:
        async with asyncio.timeout(_PHASE_RECORD_LIMIT.total_seconds()):
            await on_phase(phase, proof)
    except (OpsError, OSError) as error:
        log.warning("phase %s could not be recorded: %s", phase, error)


def _own_pids() -> frozenset[int]:
    """This process and its ancestors: one may itself run inside an agent's tool."""
    found = {os.getpid()}
    one = process_table.find_process(os.getpid())
    while one is not None and one.parent not in found:
        found.add(one.parent)
        one = process_table.find_process(one.parent)
    return frozenset(found)
