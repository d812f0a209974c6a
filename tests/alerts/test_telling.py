"""What channels are told when something changes between an alert's beginning and its telling."""

from __future__ import annotations

from datetime import time, timedelta
from decimal import Decimal

import pytest

from core.domain.alerts.channels.delivery import GroupType
from core.domain.alerts.channels.quiet_hours import QuietHours
from core.domain.alerts.channels.subscription import AlertFilter
from core.domain.alerts.episode import Resolution
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.runs.run import StopReason
from core.store.database.engine import Database
from tests.alerts.world import RUNNER, AlertWorld

pytestmark = pytest.mark.any_speed

# The tests' clock begins at noon.
NOON = QuietHours(start=time(11), end=time(13), time_zone="UTC")


@pytest.fixture
def world(database: Database) -> AlertWorld:
    return AlertWorld(database)


async def test_what_was_held_is_told_in_one_message_after_quiet_hours(world: AlertWorld) -> None:
    await world.worker()
    await world.subscribe(quiet_hours=NOON, mention="<!here>")
    for reason in (StopReason.AGENT_ERROR, StopReason.MAX_TURNS):
        await world.ended_run(reason)
        await world.evaluate()
    assert await world.messages() == []

    world.wait(hours=1)
    await world.worker()
    await world.evaluate()

    [message] = await world.messages()
    assert (message.group.type, message.group.mention) == (GroupType.QUIET, "<!here>")
    assert {alert.kind for alert in message.alerts} == {AlertKind.FAILED, AlertKind.MAX_TURNS}


async def test_a_held_alert_that_becomes_critical_is_told_at_once(world: AlertWorld) -> None:
    await world.worker()
    await world.subscribe(quiet_hours=NOON)
    run = await world.start(budget_usd=Decimal(5))
    await world.hear(run)
    await world.change(run, cost_usd=Decimal(4))
    await world.evaluate()
    assert await world.messages() == []

    await world.change(run, cost_usd=Decimal(5))
    await world.evaluate()

    [message] = await world.messages()
    assert message.alerts[0].severity is Severity.CRITICAL


async def test_what_was_held_is_not_told_to_who_no_longer_wants_it(world: AlertWorld) -> None:
    subscription = await world.subscribe(quiet_hours=NOON)
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    await world.subscriptions.unsubscribe([subscription.id], by=RUNNER)

    world.wait(hours=5)
    await world.evaluate()

    assert await world.messages() == []


async def test_a_state_that_is_over_before_the_channels_time_is_not_told(
    world: AlertWorld,
) -> None:
    await world.worker()
    await world.subscribe(pending_for=timedelta(minutes=15))
    run = await world.start()
    await world.hear(run)
    world.wait(minutes=6)
    await world.worker()
    await world.evaluate()
    assert (await world.only(AlertKind.STALLED)).is_open

    await world.hear(run)
    await world.evaluate()

    assert not (await world.only(AlertKind.STALLED)).is_open
    assert await world.messages() == []


async def test_a_channel_without_a_limit_of_costs_hears_of_the_teams(world: AlertWorld) -> None:
    await world.worker()
    await world.subscribe("C1", kinds=frozenset({AlertKind.COST}))
    await world.subscribe(
        "C2",
        kinds=frozenset({AlertKind.COST}),
        filter=AlertFilter(least_cost_usd=Decimal(3)),
    )
    run = await world.start()
    await world.hear(run)
    await world.change(run, cost_usd=Decimal(3))
    await world.evaluate()
    assert [len(await world.messages(channel)) for channel in ("C1", "C2")] == [0, 1]

    await world.change(run, cost_usd=Decimal(10))
    await world.evaluate()

    assert [len(await world.messages(channel)) for channel in ("C1", "C2")] == [1, 1]


async def test_a_reached_cost_is_dated_from_when_it_was_seen(world: AlertWorld) -> None:
    await world.worker()
    run = await world.start()
    world.wait(minutes=50)
    await world.worker()
    await world.hear(run)
    await world.change(run, cost_usd=Decimal(12))

    await world.evaluate()

    assert (await world.only(AlertKind.COST)).opened_at == world.now


async def test_a_failure_that_somebody_went_on_from_at_once_is_told_as_continued(
    world: AlertWorld,
) -> None:
    await world.worker()
    await world.subscribe()
    failed = await world.ended_run(StopReason.AGENT_ERROR)
    world.wait(seconds=5)
    await world.ended_run(parent_run_id=failed.id, session_id=failed.session_id)

    await world.evaluate()

    alert = await world.only(AlertKind.FAILED)
    assert alert.resolution is Resolution.CONTINUED
    assert len(await world.messages()) == 1


async def test_an_alert_that_mentions_somebody_has_a_message_that_does(world: AlertWorld) -> None:
    await world.subscribe(filter=AlertFilter(workflow="fix"))
    await world.subscribe(filter=AlertFilter(workflow="review"), mention="<!here>")
    await world.ended_run(StopReason.AGENT_ERROR, workflow_name="fix")
    await world.evaluate()
    world.wait(minutes=1)
    await world.ended_run(StopReason.AGENT_ERROR, workflow_name="review")

    await world.evaluate()

    assert [message.group.mention for message in await world.messages()] == [None, "<!here>"]


async def test_a_snoozed_alert_is_not_told_elsewhere_when_it_ends(world: AlertWorld) -> None:
    await world.worker()
    failed = await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    alert = await world.only(AlertKind.FAILED)
    await world.alerts.snooze([alert.id], duration=timedelta(hours=1), by=RUNNER)
    await world.subscribe()
    await world.evaluate()

    await world.start(parent_run_id=failed.id, session_id=failed.session_id)
    await world.evaluate()

    assert (await world.only(AlertKind.FAILED)).resolution is Resolution.CONTINUED
    assert await world.messages() == []
