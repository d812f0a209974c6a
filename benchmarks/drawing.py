"""Time from a run's event to its card in Slack, with 50 live runs in one workspace.

A `signalbox bot` draws.  The runs have no agents: this script changes their rows.  The Slack
sandbox enforces Slack's limits, of which the strictest is 50 updates a minute for the whole
workspace.  An event counts as drawn when the card first shows its state or a newer one.

There are three loads, one after another: events at a rate that the limit allows; an event of
every run every few seconds, twelve times what the limit allows, where newer states replace
older ones and a run that ends must not wait; and the ends of all other runs at once.  A 429
would be a defect of Signalbox.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import text

from benchmarks.call_watch import CallWatch
from benchmarks.environment import BenchEnvironment, open_bench
from benchmarks.results import heading, line, percentile

LIVE = 50
# Per minute; Slack allows 50 updates, and the rate limiter uses at most 44 of them.
PACE = 30.0
_EVERY_SECONDS = 5.0
_ENDED_UNDER_LOAD = 10
_LIMIT = 300
_TURNS = re.compile(r"(\d[\d,]*) of 1,?000\b")
_CHANGE = """
    UPDATE workflow_runs SET turns = :turns, version = version + 1,
        updated_at = now(), last_activity_at = now()
    WHERE run_id = :run_id
"""
_BEGIN = """
    UPDATE workflow_runs SET status = 'running', started_at = now(), version = version + 1,
        updated_at = now()
    WHERE run_id = :run_id
"""
_END = """
    UPDATE workflow_runs SET status = 'completed', stop_reason = 'success', completed_at = now(),
        result = 'Done.', turns = :turns, version = version + 1,
        updated_at = now()
    WHERE run_id = :run_id
