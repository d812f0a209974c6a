"""The processes of each run, found by the markers in the environments of all processes."""

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
_POLL_SECONDS = 0.25
# A process gets its own environment at `exec`, a moment after its creation.
_YOUNG_SECONDS = 3.0


@dataclass(frozen=True)
class MarkedProcess:
    """A live process that belongs to a run.

    Attributes:
        attempt: The name of its agent's state directory: run and attempt.
        state: From `/proc/<pid>/stat`; T means stopped.
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
class ProcessWatch:
    """Scans four times a second and records violations.

    Attributes:
        overlaps: By run, a moment when two attempts of it had a live agent.
    """

    homes: list[Path]
    overlaps: dict[str, str] = field(default_factory=dict)
    seen: dict[str, set[str]] = field(default_factory=dict)
    _markers: dict[tuple[int, int], tuple[str, str] | None] = field(default_factory=dict)
    _first_seen: dict[tuple[int, int], float] = field(default_factory=dict)

    async def run(self) -> None:
        """Scan until cancelled."""
        while True:
            await asyncio.to_thread(self._scan)
            await asyncio.sleep(_POLL_SECONDS)

    async def processes_of_run(self, run_id: str) -> list[MarkedProcess]:
        """The live processes of a run."""
        found = await asyncio.to_thread(lambda: list(self._marked_processes(fresh=True)))
        return [one for one in found if one.run_id == run_id]

    async def all_processes(self) -> list[MarkedProcess]:
        """All live processes of runs of this fleet."""
        return await asyncio.to_thread(lambda: list(self._marked_processes(fresh=True)))

    def _scan(self) -> None:
        agents: dict[str, set[str]] = {}
        for one in self._marked_processes():
            if one.is_agent:
                agents.setdefault(one.run_id, set()).add(str(one))
                self.seen.setdefault(one.run_id, set()).add(one.attempt)
        for run_id, live in agents.items():
            attempts = {who.rsplit(" ", 1)[1] for who in live}
            if len(attempts) > 1:
                at = time.strftime("%H:%M:%S")
                self.overlaps.setdefault(run_id, f"{at}: {', '.join(sorted(live))}")

    def _marked_processes(self, *, fresh: bool = False) -> Iterator[MarkedProcess]:
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
            first = self._first_seen.setdefault(key, now)
            if fresh or key not in self._markers or now - first < _YOUNG_SECONDS:
                self._markers[key] = self._read_marker(int(name))
            marker = self._markers[key]
            if marker is not None:
                yield MarkedProcess(int(name), started, comm, state, *marker)
        for vanished in set(self._markers) - listed:
            self._markers.pop(vanished, None)
            self._first_seen.pop(vanished, None)

    def _read_marker(self, pid: int) -> tuple[str, str] | None:
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
