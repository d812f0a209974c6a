"""Time from a run's end to its alert in Slack, with 50 live runs and 20 subscribed channels.

A `signalbox bot` evaluates and draws.  The runs have no agents: this script changes their rows.
The Slack sandbox enforces Slack's limits.  Every channel is subscribed to the usual kinds.  While
events of all runs change their cards, runs end one after another, every third of them failed,
stopped at its turn limit, or with failing tests; then all others end at once.  An alert has reached
a channel when a message or a reply there first names its run.  A 429 would be a defect of
Signalbox.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import text

from benchmarks.call_watch import CallWatch
from benchmarks.environment import BenchEnvironment, open_bench
from benchmarks.results import heading, line, percentile
from bot.sandbox.slack.people import BUILDS, Channel
from core.domain.alerts.channels.subscription import Source, Subscription
from core.store.alerts import subscriptions

LIVE = 50
CHANNELS = 20
_END_EVERY_SECONDS = 6.0
_EVENT_EVERY_SECONDS = 5.0
_LIMIT = 300
_BEGIN = """
    UPDATE workflow_runs SET status = 'running', started_at = now(), version = version + 1,
        updated_at = now(), worker_id = 'bench:1'
    WHERE status = 'pending'
"""
_EVENTS = """
    UPDATE workflow_runs SET turns = turns + 1, version = version + 1, updated_at = now(),
        last_activity_at = now()
    WHERE status = 'running'
"""
_ENDS = (
    "status = 'failed', stop_reason = 'agent_error'",
    "status = 'failed', stop_reason = 'max_turns'",
    """status = 'completed', stop_reason = 'success', outcome = 'attention',
        outcome_reasons = '["tests_failed"]'
    """,
)
_CLEAN = "status = 'completed', stop_reason = 'success', outcome = 'clean'"
_END = """
    UPDATE workflow_runs SET {how}, completed_at = now(), result = 'Done.', version = version + 1,
        updated_at = now()
    WHERE run_id = :run_id
"""
_WORKER = """
    INSERT INTO workers (worker_id, node, host, slots, state, program_version, started_at,
        heartbeat_at)
    VALUES ('bench:1', 'bench', 'bench#1', 50, 'up', '', now(), now())
    ON CONFLICT (worker_id) DO UPDATE SET heartbeat_at = now()