"""


@dataclass
class _CardWatch(CallWatch):
    """What was drawn of each run, and when.

    Attributes:
        card_turns: Per run, when its card showed how many turns.
        ended: Per run, when its card showed the end.
        result_posted_at: Per run, when its result was posted.
    """

    card_turns: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    result_posted_at: dict[str, float] = field(default_factory=dict)

    def note_drawn(
        self,
        *,
        thread_key: str,
        slot: str,
        channel: str,  # noqa: ARG002 - each run is in one channel
        drawn: str,
        now: float,
    ) -> None:
        """Note cards with their turns, ends and results."""
        if slot.startswith("result:"):
            self.result_posted_at.setdefault(thread_key, now)
        elif slot == "card":
            if found := _TURNS.search(drawn):
                turns = int(found[1].replace(",", ""))
                self.card_turns.setdefault(thread_key, []).append((now, turns))
            if "Completed" in drawn:
                self.ended.setdefault(thread_key, now)


@dataclass
class _Runs:
    """The runs and the times of their events."""

    bench: BenchEnvironment
    watch: _CardWatch
    run_ids: list[str]
    rng: random.Random
    turns: dict[str, int] = field(default_factory=dict)
    events: list[tuple[str, int, float]] = field(default_factory=list)
    ends: dict[str, float] = field(default_factory=dict)

    async def event(self, run_id: str) -> None:
        """Write an event of a run."""
        self.turns[run_id] = self.turns.get(run_id, 0) + 1
        await self._write(_CHANGE, run_id)
        self.events.append((run_id, self.turns[run_id], time.monotonic()))

    async def end(self, run_id: str) -> None:
        """End a run."""
        await self._write(_END, run_id)
        self.ends[run_id] = time.monotonic()

    async def begin(self) -> None:
        """Mark all runs as running."""
        for run_id in self.run_ids:
            await self._write(_BEGIN, run_id)

    async def _write(self, statement: str, run_id: str) -> None:
        async with self.bench.database.sessions.begin() as session:
            await session.execute(
                text(statement), {"run_id": run_id, "turns": self.turns.get(run_id, 0)}
            )

    def live(self) -> list[str]:
        """The runs that have not ended."""
        return [run_id for run_id in self.run_ids if run_id not in self.ends]

    async def send_paced_events(self, seconds: float) -> None:
        """Write events at random times, as many as the limit allows."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(self.rng.expovariate(PACE / 60))
            await self.event(self.rng.choice(self.live()))

    async def send_event_bursts(self, seconds: float) -> None:
        """Write an event of every run every few seconds, and end a run from time to time."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            began = time.monotonic()
            for run_id in self.live():
                await self.event(run_id)
            wanted = _ENDED_UNDER_LOAD * (1 - left / seconds)
            while len(self.ends) < wanted:
                await self.end(self.rng.choice(self.live()))
            await asyncio.sleep(max(_EVERY_SECONDS - (time.monotonic() - began), 0.0))

    def take_latencies(self) -> list[float]:
        """Seconds from each event to its state or a newer one on the card; removes the events."""
        found = []
        for run_id, turns, at in self.events:
            card_turns = (when for when, seen in self.watch.card_turns[run_id] if seen >= turns)
            ended = self.watch.ended.get(run_id)
            when = next(card_turns, ended)
            if when is None:
                raise RuntimeError(f"{run_id} never showed turn {turns}")
            found.append(max(when - at, 0.0))
        self.events.clear()
        return found


async def measure(*, repetitions: int = 120) -> None:
    """Measure and print the results; a repetition is a second of each of the first two loads."""
    heading("drawing", f"from a run's event to its card, {LIVE} runs live")
    async with open_bench(command="bot") as bench:
        watch = _CardWatch(bench)
        following = asyncio.create_task(watch.follow_calls(), name="look")
        try:
            fleet = await _start_runs(bench, watch)
            await _wait_until_drawn(bench)
            await fleet.send_paced_events(repetitions)
            await _wait_until_drawn(bench)
            line(f"{PACE:.0f} events a minute: event to card", _percentiles(fleet.take_latencies()))
            await fleet.send_event_bursts(repetitions)
            burst_ends = dict(fleet.ends)
            await _wait_until_drawn(bench)
            offered = LIVE * 60 / _EVERY_SECONDS
            line(
                f"{offered:.0f} events a minute: event to card",
                _percentiles(fleet.take_latencies()),
            )
            line("  an end to its card", _percentiles(_since(burst_ends, watch.ended)))
            line("  an end to its result", _percentiles(_since(burst_ends, watch.result_posted_at)))
            rest = fleet.live()
            for run_id in rest:
                await fleet.end(run_id)
            await _wait_until_drawn(bench)
            ends = {run_id: fleet.ends[run_id] for run_id in rest}
            line(
                f"{len(ends)} ends at once: an end to its card",
                _percentiles(_since(ends, watch.ended)),
            )
            line("  an end to its result", _percentiles(_since(ends, watch.result_posted_at)))
        finally:
            following.cancel()
            await asyncio.wait({following})
        line("answers of 429", str(watch.refused))
        line("problems Slack would have reported", str(len(bench.sandbox.problems)))


async def _start_runs(bench: BenchEnvironment, watch: _CardWatch) -> _Runs:
    for number in range(LIVE):
        await bench.command(f"run implement --turns 1000 Task {number}")
    async with asyncio.timeout(_LIMIT):
        await bench.wait_until("true", LIVE)
    run_ids = [run.run_id for run in await bench.runs()]
    fleet = _Runs(bench, watch, run_ids, random.Random(1))
    await fleet.begin()
    return fleet


async def _wait_until_drawn(bench: BenchEnvironment) -> None:
    """Wait until every thread shows the state of its rows."""
    await _until(lambda: _is_all_drawn(bench))


async def _is_all_drawn(bench: BenchEnvironment) -> bool:
    async with bench.database.sessions() as session:
        behind = await session.scalar(
            text("SELECT count(*) FROM drawables WHERE drawn_version < desired_version")
        )
    return not behind


async def _until(predicate: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_LIMIT):
        # The database does not notify about drawn threads, so it is polled.
        while not await predicate():  # noqa: ASYNC110
            await asyncio.sleep(0.2)


def _since(began: dict[str, float], done: dict[str, float]) -> list[float]:
    return [done[run_id] - at for run_id, at in began.items()]


def _percentiles(samples: Sequence[float]) -> str:
    parts = ", ".join(f"p{rank} {percentile(samples, rank):.2f}" for rank in (50, 95, 99))
    return f"{parts}, max {max(samples):.2f} s (n={len(samples)})"
