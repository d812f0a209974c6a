"""The clock and alerts: promptly after a change, cheap at rest, and by one process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import event

from core.domain.alerts.kinds import AlertKind
from core.domain.errors import Unavailable
from core.domain.feed import Change
from core.domain.fleet.workers import WorkerState
from core.domain.kills.termination import Termination
from core.domain.retention import RetentionKind
from core.domain.runs.run import Run, StopReason
from core.runner.alert_hints import AlertHints, can_matter
from core.runner.clock import _HINT_GAP_SECONDS, Clock, ClockJob, alert_jobs
from core.services.alerts.digests import DigestService
from core.services.alerts.evaluation import AlertEvaluation
from core.services.alerts.progress import ProgressService
from core.services.feed import FeedService
from core.services.housekeeping import HousekeepingService
from core.store.database.engine import Database
from core.store.runs import runs
from tests.alerts.world import AlertWorld
from tests.limits import limit, patient

RARELY = timedelta(hours=1)
# A look at rest, of which there is one in ten seconds.
MAX_STATEMENTS = 10


@dataclass
class Evaluations:
    """A meter that counts evaluations."""

    at: list[datetime] = field(default_factory=list)

    def run_began(self, run: Run) -> None:
        raise AssertionError

    def run_ended(self, run: Run) -> None:
        raise AssertionError

    def kill_advanced(self, kill: Termination) -> None:
        raise AssertionError

    def alerts_evaluated(self, at: datetime) -> None:
        self.at.append(at)

    def expired_removed(self, kind: RetentionKind, *, rows: int, months: int) -> None:
        """Nothing."""


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that are executed meanwhile."""
    found: list[str] = []

    def note(*given: Any) -> None:
        found.append(given[2])

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


@asynccontextmanager
async def running(clock: Clock) -> AsyncIterator[None]:
    task = asyncio.create_task(clock.run(), name="clock")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def clock_of(world: AlertWorld, *jobs: ClockJob) -> Clock:
    return Clock(HousekeepingService(world.context).leadership, jobs)


def hinted_job(world: AlertWorld, meter: Evaluations) -> ClockJob:
    evaluation = AlertEvaluation(world.context, world.limits, meter=meter)
    return ClockJob(
        name="evaluate alerts",
        every=RARELY,
        act=evaluation.evaluate,
        hints=AlertHints(FeedService(world.context)),
    )


async def until(holds: Any) -> None:
    async with limit(10):
        while not holds():  # noqa: ASYNC110 - another task sets it without a notification
            await asyncio.sleep(0.01)


async def test_an_evaluation_at_rest_needs_few_statements(database: Database) -> None:
    world = AlertWorld(database)
    await world.worker()
    await world.subscribe()
    await world.ended_run(StopReason.AGENT_ERROR)
    for _ in range(5):
        run = await world.start(workflow_name="implement", max_turns=30)
        await world.hear(run)
    await world.evaluate()

    with counted(database) as statements:
        await world.evaluate()

    assert 0 < len(statements) <= MAX_STATEMENTS, statements


async def test_the_other_jobs_need_few_statements_at_rest(database: Database) -> None:
    world = AlertWorld(database)
    await world.subscribe()

    with counted(database) as statements:
        await ProgressService(world.context).take_due()
        await DigestService(world.context).write_due()

    assert 0 < len(statements) <= 4, statements


async def test_the_end_of_a_run_is_told_at_once(database: Database) -> None:
    world, meter = AlertWorld(database), Evaluations()
    await world.worker()
    await world.subscribe()
    run = await world.start()
    async with running(clock_of(world, hinted_job(world, meter))):
        # The feed begins with a hint.
        await until(lambda: meter.at)
        loop = asyncio.get_running_loop()
        ended = loop.time()
        await world.finish(run, StopReason.AGENT_ERROR)
        await until(lambda: len(meter.at) > 1)
        took = loop.time() - ended

    await world.only(AlertKind.FAILED)
    assert took < patient(2)


async def test_a_workers_state_is_looked_at_at_once(database: Database) -> None:
    world, meter = AlertWorld(database), Evaluations()
    await world.worker()
    async with running(clock_of(world, hinted_job(world, meter))):
        await until(lambda: meter.at)

        await world.worker(state=WorkerState.GONE)
        await until(lambda: len(meter.at) > 1)

    assert await world.pending() == [], "it stopped in order"


async def test_changes_that_come_together_get_one_evaluation(database: Database) -> None:
    world, meter = AlertWorld(database), Evaluations()
    started = [await world.start() for _ in range(10)]
    async with running(clock_of(world, hinted_job(world, meter))):
        await until(lambda: meter.at)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for run in started:
            await world.finish(run)
        took = loop.time() - began
        async with limit(10):
            while len(await world.all_alerts()) < len(started):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)

    assert {one.kind for one in await world.all_alerts()} == {AlertKind.COMPLETED}
    # On a busy machine they do not come together.
    assert len(meter.at) < 6 + took / _HINT_GAP_SECONDS


async def test_progress_of_a_run_is_left_to_the_tick(database: Database) -> None:
    world = AlertWorld(database)
    run = await world.start()
    found: list[tuple[str, bool]] = []
    async with FeedService(world.context).subscribe() as subscription, limit(10):
        begun = await anext(subscription)
        await world.change(run, turns=2, cost_usd=Decimal(1))
        await world.finish(run, work_due_at=world.now)
        async with database.sessions.begin() as session:
            await runs.settle_work(session, run.run_id, now=world.now, turns=3)
        while not found or found[-1][0] != "measured":
            item = await anext(subscription)
            assert isinstance(item, Change)
            found.append((item.what, can_matter(item)))

    assert can_matter(begun)
    # Only then is it known what a completed run is told as.
    assert found == [("progress", False), ("completed", True), ("measured", True)]


async def test_a_hint_during_a_call_leads_to_another_one_after_it(database: Database) -> None:
    world = AlertWorld(database)
    hinted, calls, active, most_active = asyncio.Queue[None](), 0, 0, 0
    release = asyncio.Event()

    async def hints() -> AsyncIterator[None]:
        while True:
            await hinted.get()
            yield None

    async def act() -> None:
        nonlocal calls, active, most_active
        active += 1
        calls += 1
        most_active = max(most_active, active)
        await release.wait()
        active -= 1

    often = timedelta(milliseconds=20)
    job = ClockJob(name="look", every=often, act=act, hints=hints)
    async with running(clock_of(world, job)):
        hinted.put_nowait(None)
        await until(lambda: calls == 1)
        hinted.put_nowait(None)
        await until(hinted.empty)
        assert calls == 1
        release.set()
        await until(lambda: calls > 2)

    assert most_active == 1


async def test_without_the_feed_the_tick_is_enough(database: Database) -> None:
    world = AlertWorld(database)
    calls: list[int] = []

    async def broken() -> AsyncIterator[None]:
        raise Unavailable("no feed", user_message="Try again.")
        yield

    async def act() -> None:
        calls.append(1)

    hints = AlertHints(FeedService(world.context))
    assert [
        job.hints
        for job in alert_jobs(
            AlertEvaluation(world.context),
            DigestService(world.context),
            ProgressService(world.context),
            hints,
        )
    ] == [hints, None, None]
    job = ClockJob(name="look", every=timedelta(milliseconds=20), act=act, hints=broken)
    async with running(clock_of(world, job)):
        await until(lambda: len(calls) > 2)
