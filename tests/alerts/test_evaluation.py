"""The evaluation on real rows: each kind is raised, told once, and ends."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from core.domain.alerts.channels.delivery import GroupType
from core.domain.alerts.episode import AlertState, Resolution
from core.domain.alerts.history import AlertEvent
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.fleet.workers import WorkerState
from core.domain.runs.activity.awaited import AwaitedKind
from core.domain.runs.outcome import OutcomeReason
from core.domain.runs.request import Place
from core.domain.runs.run import StopReason, WaitingOn
from core.store.database.engine import Database
from tests.alerts.world import RUNNER, AlertWorld
from tests.database import stored_run

pytestmark = pytest.mark.any_speed


@pytest.fixture
def world(database: Database) -> AlertWorld:
    """A fleet without workers, runs and subscriptions."""
    return AlertWorld(database)


ENDS = [
    (StopReason.API_ERROR, (), AlertKind.FAILED),
    (StopReason.WORKER_LOST, (), AlertKind.FAILED),
    (StopReason.MAX_TURNS, (), AlertKind.MAX_TURNS),
    (StopReason.BUDGET, (), AlertKind.BUDGET),
    (StopReason.SUCCESS, (OutcomeReason.TESTS_FAILED,), AlertKind.ATTENTION),
    (StopReason.KILLED, (), AlertKind.KILLED),
    (StopReason.SUCCESS, (), AlertKind.COMPLETED),
]


@pytest.mark.parametrize(("reason", "reasons", "kind"), ENDS)
async def test_the_end_of_a_run_is_told_once_as_one_kind(
    world: AlertWorld,
    reason: StopReason,
    reasons: tuple[OutcomeReason, ...],
    kind: AlertKind,
) -> None:
    await world.worker()
    await world.subscribe(kinds=frozenset(AlertKind))
    run = await world.ended_run(reason, reasons=reasons)

    first = await world.evaluate()
    again = await world.evaluate()

    assert (first.fired, again.fired) == (1, 0)
    [message] = await world.messages()
    [alert] = message.alerts
    assert (alert.kind, alert.run_id) == (kind, run.id)
    assert message.events[alert.id][0].what is AlertEvent.FIRED


async def test_a_notice_has_ended_when_it_is_told(world: AlertWorld) -> None:
    await world.subscribe(kinds=frozenset({AlertKind.COMPLETED}))
    await world.ended_run()

    await world.evaluate()

    [message] = await world.messages()
    assert not message.is_open
    assert message.alerts[0].resolution is Resolution.NOTICE


async def test_a_failure_is_over_when_somebody_continues_it(world: AlertWorld) -> None:
    await world.worker()
    await world.subscribe()
    failed = await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    world.wait(minutes=3)
    await world.worker()

    await world.start(parent_run_id=failed.id, session_id=failed.session_id)
    await world.evaluate()

    alert = await world.only(AlertKind.FAILED)
    assert (alert.state, alert.resolution) == (AlertState.RESOLVED, Resolution.CONTINUED)
    assert len(await world.messages()) == 1


async def test_a_failure_that_nobody_touches_is_closed_after_a_day(world: AlertWorld) -> None:
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    world.wait(hours=23, minutes=59)
    await world.evaluate()
    assert (await world.only(AlertKind.FAILED)).is_open
    world.wait(minutes=1)
    await world.evaluate()

    assert (await world.only(AlertKind.FAILED)).resolution is Resolution.CLOSED


async def test_a_run_that_stops_at_its_budget_is_open_for_a_day_after_its_stop(
    world: AlertWorld,
) -> None:
    await world.subscribe()
    run = await world.start(budget_usd=Decimal(5))
    await world.change(run, cost_usd=Decimal("4.5"))
    await world.evaluate()
    world.wait(hours=30)
    await world.finish(run, StopReason.BUDGET, cost_usd=Decimal(5))
    await world.evaluate()
    world.wait(hours=23, minutes=59)
    await world.evaluate()
    alert = await world.only(AlertKind.BUDGET)
    assert (alert.is_open, alert.severity) == (True, Severity.CRITICAL)

    world.wait(minutes=1)
    await world.evaluate()

    assert (await world.only(AlertKind.BUDGET)).resolution is Resolution.CLOSED


async def test_a_silent_run_is_told_after_its_limit_and_ends_when_it_is_heard(
    world: AlertWorld,
) -> None:
    await world.subscribe()
    run = await world.start()
    await world.hear(run, kind=AwaitedKind.TOOL, name="Bash: make test")
    for _ in range(9):
        world.wait(minutes=1)
        await world.worker()
        await world.evaluate()
    assert await world.all_alerts() == []

    world.wait(minutes=1)
    await world.worker()
    await world.evaluate()

    alert = await world.only(AlertKind.STALLED)
    assert alert.evidence["name"] == "Bash: make test"
    world.wait(seconds=30)
    await world.worker()
    await world.hear(run)
    await world.evaluate()
    after = await world.only(AlertKind.STALLED)
    assert (after.state, after.resolution) == (AlertState.RESOLVED, Resolution.RECOVERED)
    assert len(await world.messages()) == 1


async def test_output_and_processor_time_of_its_programs_are_life(world: AlertWorld) -> None:
    run = await world.start()
    began = world.now
    for _ in range(40):
        world.wait(minutes=1)
        await world.worker()
        await world.hear(
            run, kind=AwaitedKind.TOOL, since=began, heard_at=began, output_at=world.now
        )
        await world.evaluate()

    assert await world.all_alerts() == []


async def test_a_run_that_waits_for_a_person_is_waiting_and_not_stalled(world: AlertWorld) -> None:
    run = await world.start()
    await world.hear(run)
    await world.change(run, waiting_on=WaitingOn.APPROVAL)
    for _ in range(6):
        world.wait(minutes=5)
        await world.worker()
        await world.evaluate()

    assert [alert.kind for alert in await world.all_alerts()] == [AlertKind.WAITING]


async def test_a_lost_worker_explains_its_silent_runs(world: AlertWorld) -> None:
    await world.worker()
    run = await world.start()
    await world.hear(run)
    await world.worker("w2")
    for _ in range(12):
        world.wait(minutes=1)
        await world.worker("w2")
        await world.evaluate()

    assert [alert.kind for alert in await world.all_alerts()] == [AlertKind.WORKER_LOST]


async def test_a_lost_worker_is_over_when_its_node_is_back(world: AlertWorld) -> None:
    await world.worker()
    world.wait(minutes=2)
    await world.evaluate()
    assert (await world.only(AlertKind.WORKER_LOST)).severity is Severity.CRITICAL

    await world.worker(started_at=world.now)
    await world.evaluate()
    world.wait(seconds=30)
    await world.worker()
    await world.evaluate()

    assert (await world.only(AlertKind.WORKER_LOST)).resolution is Resolution.RECOVERED


async def test_a_worker_that_stopped_in_order_is_not_missed(world: AlertWorld) -> None:
    await world.worker(state=WorkerState.GONE)
    world.wait(hours=1)
    await world.evaluate()

    assert await world.pending() == []


async def test_a_run_that_no_worker_takes_is_told_after_a_minute(world: AlertWorld) -> None:
    await stored_run(world.database, created_at=world.now)
    await world.evaluate()
    assert await world.all_alerts() == []
    world.wait(minutes=1)
    await world.evaluate()
    world.wait(minutes=15)
    await world.evaluate()

    alerts = await world.all_alerts()
    assert [alert.kind for alert in alerts] == [AlertKind.NO_WORKER], "it explains the backlog"
    assert alerts[0].evidence["pending"] == 1


async def test_a_queue_that_does_not_move_is_told(world: AlertWorld) -> None:
    await stored_run(world.database, created_at=world.now)
    world.wait(minutes=10)
    await world.worker()
    await world.evaluate()

    assert (await world.only(AlertKind.QUEUE_BACKLOG)).evidence["pending"] == 1


async def test_a_budget_is_told_at_80_percent_and_raised_at_its_end(world: AlertWorld) -> None:
    await world.worker()
    await world.subscribe(kinds=frozenset({AlertKind.BUDGET}))
    run = await world.start(budget_usd=Decimal(5))
    await world.hear(run)
    await world.change(run, cost_usd=Decimal("3.99"))
    await world.evaluate()
    assert await world.all_alerts() == []
    await world.change(run, cost_usd=Decimal("4.00"))
    await world.evaluate()
    assert (await world.only(AlertKind.BUDGET)).severity is Severity.WARNING

    await world.finish(run, StopReason.BUDGET, cost_usd=Decimal("5.01"))
    await world.evaluate()
    await world.pass_time(minutes=5)

    alert = await world.only(AlertKind.BUDGET)
    assert (alert.severity, alert.state) == (Severity.CRITICAL, AlertState.FIRING)
    [message] = await world.messages()
    assert [event.what.value for event in message.events[alert.id]] == ["fired", "raised"]


async def test_a_cost_is_over_with_its_run(world: AlertWorld) -> None:
    await world.worker()
    run = await world.start()
    await world.hear(run)
    await world.change(run, cost_usd=Decimal(12))
    await world.evaluate()
    assert (await world.only(AlertKind.COST)).is_open

    await world.finish(run, cost_usd=Decimal(13))
    await world.evaluate()

    assert (await world.only(AlertKind.COST)).resolution is Resolution.RUN_ENDED


async def test_alerts_of_a_kind_that_fire_together_share_a_message(world: AlertWorld) -> None:
    await world.subscribe()
    for _ in range(3):
        await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    world.wait(minutes=4)
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    world.wait(minutes=2)
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()

    assert [len(message.alerts) for message in await world.messages()] == [4, 1]


async def test_the_quota_turns_a_storm_into_a_summary(world: AlertWorld) -> None:
    await world.subscribe()
    for _ in range(25):
        world.wait(minutes=6)
        await world.ended_run(StopReason.AGENT_ERROR)
        await world.evaluate()
    in_an_hour = await world.messages()
    assert len(in_an_hour) == 25, "ten an hour are no storm"

    world.wait(hours=2)
    kinds = [StopReason.AGENT_ERROR, StopReason.MAX_TURNS]
    for number in range(30):
        world.wait(minutes=3 if number % 2 else 0)
        await world.ended_run(kinds[number % 2])
        await world.evaluate()
    later = (await world.messages())[25:]

    shown = [message for message in later if message.group.type is GroupType.ALERTS]
    assert len(shown) <= 20
    assert sum(len(message.alerts) for message in later) == 30


async def test_muted_channels_hear_nothing_and_others_do(world: AlertWorld) -> None:
    await world.subscribe()
    await world.subscribe("C2")
    await world.subscriptions.mute(
        Place(team_id="T1", channel_id="C1"), duration=timedelta(hours=2), by=RUNNER
    )
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    world.wait(minutes=119)
    await world.evaluate()

    assert await world.messages() == []
    assert len(await world.messages("C2")) == 1
