"""Who is running on this machine, seen by the benchmark itself and not by Signalbox.

One pass over `/proc` at a time serves everybody.  A process belongs to a run if its
environment has the run's mark or if it descends from one that has; what was once met in a
run is remembered, so that one that empties its environment and leaves is found all the same.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core.agent.process.ladder import COOKIE

# Pid and start time, by which a pid used again is told apart.
Known = tuple[int, str]
_LOOK_EVERY = 0.25
_MARK = COOKIE.encode() + b"="


@dataclass(frozen=True, kw_only=True)
class _One:
    key: Known
    parent: int
    run: str | None
    is_held: bool


@dataclass
class Watch:
    """The processes of all runs, as met so far.

    Attributes:
        met: By run, everything ever seen of it.
        looks: How many passes there were.
    """

    met: dict[str, set[Known]] = field(default_factory=lambda: defaultdict(set))
    looks: int = 0
    _held: dict[str, int] = field(default_factory=dict)
    _marks: dict[Known, str | None] = field(default_factory=dict)
    _looked: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def holds(self, run_id: str, wanted: int, *, gives_up: Callable[[], bool]) -> None:
        """Wait until so many of a run's processes stand that only a kill ends."""
        async with self._looked:
            await self._looked.wait_for(lambda: self._held.get(run_id, 0) >= wanted or gives_up())

    def survivors(self, run_id: str) -> set[Known]:
        """What lives of a run, by a look of this very moment."""
        self._pass()
        alive = {key for key in self.met[run_id] if _started(key[0]) == key[1]}
        return alive | self._marked(run_id)

    async def look_on(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.to_thread(self._pass)
            async with self._looked:
                self._looked.notify_all()
            await asyncio.sleep(_LOOK_EVERY)

    def _marked(self, run_id: str) -> set[Known]:
        return {one.key for one in self._all() if one.run == run_id}

    def _pass(self) -> None:
        children: dict[int, list[_One]] = defaultdict(list)
        marked: list[_One] = []
        everybody = self._all()
        for one in everybody:
            children[one.parent].append(one)
            if one.run is not None:
                marked.append(one)
        held: dict[str, int] = defaultdict(int)
        for first in marked:
            run = str(first.run)
            pending = [first]
            while pending:
                one = pending.pop()
                is_new = one is not first and one.run is None
                if is_new or one is first:
                    self.met[run].add(one.key)
                    held[run] += one.is_held
                pending += [child for child in children[one.key[0]] if child.run is None]
        # What has left the tree stays known.
        present = {one.key: one for one in everybody}
        for run, known in list(self.met.items()):
            if run not in held:
                held[run] = sum(present[key].is_held for key in known & present.keys())
        self._held = dict(held)
        self._marks = {key: mark for key, mark in self._marks.items() if key in present}
        self.looks += 1

    def _all(self) -> list[_One]:
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
                run = self._mark_of(pid, fields[19])
            except OSError:
                continue
            is_held = words[0].endswith(b"sleep") or (b"python3" in words[0] and b"-c" in words)
            found.append(
                _One(key=(pid, fields[19]), parent=int(fields[1]), run=run, is_held=is_held)
            )
        return found

    def _mark_of(self, pid: int, started: str) -> str | None:
        # A process that executes another program has another environment: only those that
        # had the mark once are not read again.
        known = self._marks.get((pid, started))
        if known is not None:
            return known
        for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if variable.startswith(_MARK):
                run = variable[len(_MARK) :].decode(errors="replace")
                self._marks[pid, started] = run
                return run
        return None


@asynccontextmanager
async def watching() -> AsyncIterator[Watch]:
    """A watch that looks on until the block ends."""
    watch = Watch()
    looking = asyncio.create_task(watch.look_on(), name="watch processes")
    try:
        yield watch
    finally:
        looking.cancel()
        await asyncio.wait({looking})


def _started(pid: int) -> str | None:
    """Its start time; `None` for the dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "XZx" else fields[19]
