"""What the programs use that an agent, or its worker for it, has started: for signs of life.

The agent program itself is left out: it uses a little processor time even while the model hangs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import timedelta
from pathlib import Path

from core.agent.process import process_table
from core.agent.process.process_table import TICKS_PER_SECOND, ProcessInfo
from core.agent.process.process_tree import ProcessTree, in_scan_thread
from core.domain.runs.activity.life import Look, ProcessUsage

# The agent program may start a tool's process this much before its message about it is read.
_MARGIN = timedelta(seconds=2)


async def look_at_tools(tree: ProcessTree, *, begun_within: timedelta | None = None) -> Look:
    """Look at the programs that an agent has started.

    Measured with 49 processes of an agent among 159 of the machine: 6.5 ms of processor time, of
    which 6 ms are the search for them.

    Args:
        tree: The agent's processes; found ones are added to it.
        begun_within: Only programs that began within so long; `None` is all of them.

    Raises:
        OSError: If this process cannot read the table, for example without a free descriptor.
    """
    return await in_scan_thread(lambda: _tools(tree, begun_within))


async def look_at_commands(pids: Collection[int], folder: Path | None = None) -> Look:
    """Look at commands that the worker has started, and at all that they have started.

    Args:
        pids: The commands.
        folder: Another worker may be working in this folder; its programs there count too.

    Raises:
        OSError: As `look_at_tools`.
    """
    return await in_scan_thread(lambda: _commands(pids, folder))


def _tools(tree: ProcessTree, begun_within: timedelta | None) -> Look:
    found = [
        process
        for identity in tree.scan()
        if (process := process_table.find_process(identity.pid)) is not None
        and process.started_ticks == identity.started_ticks
    ]
    own = _own_pids(tree, found)
    first = 0
    if begun_within is not None:
        age = (begun_within + _MARGIN).total_seconds()
        first = process_table.now_ticks() - round(age * TICKS_PER_SECOND)
    return _usage(one for one in found if one.pid not in own and one.started_ticks >= first)


def _own_pids(tree: ProcessTree, found: Iterable[ProcessInfo]) -> frozenset[int]:
    """The agent program, and what isolates it."""
    own = {identity.pid for identity in tree.supervisors}
    if tree.root is not None:
        own.add(tree.root.pid)
    if tree.supervisors:
        # It is the first that was started in the namespace.
        inner = tree.supervisors[-1].pid
        children = [one for one in found if one.parent == inner and one.pid not in own]
        if children:
            own.add(min(children, key=lambda one: (one.started_ticks, one.pid)).pid)
    return frozenset(own)


def _commands(pids: Collection[int], folder: Path | None) -> Look:
    children: dict[int, list[ProcessInfo]] = defaultdict(list)
    found: dict[int, ProcessInfo] = {}
    for process in process_table.iter_processes():
        children[process.parent].append(process)
        if process.pid in pids or (folder is not None and _works_in(folder, process.pid)):
            found[process.pid] = process
    pending = list(found)
    while pending:
        for child in children[pending.pop()]:
            if child.pid not in found:
                found[child.pid] = child
                pending.append(child.pid)
    return _usage(found.values())


def _works_in(folder: Path, pid: int) -> bool:
    directory = process_table.working_directory(pid)
    return directory is not None and Path(directory).is_relative_to(folder)


def _usage(processes: Iterable[ProcessInfo]) -> Look:
    return {
        (one.pid, one.started_ticks): ProcessUsage(
            processor=timedelta(seconds=one.processor_ticks / TICKS_PER_SECOND),
            written_bytes=process_table.written_bytes(one.pid),
        )
        for one in processes
    }
