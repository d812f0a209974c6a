"""What happens at the same time: people who change subscriptions, and an evaluation."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from core.domain.alerts.channels.subscription import SubscriptionNotFound
from core.domain.alerts.kinds import AlertKind
from core.domain.runs.request import Place
from core.domain.runs.run import StopReason
from core.store.alerts import subscriptions
from core.store.database.engine import Database
from tests.alerts.world import RUNNER, AlertWorld
from tests.database import wait_for_blocked_session

pytestmark = pytest.mark.any_speed

PLACE = Place(team_id="T1", channel_id="C1")


async def test_equal_subscriptions_that_are_made_at_once_are_one(database: Database) -> None:
    world = AlertWorld(database)

    made = await asyncio.gather(*(world.subscribe() for _ in range(5)))

    assert len({one.id for one in made}) == 1
    assert len(await world.subscriptions.of_channel(PLACE, by=RUNNER)) == 1


async def test_a_mute_does_not_bring_back_what_is_ended_meanwhile(database: Database) -> None:
    world = AlertWorld(database)
    made = await world.subscribe()
    async with database.sessions.begin() as session:
        ending = await subscriptions.get(session, made.id, locks=True)
        assert ending is not None
        muting = asyncio.create_task(
            world.subscriptions.mute(PLACE, duration=timedelta(hours=1), by=RUNNER)
        )
        async with database.sessions() as other:
            await wait_for_blocked_session(other)
        await subscriptions.save(session, replace(ending, ended_at=world.now))

    with pytest.raises(SubscriptionNotFound):
        await muting
    assert await world.subscriptions.of_channel(PLACE, by=RUNNER) == []


async def test_acknowledging_a_group_beside_evaluations_never_fails(database: Database) -> None:
    world = AlertWorld(database)
    await world.subscribe(kinds=frozenset({AlertKind.FAILED}))
    for _ in range(8):
        world.wait(seconds=1)
        await world.ended_run(StopReason.AGENT_ERROR)
        await world.evaluate()
    (message,) = await world.messages()
    ids = [alert.id for alert in reversed(message.alerts)]

    for _ in range(10):
        world.wait(hours=1)
        await asyncio.gather(
            world.evaluate(),
            world.alerts.snooze(ids, duration=timedelta(minutes=30), by=RUNNER),
            world.alerts.acknowledge(ids, by=RUNNER),
        )

    (after,) = await world.messages()
    assert {alert.acknowledged_by for alert in after.alerts} == {RUNNER.name}
