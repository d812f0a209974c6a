"""Messages that list alerts: after a mute, and when a channel is subscribed."""

from __future__ import annotations

from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal

import pytest

from core.domain.alerts.channels.delivery import GroupType
from core.domain.alerts.channels.quiet_hours import QuietHours
from core.domain.alerts.channels.subscription import AlertFilter, Source
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.alerts.message import AlertMessage
from core.domain.runs.request import Place
from core.domain.runs.run import StopReason
from core.store.database.engine import Database
from tests.alerts.world import RUNNER, AlertWorld

pytestmark = pytest.mark.any_speed

# The tests' clock begins at noon.
AFTERNOON = QuietHours(start=time(13, 30), end=time(15), time_zone="UTC")
C1 = Place(team_id="T1", channel_id="C1")
HOUR = timedelta(hours=1)


@pytest.fixture
def world(database: Database) -> AlertWorld:
    return AlertWorld(database)


async def mute(world: AlertWorld, duration: timedelta | None = HOUR) -> None:
    await world.subscriptions.mute(C1, duration=duration, by=RUNNER)


def types(messages: list[AlertMessage]) -> list[tuple[GroupType, int]]:
    return [(message.group.type, len(message.alerts)) for message in messages]


@pytest.mark.parametrize("ends_early", [False, True], ids=["it_is_over", "somebody_ends_it"])
async def test_what_is_open_when_a_mute_ends_is_told_in_one_message(
    world: AlertWorld, *, ends_early: bool
) -> None:
    await world.subscribe(mention="<!subteam^S0614TZR7>")
    await mute(world)
    for reason in (StopReason.AGENT_ERROR, StopReason.MAX_TURNS):
        await world.ended_run(reason)
        await world.evaluate()
    world.wait(minutes=59)
    await world.evaluate()
    assert await world.messages() == []

    if ends_early:
        await mute(world, None)
    else:
        world.wait(minutes=1)
    await world.evaluate()
    await world.evaluate()

    [message] = await world.messages()
    assert message.group.type is GroupType.MUTED
    assert message.group.members == 2
    assert message.group.mention == "<!subteam^S0614TZR7>"
    assert {alert.kind for alert in message.alerts} == {AlertKind.FAILED, AlertKind.MAX_TURNS}


async def test_what_is_over_when_a_mute_ends_is_not_told(world: AlertWorld) -> None:
    await world.subscribe(kinds=frozenset(AlertKind))
    await mute(world)
    failed = await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    world.wait(minutes=10)
    await world.ended_run(parent_run_id=failed.id, session_id=failed.session_id)
    await world.evaluate()

    world.wait(hours=1)
    await world.evaluate()

    assert await world.messages() == []


async def test_what_a_longer_mute_keeps_away_is_told_at_its_end(world: AlertWorld) -> None:
    await world.subscribe()
    await mute(world)
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    world.wait(minutes=50)
    await mute(world)
    world.wait(minutes=50)
    await world.evaluate()
    assert await world.messages() == []

    world.wait(minutes=10)
    await world.evaluate()

    assert types(await world.messages()) == [(GroupType.MUTED, 1)]


async def test_a_mute_that_ends_in_quiet_hours_is_told_after_them(world: AlertWorld) -> None:
    await world.subscribe(quiet_hours=AFTERNOON)
    await mute(world, timedelta(hours=2))
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    world.wait(hours=2)
    await world.evaluate()
    assert await world.messages() == []

    world.wait(hours=1)
    await world.evaluate()

    assert types(await world.messages()) == [(GroupType.QUIET, 1)]


async def test_what_quiet_hours_held_and_a_mute_kept_away_is_told_after_both(
    world: AlertWorld,
) -> None:
    await world.subscribe(quiet_hours=AFTERNOON)
    world.wait(hours=2)
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    await mute(world, timedelta(hours=2))
    world.wait(hours=1)
    await world.evaluate()
    assert await world.messages() == []

    world.wait(hours=1)
    await world.evaluate()

    assert types(await world.messages()) == [(GroupType.MUTED, 1)]


async def test_a_snooze_outlasts_a_mute(world: AlertWorld) -> None:
    await world.subscribe()
    await mute(world)
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    alert = await world.only(AlertKind.FAILED)
    await world.alerts.snooze([alert.id], duration=timedelta(hours=2), by=RUNNER)
    world.wait(hours=1)
    await world.evaluate()
    assert await world.messages() == []

    world.wait(hours=1)
    await world.evaluate()

    assert types(await world.messages()) == [(GroupType.MUTED, 1)]


