import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from core.domain.errors import Unavailable
from core.domain.runs.work.checkpoint_policy import CheckpointPolicy
from core.runner.clock import Clock, ClockJob, clock_jobs, history_jobs
from core.services.analytics import AnalyticsService
from core.services.context import ServiceContext
from core.services.fleet.admission import AdmissionService
from core.services.fleet.resources import ResourceThinning
from core.services.fleet.workspaces import WorkspaceService
from core.services.housekeeping import DELIVERY_RETENTION, HousekeepingService
from core.services.retention.retention import RetentionService
from core.services.runs.checkpoints import CheckpointExpiry
from core.store.database.engine import Database
from core.store.slack import deliveries
from tests.limits import limit

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def make_service(database: Database) -> HousekeepingService:
    return HousekeepingService(ServiceContext(database, lambda: NOW))


def make_clock(database: Database, *more: ClockJob) -> Clock:
    work = ServiceContext(database, lambda: NOW)
    housekeeping = HousekeepingService(work)
    expiry = CheckpointExpiry(work, CheckpointPolicy())
    jobs = clock_jobs(
        housekeeping,
        AdmissionService(work),
        expiry,
        WorkspaceService(work),
        ResourceThinning(work),
    )
    jobs += history_jobs(AnalyticsService(work), RetentionService(work))
    return Clock(housekeeping.leadership, (*jobs, *more))


async def received(database: Database, key: str, *, at: datetime) -> None:
    async with database.sessions.begin() as session:
        await deliveries.receive(session, key, {"text": "words"}, now=at)


async def keys(database: Database) -> list[str]:
    async with database.sessions() as session:
        found = await session.scalars(text("SELECT key FROM slack_deliveries ORDER BY key"))
        return list(found)


async def wait_until(holds: Callable[[], bool]) -> None:
    async with limit(20):
        while not holds():  # noqa: ASYNC110 - another task sets it without a notification
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(clock: Clock) -> AsyncIterator[None]:
    task = asyncio.create_task(clock.run(), name="clock")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_deliveries_are_deleted_after_their_retention_and_not_before(
    database: Database,
) -> None:
    await received(database, "old", at=NOW - DELIVERY_RETENTION - timedelta(seconds=1))
    await received(database, "young", at=NOW - DELIVERY_RETENTION + timedelta(seconds=1))

    cleared = await make_service(database).delete_expired()

    assert cleared.deliveries == 1
    assert await keys(database) == ["young"]


async def test_one_scheduler_leads_and_the_other_takes_over(database: Database) -> None:
    first, second = make_clock(database), make_clock(database)
    async with running(second):
        async with running(first):
            await wait_until(lambda: first.is_leading or second.is_leading)
            assert first.is_leading != second.is_leading
        await wait_until(lambda: second.is_leading)

    assert not first.is_leading
    assert not second.is_leading


async def test_the_first_tick_comes_at_once(database: Database) -> None:
    await received(database, "old", at=NOW - 2 * DELIVERY_RETENTION)

    async with running(make_clock(database)), limit(20):
        while await keys(database):  # noqa: ASYNC110 - the database sends no notification
            await asyncio.sleep(0.01)

    assert await keys(database) == []


async def test_a_job_that_cannot_reach_the_database_is_called_again(database: Database) -> None:
    calls: list[int] = []

    async def act() -> None:
        calls.append(len(calls))
        raise Unavailable("no database", user_message="Try again.")

    job = ClockJob(name="try", every=timedelta(milliseconds=20), act=act, is_due_at_start=True)
    async with running(make_clock(database, job)):
        await wait_until(lambda: len(calls) > 1)

    assert calls[:2] == [0, 1]


async def test_a_job_is_not_called_again_before_it_has_returned(database: Database) -> None:
    started, release = asyncio.Event(), asyncio.Event()
    calls: list[str] = []

    async def slow() -> None:
        calls.append("slow")
        started.set()
        await release.wait()

    async def quick() -> None:
        calls.append("quick")

    often = timedelta(milliseconds=20)
    jobs = [ClockJob(name=act.__name__, every=often, act=act) for act in (slow, quick)]
    async with running(make_clock(database, *jobs)), limit(20):
        await started.wait()
        await wait_until(lambda: calls.count("quick") > 3)
        assert calls.count("slow") == 1
        release.set()
        await wait_until(lambda: calls.count("slow") > 1)
