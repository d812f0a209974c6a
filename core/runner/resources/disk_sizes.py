"""How much the workspaces of live runs take on the disk, measured seldom.

A large workspace has a hundred thousand files, and to ask for all of their sizes takes most of a
second.  So one workspace is measured at a time, each once a minute at most, and after each there is
a pause in proportion to what it took.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from core.workspace.cleaning.files import disk_bytes

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MeasuringTimes:
    """When workspaces are measured.

    Attributes:
        every: The least time between two measurements of one workspace.
        share: The most of one processor that all measurements take on average.
        limit: One that takes longer is given up; its size is then unknown.
        look: How often there may be a new workspace.
    """

    every: timedelta = timedelta(minutes=1)
    share: float = 0.001
    limit: timedelta = timedelta(seconds=5)
    look: timedelta = timedelta(seconds=2)


USUAL_TIMES = MeasuringTimes()


@dataclass
class DiskSizes:
    """The sizes of the workspaces that are in use.

    Attributes:
        in_use: The workspaces of live runs: their folders by their ids.
    """

    in_use: Callable[[], Mapping[str, Path]]
    times: MeasuringTimes = USUAL_TIMES
    _sizes: dict[str, int] = field(default_factory=dict)
    _measured_at: dict[str, float] = field(default_factory=dict)

    def of(self, workspace_id: str) -> int | None:
        """The last size in bytes; `None` if it is unknown."""
        return self._sizes.get(workspace_id)

    async def run(self) -> None:
        """Measure again and again, until cancelled."""
        while True:
            pause = self.times.look.total_seconds()
            try:
                used = await self.measure_one()
                pause = max(pause, used / self.times.share)
            except Exception:
                # The next one follows.
                log.exception(
                    "a workspace could not be measured", extra={"event": "workspace.measure_failed"}
                )
            await asyncio.sleep(pause)

    async def measure_one(self) -> float:
        """Measure the workspace that was not measured for the longest time, if one is due.

        Returns:
            The processor time that this took, in seconds.
        """
        present = self.in_use()
        for known in (self._sizes, self._measured_at):
            for gone in known.keys() - present.keys():
                del known[gone]
        now = time.monotonic()
        due = [
            (self._measured_at.get(name, -float("inf")), name)
            for name in present
            if now - self._measured_at.get(name, -float("inf")) >= self.times.every.total_seconds()
        ]
        if not due:
            return 0.0
        _, name = min(due)
        self._measured_at[name] = now
        size, used = await asyncio.to_thread(_measure, present[name], self.times.limit)
        if size is None:
            self._sizes.pop(name, None)
        else:
            self._sizes[name] = size
        return used


def _measure(folder: Path, limit: timedelta) -> tuple[int | None, float]:
    """The size, `None` if it took too long, and the processor time."""
    began, end = time.thread_time(), time.monotonic() + limit.total_seconds()
    size = disk_bytes(folder, is_stopped=lambda: time.monotonic() > end)
    is_whole = time.monotonic() <= end
    return size if is_whole else None, time.thread_time() - began