"""


@dataclass
class _Watch(CallWatch):
    """What was told, and when.

    Attributes:
        tasks: What each run is about.
        cards: Per run, when its card showed the end.
        ends: Per run, when its thread first showed the end: as the card, or as a reply below it.
        told: Per run and channel, when an alert first named it there.
    """

    tasks: dict[str, str] = field(default_factory=dict)
    cards: dict[str, float] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)
    told: dict[tuple[str, str], float] = field(default_factory=dict)

    def note_drawn(
        self, *, thread_key: str, slot: str, channel: str, drawn: str, now: float
    ) -> None:
        """Note threads that show an end, and alerts."""
        if slot.startswith("result:"):
            self.ends.setdefault(thread_key, now)
        if slot == "card":
            if any(word in drawn for word in ("Completed", "Finished", "Stopped", "Failed")):
                self.cards.setdefault(thread_key, now)
                self.ends.setdefault(thread_key, now)
            return
        for run_id, task in self.tasks.items():
            if task in drawn and channel.startswith("C0ALERT"):
                self.told.setdefault((run_id, channel), now)


@dataclass
class _Fleet:
    """The runs, and when each ended."""

    bench: BenchEnvironment
    run_ids: list[str]
    rng: random.Random
    ends: dict[str, float] = field(default_factory=dict)
    alerting: set[str] = field(default_factory=set)

    def live(self) -> list[str]:
        """The runs that have not ended."""
        return [run_id for run_id in self.run_ids if run_id not in self.ends]

    async def end(self, run_id: str) -> None:
        """End a run; every third end is one that a person should know of."""
        number = len(self.ends)
        how = _ENDS[number // 3 % len(_ENDS)] if number % 3 == 0 else _CLEAN
        if number % 3 == 0:
            self.alerting.add(run_id)
        await self.execute(_END.format(how=how), run_id=run_id)
        self.ends[run_id] = time.monotonic()

    async def execute(self, statement: str, **values: object) -> None:
        """Write rows."""
        async with self.bench.database.sessions.begin() as session:
            await session.execute(text(statement), values)

    async def work(self) -> None:
        """Write events of all live runs, and the heartbeat of their worker, until cancelled."""
        while True:
            await self.execute(_WORKER)
            await self.execute(_EVENTS)
            await asyncio.sleep(_EVENT_EVERY_SECONDS)


async def measure(*, repetitions: int = 25) -> None:
    """Measure and print the results; a repetition is a run that ends beside working ones."""
    heading("alert-telling", f"from a run's end to Slack, {LIVE} runs, {CHANNELS} channels")
    async with open_bench(command="bot") as bench:
        await _subscribe(bench)
        watch = _Watch(bench)
        fleet = await _start_runs(bench, watch)
        following = asyncio.create_task(watch.follow_calls(), name="look")
        working = asyncio.create_task(fleet.work(), name="work")
        try:
            began = time.monotonic()
            for _ in range(repetitions):
                await asyncio.sleep(_END_EVERY_SECONDS)
                await fleet.end(fleet.rng.choice(fleet.live()))
            await _wait_until_told(fleet, watch)
            _print(f"{repetitions} ends beside working runs", fleet, watch, set(fleet.ends))
            minutes = (time.monotonic() - began) / 60
            for name in ("chat.postMessage", "chat.update"):
                line(f"  {name}", f"{watch.calls[name] / minutes:.0f} a minute")
            before = set(fleet.ends)
            for run_id in fleet.live():
                await fleet.end(run_id)
            await _wait_until_told(fleet, watch)
            rest = set(fleet.ends) - before
            _print(f"{len(rest)} ends at once", fleet, watch, rest)
        finally:
            for task in (following, working):
                task.cancel()
            await asyncio.wait({following, working})
        line("answers of 429", str(watch.refused))
        line("problems Slack would have reported", str(len(bench.sandbox.problems)))


async def _subscribe(bench: BenchEnvironment) -> None:
    state = bench.sandbox.workspace
    members = set(state.channels[BUILDS].members)
    async with bench.database.sessions.begin() as session:
        for number in range(CHANNELS):
            channel = Channel(
                id=f"C0ALERT{number:02d}", name=f"alerts-{number}", members=set(members)
            )
            state.channels[channel.id] = channel
            await subscriptions.save(
                session,
                Subscription(
                    id=uuid4(),
                    team_id=bench.sandbox.team_id,
                    channel_id=channel.id,
                    source=Source.SLACK,
                    created_at=datetime.now(UTC),
                ),
            )


async def _start_runs(bench: BenchEnvironment, watch: _Watch) -> _Fleet:
    for number in range(LIVE):
        await bench.command(f"run implement --turns 1000 Task number {number:03d}")
    async with asyncio.timeout(_LIMIT):
        await bench.wait_until("true", LIVE)
    runs = await bench.runs()
    watch.tasks = {run.run_id: run.task_input for run in runs}
    fleet = _Fleet(bench, [run.run_id for run in runs], random.Random(1))
    await fleet.execute(_WORKER)
    await fleet.execute(_BEGIN)
    return fleet


async def _wait_until_told(fleet: _Fleet, watch: _Watch) -> None:
    wanted = len(fleet.alerting) * CHANNELS
    async with asyncio.timeout(_LIMIT):
        # The sandbox does not notify about calls, so they are polled.
        while len(watch.told) < wanted or not fleet.ends.keys() <= watch.cards.keys():  # noqa: ASYNC110
            await asyncio.sleep(0.2)


def _print(name: str, fleet: _Fleet, watch: _Watch, run_ids: set[str]) -> None:
    cards = [watch.cards[run_id] - fleet.ends[run_id] for run_id in run_ids]
    shown = [watch.ends[run_id] - fleet.ends[run_id] for run_id in run_ids]
    told = [at - fleet.ends[run_id] for (run_id, _), at in watch.told.items() if run_id in run_ids]
    line(f"{name}: an end to its thread", _percentiles(shown))
    line("  an end to its card", _percentiles(cards))
    line("  an end to its alert in a channel", _percentiles(told))


def _percentiles(samples: list[float]) -> str:
    parts = ", ".join(f"p{rank} {percentile(samples, rank):.2f}" for rank in (50, 95, 99))
    return f"{parts}, max {max(samples):.2f} s (n={len(samples)})"
