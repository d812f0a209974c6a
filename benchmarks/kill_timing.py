"""Times a kill to the end of a run, learned from earlier runs of the same script."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from sqlalchemy import text

from benchmarks.environment import BenchEnvironment
from benchmarks.kill_kinds import END_CALLS, END_DELAY
from core.domain.runs.run import Run, RunStatus

_POLL_SECONDS = 0.03
# Seconds from the result of the last tool call to the end in the row, until the first one is
# measured: one more answer and the work after it.
_FIRST_GUESS = END_DELAY + 0.2
# The load of the machine changes, so only the latest samples count.
_RECENT_LAGS = 15
# Seconds relative to the expected end at which the kill is typed: mostly before it, because a
# later kill races with nothing and a command takes a tenth of a second to arrive.
_OFFSETS = (-0.6, 0.05)
_LAST_CALL = text(
    "SELECT event.at FROM run_events AS event JOIN workflow_runs AS run ON run.id = event.run_id"
    " WHERE run.run_id = :run_id AND event.kind = 'tool_finished' ORDER BY event.id"
)


@dataclass
class EndPrediction:
    """Predicts the end of a script's runs, in seconds after the result of their last tool call.

    Attributes:
        lags: Seconds of the runs that ended normally, whether or not a kill arrived.
    """

    lags: list[float] = field(default_factory=list)
    _last_calls: dict[str, datetime] = field(default_factory=dict)

    async def wait(self, bench: BenchEnvironment, run: Run, rng: random.Random) -> None:
        """Wait until shortly before or after the run's expected end."""
        last_call = await _last_call(bench, run)
        if last_call is None:
            return
        self._last_calls[run.run_id] = last_call
        lag = median(self.lags[-_RECENT_LAGS:]) if self.lags else _FIRST_GUESS
        elapsed = (datetime.now(UTC) - last_call).total_seconds()
        await asyncio.sleep(max(lag + rng.uniform(*_OFFSETS) - elapsed, 0))

    def record_end(self, ended: Run) -> None:
        """Learn from a run that ended, if it ended normally."""
        last_call = self._last_calls.pop(ended.run_id, None)
        if ended.status is not RunStatus.COMPLETED:
            return
        if last_call is not None and ended.completed_at is not None:
            self.lags.append((ended.completed_at - last_call).total_seconds())


async def _last_call(bench: BenchEnvironment, run: Run) -> datetime | None:
    """When the script's last tool call ended, by the run's events; `None` if it has not."""
    while True:
        async with bench.database.sessions() as session:
            found = list(await session.scalars(_LAST_CALL, {"run_id": run.run_id}))
        if len(found) >= END_CALLS:
            last: datetime = found[END_CALLS - 1]
            return last
        if not (await bench.read_run(run.run_id)).is_live:
            return None
        await asyncio.sleep(_POLL_SECONDS)
