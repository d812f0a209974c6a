"""What alerts and digests leave behind is deleted after its time, in batches."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from sqlalchemy import func, insert, select

from core.domain.alerts.channels.subscription import DigestPeriod
from core.domain.alerts.posts.digest import Digest
from core.domain.drawables import SlackMessage, SlackMessageState
from core.domain.runs.run import StopReason
from core.services.alerts.digests import DigestService
from core.services.housekeeping import (
    RUN_DAY_RETENTION,
    DeletedAlertCounts,
    HousekeepingService,
)
from core.store.database.engine import Database
from core.store.slack import slack_messages
from core.store.tables.alerts.episodes import (
    AlertDeliveryRow,
    AlertEventRow,
    AlertGroupRow,
    AlertRow,
)
from core.store.tables.alerts.subscriptions import DigestRow, RunDayRow
from core.store.tables.base import Row
from core.store.tables.drawables import DrawableRow
from core.store.tables.slack import SlackMessageRow
from tests.alerts.world import AlertWorld

DAY = timedelta(days=1)
ALERTS_DAYS, DIGESTS_DAYS = 90, 365


async def count(world: AlertWorld, *tables: type[Row]) -> list[int]:
    async with world.database.sessions() as session:
        return [await session.scalar(select(func.count()).select_from(one)) or 0 for one in tables]


async def delete(world: AlertWorld) -> DeletedAlertCounts:
    return await HousekeepingService(world.context).delete_old_alerts()


async def test_ended_alerts_go_with_all_that_is_known_of_them(database: Database) -> None:
    world = AlertWorld(database)
    await world.subscribe()
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    # Nobody acts on it, so it is closed.
    await world.pass_time(minutes=1)
    world.wait(hours=25)
    await world.evaluate()
    (message,) = await world.messages()
    shown = SlackMessage(
        id=uuid4(),
        drawable_kind="alert",
        thread_key=str(message.group.id),
        slot="alert",
        channel_id="C1",
        state=SlackMessageState.SHOWN,
        updated_at=world.now,
    )
    await slack_messages.save(database.reads, shown)
    world.wait(days=ALERTS_DAYS - 2)
    assert (await delete(world)).alerts == 0
    world.wait(days=3)

    deleted = await delete(world)

    assert (deleted.alerts, deleted.groups) == (1, 1)
    tables = (AlertRow, AlertEventRow, AlertDeliveryRow, AlertGroupRow, SlackMessageRow)
    assert await count(world, *tables) == [0, 0, 0, 0, 0]
    async with database.sessions() as session:
        kinds = await session.scalars(select(DrawableRow.kind))
        assert "alert" not in set(kinds)


async def test_open_alerts_stay(database: Database) -> None:
    world = AlertWorld(database)
    await world.subscribe()
    run = await world.start()
    await world.hear(run)
    await world.pass_time(minutes=6)
    assert len(await world.all_alerts()) == 1
    world.wait(days=400)

    deleted = await delete(world)

    assert deleted.alerts == 0
    assert await count(world, AlertRow, AlertGroupRow) == [1, 1]


async def test_digests_and_totals_of_days_go_after_their_time(database: Database) -> None:
    world = AlertWorld(database)
    await world.subscribe(digest=DigestPeriod.DAILY, digest_hour=12)
    await world.ended_run()
    await world.evaluate()
    world.wait(days=1)
    await DigestService(world.context).write_due()
    assert await count(world, DigestRow, RunDayRow) == [1, 1]
    world.wait(days=DIGESTS_DAYS - 1)
    assert (await delete(world)).digests == 0
    world.wait(days=2)

    assert (await delete(world)).digests == 1
    assert await count(world, DigestRow, RunDayRow) == [0, 1]

    world.wait(days=RUN_DAY_RETENTION.days - DIGESTS_DAYS + 1)
    assert (await delete(world)).run_days == 1


async def test_many_rows_are_deleted_in_batches(database: Database) -> None:
    world = AlertWorld(database)
    wanted = await world.subscribe(digest=DigestPeriod.DAILY)
    rows = [
        Digest(
            id=uuid4(),
            subscription_id=wanted.id,
            team_id="T1",
            channel_id="C1",
            period=DigestPeriod.DAILY,
            since=world.now - (n + 1) * DAY - DIGESTS_DAYS * DAY,
            until=world.now - n * DAY - DIGESTS_DAYS * DAY - DAY,
            figures={},
        )
        for n in range(30)
    ]
    async with database.sessions.begin() as session:
        await session.execute(
            insert(DigestRow),
            [{**vars(one), "period": one.period.value, "created_at": one.until} for one in rows],
        )

    assert (await HousekeepingService(world.context, batch=7).delete_old_alerts()).digests == 30
    assert await count(world, DigestRow) == [0]
