"""Digests on real rows: what is counted, once for each period."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import func, select, text

from core.domain.actor import User
from core.domain.alerts.channels.subscription import AlertFilter, DigestPeriod
from core.domain.alerts.kinds import AlertKind
from core.domain.alerts.posts.digest import Digest
from core.domain.alerts.posts.digest_figures import DigestFigures
from core.domain.drawables import DrawableId, DrawableKind
from core.domain.runs.outcome import OutcomeReason
from core.domain.runs.request import Place
from core.domain.runs.run import CostSource, RunStatus, StopReason
from core.services.alerts.digests import DigestService
from core.store import users
from core.store.alerts import digests
from core.store.database.engine import Database
from core.store.slack import drawables
from core.store.tables.alerts.subscriptions import DigestRow
from core.store.tables.runs import RunRow
from tests.alerts.world import RUNNER, AlertWorld

HOUR = timedelta(hours=1)
CHANNEL = Place(team_id="T1", channel_id="C1")
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)


def world_at(database: Database, now: datetime) -> AlertWorld:
    world = AlertWorld(database)
    world.now = now
    return world


async def written(world: AlertWorld) -> list[Digest]:
    async with world.database.sessions() as session:
        rows = await session.scalars(select(DigestRow).order_by(DigestRow.until))
        return [row.to_digest() for row in rows]


async def figures(world: AlertWorld) -> DigestFigures:
    """Those of the newest digest."""
    return DigestFigures.of_json((await written(world))[-1].figures)


async def is_drawn(world: AlertWorld, digest: Digest) -> bool:
    wanted = DrawableId(DrawableKind.DIGEST, str(digest.id))
    return await drawables.get(world.database.reads, wanted) is not None


async def test_a_digest_counts_what_ended_in_its_period(database: Database) -> None:
    world = world_at(database, MIDNIGHT - 20 * HOUR)
    await world.subscribe(digest=DigestPeriod.DAILY, digest_hour=0)
    await world.ended_run(cost_usd=Decimal(5))
    world.now = MIDNIGHT + HOUR
    await world.ended_run(cost_usd=Decimal("1.25"))
    await world.ended_run(reasons=[OutcomeReason.TESTS_FAILED])
    await world.ended_run(StopReason.AGENT_ERROR, workflow_name="review")
    await world.ended_run(StopReason.MAX_TURNS)
    slow = await world.start(task_input="Take  your\ntime")
    world.wait(hours=3)
    await world.finish(slow, cost_usd=Decimal("0.5"), cost_source=CostSource.REPORTED)
    await world.evaluate()
    world.now = MIDNIGHT + 24 * HOUR
    await world.ended_run()

    assert await DigestService(world.context).write_due() == 1

    (digest,) = await written(world)
    assert (digest.since, digest.until) == (MIDNIGHT, MIDNIGHT + 24 * HOUR)
    found = await figures(world)
    assert found.runs.by_status == {RunStatus.COMPLETED: 3, RunStatus.FAILED: 2}
    assert found.runs.by_stop_reason == {
        StopReason.SUCCESS: 3,
        StopReason.AGENT_ERROR: 1,
        StopReason.MAX_TURNS: 1,
    }
    assert found.runs.attention == 1
    assert found.runs.spend.reported_usd == Decimal("0.5")
    assert found.runs.spend.estimated_usd == Decimal("1.25")
    assert found.runs.spend.unknown_runs == 3
    assert found.before.count == 1
    assert found.before.spend.estimated_usd == Decimal(5)
    assert [(run.about, run.seconds) for run in found.slowest] == [("Take your time", 3 * 3600)]
    assert [(one.workflow, one.failures, one.ended) for one in found.failures] == [("review", 1, 1)]
    assert found.alerts_fired[AlertKind.FAILED] == 1
    assert found.alerts_open >= 1
    assert await is_drawn(world, digest)


async def test_two_bots_write_a_digest_once(database: Database) -> None:
    world = world_at(database, MIDNIGHT - HOUR)
    await world.subscribe(digest=DigestPeriod.DAILY, digest_hour=0)
    world.now = MIDNIGHT
    bots = [DigestService(world.context) for _ in range(4)]

    counts = await asyncio.gather(*(bot.write_due() for bot in bots))

    assert sum(counts) == 1
    assert len(await written(world)) == 1
    assert await bots[0].write_due() == 0


async def test_a_digest_is_restricted_as_its_subscription(database: Database) -> None:
    world = world_at(database, MIDNIGHT - HOUR)
    async with database.sessions.begin() as session:
        ada: User = await users.ensure(
            session, slack_team_id="T1", slack_user_id="U0ADA", name="ada", now=world.now
        )
    repository = AlertFilter(repository="acme/api", owner="U0ADA")
    await world.subscribe(digest=DigestPeriod.DAILY, digest_hour=0, filter=repository)
    address = "https://git.example.com/Acme/api.git"
    await world.ended_run(StopReason.AGENT_ERROR, git_repo=address, user_id=ada.id)
    await world.ended_run(git_repo="git@git.example.com:acme/api", user_id=ada.id)
    await world.ended_run(git_repo=address)
    await world.ended_run(git_repo="https://git.example.com/acme/my_api", user_id=ada.id)
    await world.ended_run(user_id=ada.id)
    await world.evaluate()
    world.now = MIDNIGHT

    await DigestService(world.context).write_due()

    found = await figures(world)
    assert found.runs.by_status == {RunStatus.COMPLETED: 1, RunStatus.FAILED: 1}
    assert found.alerts_fired == {AlertKind.FAILED: 1}
    assert (found.repository, found.owner, found.workflow) == ("acme/api", "U0ADA", None)


async def test_a_weekly_digest_tells_its_days_in_its_time_zone(database: Database) -> None:
    monday = datetime(2026, 11, 23, 8, tzinfo=UTC)
    world = world_at(database, monday - timedelta(days=6))
    zone = "Asia/Tokyo"
    await world.subscribe(digest=DigestPeriod.WEEKLY, digest_hour=17, time_zone=zone)
    world.now = datetime(2026, 11, 18, 14, 59, tzinfo=UTC)
    await world.ended_run()
    world.now = datetime(2026, 11, 18, 15, 1, tzinfo=UTC)
    await world.ended_run(StopReason.TIMEOUT)
    world.now = monday

    await DigestService(world.context).write_due()

    found = await figures(world)
    assert [(f"{one.day:%a}", one.completed, one.failed) for one in found.days] == [
        ("Wed", 1, 0),
        ("Thu", 0, 1),
    ]


async def test_a_muted_channel_gets_no_digest_and_none_is_missing_later(
    database: Database,
) -> None:
    world = world_at(database, MIDNIGHT - HOUR)
    await world.subscribe(digest=DigestPeriod.DAILY, digest_hour=0)
    await world.subscriptions.mute(CHANNEL, duration=timedelta(hours=2), by=RUNNER)
    world.now = MIDNIGHT
    await DigestService(world.context).write_due()
    world.now = MIDNIGHT + 24 * HOUR

    await DigestService(world.context).write_due()

    first, second = await written(world)
    assert not await is_drawn(world, first)
    assert await is_drawn(world, second)
    assert (await figures(world)).skipped == 0


async def test_the_runs_of_a_period_are_found_by_an_index(database: Database) -> None:
    conditions = digests.ended_within(AlertFilter(), since=MIDNIGHT - HOUR, until=MIDNIGHT)
    query = select(func.count()).select_from(RunRow).where(*conditions)
    words = query.compile(
        dialect=database.engine.dialect, compile_kwargs={"literal_binds": True}
    ).string
    async with database.sessions.begin() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(await session.scalars(text(f"EXPLAIN {words}")))

    assert "idx_workflow_runs_completed_at" in plan
