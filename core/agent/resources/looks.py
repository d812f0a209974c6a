"""One look at many trees of processes: what each of them uses now.

The process table is read once for all of them.  Only the processes of the trees are read closer.
"""

from __future__ import annotations

import os
import resource
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from core.agent.process import process_table
from core.agent.process.process_table import TICKS_PER_SECOND, ProcessInfo
from core.agent.process.process_tree import ProcessTree, in_scan_thread
from core.agent.resources import cgroup
from core.agent.resources.proc_files import memory_of, transfers_of
from core.domain.resources.sample import Look, SampleSource

# In which the kernel counts what a process has read and written.
_BLOCK_BYTES = 512


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What was seen in one look.

    Attributes:
        trees: For each tree that was asked for, in the same order; `None` if none of its processes
            is alive.
        worker: This process itself; its `processes` count the programs that it has started beside
            agents, such as git, too.
    """

    trees: Sequence[Look | None]
    worker: Look


async def look_at(trees: Sequence[ProcessTree]) -> Looks:
    """Look at the processes of these trees, and at this process, without blocking the event loop.

    A process belongs to a tree if a scan of the tree has seen it, or if it descends from one that
    has been seen; the agent program adopts the orphans of its tree.  No environment is read, so
    that all trees together need one pass.

    Raises:
        OSError: If this process cannot read the table, for example without a free descriptor.
    """
    return await in_scan_thread(lambda: _look(trees))


def age_seconds(tree: ProcessTree) -> float:
    """For how long the first process of a tree has been alive."""
    if tree.root is None:
        return 0.0
    return max(process_table.now_ticks() - tree.root.started_ticks, 0) / TICKS_PER_SECOND


def _look(trees: Sequence[ProcessTree]) -> Looks:
    alive: dict[int, ProcessInfo] = {}
    children: dict[int, list[ProcessInfo]] = defaultdict(list)
    for process in process_table.iter_processes():
        alive[process.pid] = process
        children[process.parent].append(process)
    own = process_table.own_pids()
    members = [_members(tree, alive, children, own) for tree in trees]
    worker_path = cgroup.group_path(os.getpid()) if members else None
    agents = {pid for one in members for pid in one}
    return Looks(
        trees=[
            _look_at_tree(tree, one, worker_path) for tree, one in zip(trees, members, strict=True)
        ],
        worker=_look_at_worker(_descendants([os.getpid()], children, agents)),
    )


def _members(
    tree: ProcessTree,
    alive: Mapping[int, ProcessInfo],
    children: Mapping[int, list[ProcessInfo]],
    own: frozenset[int],
) -> dict[int, ProcessInfo]:
    known = list(tree.seen.copy())
    if tree.root is not None:
        known.append((tree.root.pid, tree.root.started_ticks))
    first = [
        pid
        for pid, started in known
        if pid not in own and pid in alive and alive[pid].started_ticks == started
    ]
    found = _descendants(first, children, own)
    return {pid: alive[pid] for pid in found}


def _descendants(
    first: Iterable[int],
    children: Mapping[int, list[ProcessInfo]],
    without: frozenset[int] | set[int],
) -> set[int]:
    """These processes and all below them, but not below the ones that are left out."""
    pending = list(first)
    found = set(pending)
    while pending:
        for child in children.get(pending.pop(), ()):
            if child.pid not in found and child.pid not in without:
                found.add(child.pid)
                pending.append(child.pid)
    return found


def _look_at_tree(
    tree: ProcessTree, members: Mapping[int, ProcessInfo], worker_path: str | None
) -> Look | None:
    if not members:
        return None
    look = _sum(members.values())
    root = tree.root
    group = (
        None
        if root is None or root.pid not in members
        else cgroup.own_group(root.pid, members, worker_path=worker_path)
    )
    if group is None:
        return look
    counted = cgroup.read_group(group)
    if counted.cpu_seconds is None:
        return look
    return replace(
        look,
        cpu_seconds=counted.cpu_seconds,
        memory_bytes=look.memory_bytes if counted.memory_bytes is None else counted.memory_bytes,
        read_bytes=look.read_bytes if counted.read_bytes is None else counted.read_bytes,
        written_bytes=(
            look.written_bytes if counted.written_bytes is None else counted.written_bytes
        ),
        source=SampleSource.CGROUP,
    )


def _sum(processes: Iterable[ProcessInfo]) -> Look:
    """What these processes use; a process that ends meanwhile counts with its processor time."""
    ticks = own = shared = largest = count = 0
    read: int | None = None
    written: int | None = None
    for process in processes:
        count += 1
        ticks += process.processor_ticks
        memory = memory_of(process.pid)
        if memory is not None:
            own += memory.own_bytes
            # Mostly the text of the same programs, or the same shared memory.
            shared = max(shared, memory.shared_bytes)
            largest = max(largest, memory.largest_bytes)
        transfers = transfers_of(process.pid)
        if transfers is not None:
            read = (read or 0) + transfers.read_bytes
            written = (written or 0) + transfers.written_bytes
    return Look(
        cpu_seconds=ticks / TICKS_PER_SECOND,
        memory_bytes=own + shared,
        processes=count,
        largest_bytes=largest,
        read_bytes=read,
        written_bytes=written,
    )


def _look_at_worker(pids: set[int]) -> Look:
    # Not from the table: a protected process may not read its own counters there, and its children
    # that have ended are agents.
    used = resource.getrusage(resource.RUSAGE_SELF)
    memory = memory_of(os.getpid())
    return Look(
        cpu_seconds=time.process_time(),
        memory_bytes=0 if memory is None else memory.own_bytes + memory.shared_bytes,
        processes=len(pids),
        largest_bytes=0 if memory is None else memory.largest_bytes,
        read_bytes=used.ru_inblock * _BLOCK_BYTES,
        written_bytes=used.ru_oublock * _BLOCK_BYTES,
    )
