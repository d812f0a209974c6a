"""The processes on this machine, observed by the benchmark independently of Signalbox.

All waits share each pass over `/proc`.  A process belongs to a run if its environment has the
run's marker or if it descends from such a process.  Processes seen once in a run are
remembered, so one that clears its environment and leaves the tree is still found.  One that
becomes a new process again and again names its run in its arguments (`kill-vanishing`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core.agent.process.process_tree import RUN_MARKER

# Pid and start time, which distinguishes a reused pid.
ProcessKey = tuple[int, str]
_POLL_SECONDS = 0.25
_VANISHING = b"vanishing"
_MARKER = RUN_MARKER.encode() + b"="


@dataclass(frozen=True, kw_only=True)
class _Process:
    key: ProcessKey
    parent: int
    run: str | None
    blocks_until_killed: bool


@dataclass
class ProcessWatch:
    """The processes of all runs seen so far.

    Attributes:
        seen: By run, every process ever seen in it.
        scan_count: Number of passes.
    """

    seen: dict[str, set[ProcessKey]] = field(default_factory=lambda: defaultdict(set))
    scan_count: int = 0
    _blocking_counts: dict[str, int] = field(default_factory=dict)
    _marks: dict[ProcessKey, str | None] = field(default_factory=dict)
    _scanned: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def wait_until_blocking(
        self, run_id: str, wanted: int, *, gives_up: Callable[[], bool]
    ) -> None:
        """Wait until a run has this many processes that end only when killed."""
        async with self._scanned:
            await self._scanned.wait_for(
                lambda: self._blocking_counts.get(run_id, 0) >= wanted or gives_up()
            )

    def survivors(self, run_id: str) -> set[ProcessKey]:
        """The run's processes that are alive now, by a new scan."""
        self._scan()
        alive = {key for key in self.seen[run_id] if _started(key[0]) == key[1]}
        return alive | self._marked_processes(run_id)

    async def scan_forever(self) -> None:
        """Scan repeatedly until cancelled."""
        while True:
            await asyncio.to_thread(self._scan)
            async with self._scanned:
                self._scanned.notify_all()
            await asyncio.sleep(_POLL_SECONDS)

    def _marked_processes(self, run_id: str) -> set[ProcessKey]:
        return {one.key for one in self._list_processes() if one.run == run_id}

    def _scan(self) -> None:
        children: dict[int, list[_Process]] = defaultdict(list)
        marked: list[_Process] = []
        processes = self._list_processes()
        for one in processes:
            children[one.parent].append(one)
            if one.run is not None:
                marked.append(one)
        blocking_counts: dict[str, int] = defaultdict(int)
        for first in marked:
            run = str(first.run)
            pending = [first]
            while pending:
                one = pending.pop()
                is_new = one is not first and one.run is None
                if is_new or one is first:
                    self.seen[run].add(one.key)
                    blocking_counts[run] += one.blocks_until_killed
                pending += [child for child in children[one.key[0]] if child.run is None]
        # A process that left the tree stays known.
        present = {one.key: one for one in processes}
        for run, known in list(self.seen.items()):
            if run not in blocking_counts:
                blocking_counts[run] = sum(
                    present[key].blocks_until_killed for key in known & present.keys()
                )
        self._blocking_counts = dict(blocking_counts)
        self._marks = {key: mark for key, mark in self._marks.items() if key in present}
        self.scan_count += 1

    def _list_processes(self) -> list[_Process]:
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            pid = int(folder.name)
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                if fields[0] in "XZx":
                    continue
                words = (folder / "cmdline").read_bytes().split(b"\0")
                run = self._read_marker(pid, fields[19]) or _named_run(words)
            except OSError:
                continue
            blocks_until_killed = words[0].endswith(b"sleep") or (
                b"python3" in words[0] and b"-c" in words
            )
            found.append(
                _Process(
                    key=(pid, fields[19]),
                    parent=int(fields[1]),
                    run=run,
                    blocks_until_killed=blocks_until_killed,
                )
            )
        return found

    def _read_marker(self, pid: int, started: str) -> str | None:
        # Executing another program replaces the environment: only processes that had the marker
        # before are not read again.
        known = self._marks.get((pid, started))
        if known is not None:
            return known
        for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if variable.startswith(_MARKER):
                run = variable[len(_MARKER) :].decode(errors="replace")
                self._marks[pid, started] = run
                return run
        return None


@asynccontextmanager
async def open_process_watch() -> AsyncIterator[ProcessWatch]:
    """A watch that scans until the block ends."""
    watch = ProcessWatch()
    scanning = asyncio.create_task(watch.scan_forever(), name="watch processes")
    try:
        yield watch
    finally:
        scanning.cancel()
        await asyncio.wait({scanning})


def _named_run(words: list[bytes]) -> str | None:
    """The run that a vanishing process names in its last two arguments."""
    if words[-3:-2] == [_VANISHING] and words[-1] == b"":
        return words[-2].decode(errors="replace")
    return None


def _started(pid: int) -> str | None:
    """A process's start time; `None` if it is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "XZx" else fields[19]
