"""Who runs for whom, seen from outside: the marks in the environments of all processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_RUN = b"SIGNALBOX_RUN_ID="
_HOME = b"HOME="
_EVERY_SECONDS = 0.25
# A process takes its own environment at `exec`, a moment after its birth.
_YOUNG_SECONDS = 3.0


@dataclass(frozen=True)
class Marked:
    """A living process that belongs to a run.

    Attributes:
        attempt: The name of its agent's state folder: run and attempt.
        state: Of `/proc/<pid>/stat`; T is stopped.
    """

    pid: int
    started: int
    name: str
    state: str
    run_id: str
    attempt: str

    @property
    def is_agent(self) -> bool:
        """Whether it is the agent program itself."""
        return self.name.startswith("claude")

    def __str__(self) -> str:
        return f"{self.name}[{self.pid}, {self.state}] of {self.attempt}"


@dataclass
class Watch:
    """Looks four times a second; keeps what must never be.

    Attributes:
        overlaps: By run, moments when two attempts of it had a living agent.
    """

    homes: list[Path]
    overlaps: dict[str, str] = field(default_factory=dict)
    seen: dict[str, set[str]] = field(default_factory=dict)
    _known: dict[tuple[int, int], tuple[str, str] | None] = field(default_factory=dict)
    _first: dict[tuple[int, int], float] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.to_thread(self._look)
            await asyncio.sleep(_EVERY_SECONDS)

    async def of_run(self, run_id: str) -> list[Marked]:
        """The living processes of a run."""
        found = await asyncio.to_thread(lambda: list(self._marked(fresh=True)))
        return [one for one in found if one.run_id == run_id]

    async def everybody(self) -> list[Marked]:
        """All living processes of runs of this fleet."""
        return await asyncio.to_thread(lambda: list(self._marked(fresh=True)))

    def _look(self) -> None:
        agents: dict[str, set[str]] = {}
        for one in self._marked():
            if one.is_agent:
                agents.setdefault(one.run_id, set()).add(str(one))
                self.seen.setdefault(one.run_id, set()).add(one.attempt)
        for run_id, living in agents.items():
            attempts = {who.rsplit(" ", 1)[1] for who in living}
            if len(attempts) > 1:
                at = time.strftime("%H:%M:%S")
                self.overlaps.setdefault(run_id, f"{at}: {', '.join(sorted(living))}")

    def _marked(self, *, fresh: bool = False) -> Iterator[Marked]:
        now = time.monotonic()
        listed = set()
        for name in os.listdir("/proc"):  # noqa: PTH208 - many a second
            if not name.isdecimal():
                continue
            stat = _stat(int(name))
            if stat is None:
                continue
            comm, state, started = stat
            key = (int(name), started)
            listed.add(key)
            first = self._first.setdefault(key, now)
            if fresh or key not in self._known or now - first < _YOUNG_SECONDS:
                self._known[key] = self._mark(int(name))
            mark = self._known[key]
            if mark is not None:
                yield Marked(int(name), started, comm, state, *mark)
        for gone in set(self._known) - listed:
            self._known.pop(gone, None)
            self._first.pop(gone, None)

    def _mark(self, pid: int) -> tuple[str, str] | None:
        try:
            raw = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return None
        values = raw.split(b"\0")
        run = next((one[len(_RUN) :] for one in values if one.startswith(_RUN)), None)
        home = next((one[len(_HOME) :] for one in values if one.startswith(_HOME)), b"")
        if run is None:
            return None
        folder = Path(home.decode(errors="replace"))
        if not any(folder.is_relative_to(mine) for mine in self.homes):
            return None
        return run.decode(errors="replace"), folder.parent.name


def _stat(pid: int) -> tuple[str, str, int] | None:
    with contextlib.suppress(OSError):
        raw = Path(f"/proc/{pid}/stat").read_bytes()
        opening, closing = raw.find(b"("), raw.rfind(b")")
        fields = raw[closing + 2 :].split()
        if fields[0] in (b"Z", b"X", b"x"):
            return None
        return (
            raw[opening + 1 : closing].decode(errors="replace"),
            fields[0].decode(),
            int(fields[19]),
        )
    return None
