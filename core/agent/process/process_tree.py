"""The process tree of a run: which processes of the machine belong to it.

A process belongs to a run if its environment has the run marker, if it descends from the agent
program, or if it is in a session (`setsid`) that a process of the tree opened.  Once seen, it
stays in the tree.  The marker of a process in a namespace below counts only if this run's agent
is not isolated: an isolated one is above all of its processes, and another agent can set any
marker.  The agent program adopts the orphans of its tree (see `launch.py`), so even a
daemon that cleared its environment stays a descendant while the program lives.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from core.agent.process import process_table
from core.agent.process.isolation import SUPERVISOR_NAME
from core.domain.kills.termination import ProcessIdentity, Proof, ProofMethod

T = TypeVar("T")

RUN_MARKER = "SIGNALBOX_RUN_ID"
ATTEMPT_MARKER = "SIGNALBOX_ATTEMPT"
INSTALLATION_MARKER = "SIGNALBOX_INSTALLATION"

# Not the event loop's default pool, where a kill would wait behind slow clones.
_SCAN_EXECUTOR = ThreadPoolExecutor(max_workers=4, thread_name_prefix="processes")


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
        found = _Scan(self, on_found)
        inner = []
        for process in found.read_table():
            if self._is_known(process):
                found.add(process)
            elif self._has_marker(process):
                if process_table.is_in_inner_namespace(process.pid):
                    inner.append(process)
                else:
                    found.add(process)
        found.add_descendants()
        self.supervisors = self.supervisors or _find_supervisors(found.alive, found.children)
        if not self.supervisors:
            for process in inner:
                found.add(process)
            found.add_descendants()
        # The kernel may give the id of an empty session to an unrelated process.
        self.sessions &= found.sessions
        return tuple(found.alive.values())

    def proof(self, survivors: tuple[ProcessIdentity, ...]) -> Proof:
        """Return the proof for a scan that found `survivors`."""
        by = ProofMethod.KERNEL_NAMESPACE if self.supervisors else ProofMethod.PROCESS_SCAN
        return Proof(seen=tuple(self.seen.values()), survivors=survivors, by=by)

    def _is_known(self, process: process_table.ProcessInfo) -> bool:
        key = process.pid, process.started_ticks
        return key in self.seen or self._is_in_tree_session(process)

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

    def add(self, process: process_table.ProcessInfo) -> None:
        """Add a process that a scan has found, and the session that it leads."""
        self._add(process.identity)
        if process.session == process.pid:
            self.sessions.add(process.session)

    def _add(self, identity: ProcessIdentity) -> None:
        # Not `setdefault`: a process changes its name when it executes another program.
        self.seen[identity.pid, identity.started_ticks] = identity


class _Scan:
    """One pass over the machine's processes.

    Attributes:
        alive: The processes of the tree that were found, by pid.
        children: All processes, by their parent's pid.
        sessions: The sessions of all processes.
    """

    def __init__(
        self, tree: ProcessTree, on_found: Callable[[ProcessIdentity], object] | None
    ) -> None:
        self.alive: dict[int, ProcessIdentity] = {}
        self.children: dict[int, list[process_table.ProcessInfo]] = defaultdict(list)
        self.sessions: set[int] = set()
        self._tree = tree
        self._on_found = on_found

    def read_table(self) -> Iterator[process_table.ProcessInfo]:
        own_pids = process_table.own_pids()
        for process in process_table.iter_processes():
            if process.pid not in own_pids:
                self.children[process.parent].append(process)
                self.sessions.add(process.session)
                yield process

    def add(self, process: process_table.ProcessInfo) -> None:
        if process.pid not in self.alive:
            self.alive[process.pid] = process.identity
            self._tree.add(process)
            if self._on_found is not None:
                self._on_found(process.identity)

    def add_descendants(self) -> None:
        pending = list(self.alive)
        while pending:
            for child in self.children.get(pending.pop(), ()):
                if child.pid not in self.alive:
                    self.add(child)
                    pending.append(child.pid)


def find_run_processes(
    run_marker: str, root: ProcessIdentity | None
) -> tuple[ProcessIdentity, ...]:
    """Find the living processes of a run.  Blocking, for a few milliseconds."""
    return ProcessTree(run_marker, root).scan()


async def scan_tree(
    tree: ProcessTree, on_found: Callable[[ProcessIdentity], object] | None = None
) -> tuple[ProcessIdentity, ...]:
    """Find the living processes of a tree without blocking the event loop.

    An empty result takes two scans, since one can miss a process that forks meanwhile.
    """

    def scan() -> tuple[ProcessIdentity, ...]:
        return tree.scan(on_found) or tree.scan(on_found)

    return await in_scan_thread(scan)


async def in_scan_thread(work: Callable[[], T]) -> T:
    """Do something with the process table without blocking the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_SCAN_EXECUTOR, work)


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
