"""How far Slack is behind, as the bot that draws stores it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from bot.slack.client.long_limits import LongLimits
from bot.slack.client.meter import NO_SLACK_METER
from bot.slack.drawing.health import HealthReports
from bot.slack.drawing.lag import DrawingLag
from bot.slack.drawing.notices import Notices
from bot.slack.views.message import Message
from core.domain.alerts.kinds import AlertKind
from core.domain.drawables import DrawableId, SlackHealth
from core.services.drawables import DrawableService
from core.services.feed import FeedService
from core.store.alerts import facts
from core.store.database.engine import Database
from tests.alerts.world import AlertWorld
from tests.database import NOW

THREAD = DrawableId("thread", "run_1")


class NoTeller:
    async def tell(self, user_id: str, message: Message, *, channel_id: str | None) -> bool:
        return False


@dataclass
class Clockwork:
    """Reports with a clock that the test moves."""

    written: list[SlackHealth] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.lag = DrawingLag(NO_SLACK_METER, lambda: self.seconds)
        self.reports = HealthReports(
            self,
            self.lag,
            Notices(LongLimits(self.clock), NoTeller(), self.clock),
            "T1",
            self.clock,
        )

    def clock(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    async def record_health(self, health: SlackHealth) -> None:
        self.written.append(health)

    async def pass_time(self, seconds: int) -> None:
        for _ in range(seconds // 5):
            self.seconds += 5
            await self.reports.report()


async def test_nothing_is_written_while_all_is_shown_in_time() -> None:
    work = Clockwork()
    await work.pass_time(5)
    assert [one.outdated for one in work.written] == [0]

    for _ in range(20):
        work.lag.found_outdated([THREAD])
        await work.pass_time(10)
        work.lag.record_drawn(THREAD)

    assert len(work.written) == 1


async def test_a_lag_is_written_often_and_its_end_once() -> None:
    work = Clockwork()
    await work.pass_time(5)
    work.lag.found_outdated([THREAD, DrawableId("thread", "run_2")])

    await work.pass_time(60)

    behind = work.written[1:]
    times = [one.at for one in behind]
    assert all(one.outdated == 2 for one in behind)
    assert {one.oldest_at for one in behind} == {NOW + timedelta(seconds=5)}
    assert times[0] == NOW + timedelta(seconds=25)
    assert max(after - at for at, after in pairwise(times)) <= timedelta(seconds=15)

    work.lag.forget()
    await work.pass_time(60)

    assert work.written[-1].outdated == 0
    assert work.written[-1].oldest_at is None
    assert len(work.written) == len(behind) + 2


async def test_the_row_of_a_workspace_is_replaced_and_alerts_see_it(database: Database) -> None:
    world = AlertWorld(database)
    service = DrawableService(world.context, FeedService(world.context))
    health = SlackHealth(
        team_id="T1", at=world.now, outdated=3, oldest_at=world.now, limited=("chat.update",)
    )
    await service.record_health(health)
    world.wait(minutes=3)
    await service.record_health(
        SlackHealth(team_id="T1", at=world.now, outdated=3, oldest_at=health.oldest_at)
    )

    async with database.sessions() as session:
        (stored,) = await facts.slack_health(session)
    await world.worker()
    await world.pass_time(minutes=2)

    assert (stored.outdated, stored.oldest_at, stored.limited) == (3, health.oldest_at, ())
    assert (await world.only(AlertKind.SLACK_TROUBLE)).is_open