async def open_alerts(world: AlertWorld) -> None:
    """A failed run and one at its turn limit, told to nobody."""
    for reason in (StopReason.AGENT_ERROR, StopReason.MAX_TURNS):
        await world.ended_run(reason)
    await world.evaluate()
    world.wait(minutes=10)


async def test_a_new_subscription_lists_what_is_open_and_calls_nobody(world: AlertWorld) -> None:
    await open_alerts(world)

    await world.subscribe(mention="<!subteam^S0614TZR7>")
    await world.evaluate()

    [message] = await world.messages()
    assert (message.group.type, message.group.mention) == (GroupType.EARLIER, None)
    assert message.group.members == len(message.alerts) == 2
    world.wait(minutes=1)
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    assert types(await world.messages()) == [(GroupType.EARLIER, 2), (GroupType.ALERTS, 1)]


async def test_a_new_subscription_lists_only_what_it_wants(world: AlertWorld) -> None:
    await open_alerts(world)

    await world.subscribe(filter=AlertFilter(workflow="review"))
    await world.subscribe(kinds=frozenset({AlertKind.KILLED}))
    await world.evaluate()

    assert await world.messages() == []


async def test_a_changed_subscription_lists_what_it_wants_beside(world: AlertWorld) -> None:
    await open_alerts(world)
    made = await world.subscribe(kinds=frozenset({AlertKind.FAILED}))
    world.wait(minutes=1)

    await world.subscriptions.edit(replace(made, kinds=frozenset(AlertKind)), by=RUNNER)
    await world.evaluate()

    first, second = await world.messages()
    assert [one.kind for one in first.alerts] == [AlertKind.FAILED]
    assert [one.kind for one in second.alerts] == [AlertKind.MAX_TURNS]


async def test_what_is_told_already_is_not_listed_for_another_subscription(
    world: AlertWorld,
) -> None:
    await world.subscribe()
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()

    await world.subscribe(kinds=frozenset(AlertKind))
    await world.evaluate()

    assert types(await world.messages()) == [(GroupType.ALERTS, 1)]


async def test_what_becomes_critical_later_has_its_own_message(world: AlertWorld) -> None:
    await world.worker()
    run = await world.start(budget_usd=Decimal(5))
    await world.hear(run)
    await world.change(run, cost_usd=Decimal(4))
    await world.evaluate()
    await world.subscribe(
        filter=AlertFilter(least_severity=Severity.CRITICAL), mention="<!subteam^S0614TZR7>"
    )
    assert await world.messages() == []

    await world.change(run, cost_usd=Decimal(5))
    await world.evaluate()

    [message] = await world.messages()
    assert (message.group.type, message.group.mention) == (
        GroupType.ALERTS,
        "<!subteam^S0614TZR7>",
    )


async def test_a_state_is_told_when_it_has_lasted_for_a_new_subscriptions_time(
    world: AlertWorld,
) -> None:
    await world.worker()
    run = await world.start()
    await world.hear(run)
    world.wait(minutes=6)
    await world.worker()
    await world.evaluate()
    assert (await world.only(AlertKind.STALLED)).is_open
    await world.subscribe(pending_for=timedelta(minutes=15))
    assert await world.messages() == []

    world.wait(minutes=14)
    await world.worker()
    await world.evaluate()

    assert types(await world.messages()) == [(GroupType.ALERTS, 1)]


async def test_a_subscription_of_the_configuration_lists_once(world: AlertWorld) -> None:
    await open_alerts(world)
    made = await world.subscribe("C9")
    configured = replace(made, channel_id="C1", source=Source.CONFIG)

    for _ in range(2):
        await world.subscriptions.sync_configured([configured])
        await world.evaluate()

    assert types(await world.messages()) == [(GroupType.EARLIER, 2)]


async def test_in_quiet_hours_a_new_subscription_lists_at_their_end(world: AlertWorld) -> None:
    world.wait(hours=2)
    await open_alerts(world)

    await world.subscribe(quiet_hours=AFTERNOON)
    await world.evaluate()
    assert await world.messages() == []
    world.wait(hours=1)
    await world.evaluate()

    assert types(await world.messages()) == [(GroupType.QUIET, 2)]
