"""The short form of the campaign in `handover`."""

from __future__ import annotations

import asyncio
import random

import pytest

from core.domain.alerts.kinds import AlertKind
from core.domain.runs.run import StopReason
from core.runner.clock import Clock, ClockJob
from core.services.alerts.evaluation import AlertEvaluation
from core.services.housekeeping import HousekeepingService
from core.store.database.engine import Database
from tests.alerts.clock_process import EVALUATION_EVERY
from tests.alerts.handover import Campaign
from tests.alerts.world import AlertWorld
from tests.limits import limit

KILLS = 4


@pytest.mark.sampled(5, group="campaigns")
async def test_nothing_is_lost_or_doubled_when_leaders_are_killed(database: Database) -> None:
    found = await Campaign(database, KILLS).execute()

    assert found.problems == []
    assert len(found.fired) == KILLS * 4
    assert len(found.told) == KILLS * 2
    assert found.leaders > KILLS // 2


async def test_an_evaluation_that_is_cancelled_anywhere_has_done_nothing(
    database: Database,
) -> None:
    """Two clocks in one process, each cancelled at random moments of its evaluations."""
    world = AlertWorld(database)
    await world.subscribe(kinds=frozenset({AlertKind.FAILED}))
    chance = random.Random(7)

    def clock() -> Clock:
        job = ClockJob(
            name="evaluate alerts",
            every=EVALUATION_EVERY,
            act=AlertEvaluation(world.context).evaluate,
            is_due_at_start=True,
        )
        return Clock(HousekeepingService(world.context).leadership, (job,))

    clocks = [asyncio.create_task(clock().run()) for _ in range(2)]
    try:
        for number in range(12):
            await world.ended_run(StopReason.AGENT_ERROR)
            await asyncio.sleep(chance.random() * 0.3)
            place = number % 2
            clocks[place].cancel()
            await asyncio.wait({clocks[place]})
            clocks[place] = asyncio.create_task(clock().run())
        async with limit(20):
            while len(await world.all_alerts()) < 12:  # noqa: ASYNC110 - rows do not notify
                await asyncio.sleep(0.05)
    finally:
        for task in clocks:
            task.cancel()
        await asyncio.wait(clocks)

    alerts = await world.all_alerts()
    assert len({alert.subject for alert in alerts}) == len(alerts) == 12
    assert sum(len(message.alerts) for message in await world.messages()) == 12
