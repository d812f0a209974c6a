"""What becomes of an alert in a channel: told at once, held, grouped, summed, or not told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.alerts.channels.delivery import (
    GROUP_WINDOW,
    MAX_GROUP_MEMBERS,
    QUOTA,
    QUOTA_WINDOW,
    AlertGroup,
    GroupType,
    Handling,
    plan_delivery,
)
from core.domain.alerts.channels.quiet_hours import QuietHours
from core.domain.alerts.channels.subscription import AlertFilter, Source, Subscription
from core.domain.alerts.condition import Scope, run_subject
from core.domain.alerts.episode import AlertState, Episode
from core.domain.alerts.kinds import FLEET, KIND_RULES, AlertKind, Lifetime, Severity

NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)
NIGHT = QuietHours(start=time(22), end=time(7), time_zone="UTC")
ENDS = [kind for kind in AlertKind if KIND_RULES[kind].lifetime is not Lifetime.STATE]


def alert(kind: AlertKind = AlertKind.FAILED, **fields: Any) -> Episode:
    values: dict[str, Any] = {
        "id": uuid4(),
        "kind": kind,
        "subject": run_subject("run_0123456789ab"),
        "state": AlertState.FIRING,
        "severity": KIND_RULES[kind].severity,
        "opened_at": NOW,
        "observed_at": NOW,
        "fired_at": NOW,
    }
    return Episode(**values | fields)


def subscription(**fields: Any) -> Subscription:
    values: dict[str, Any] = {
        "id": uuid4(),
        "team_id": "T1",
        "channel_id": "C1",
        "source": Source.SLACK,
        "created_at": NOW,
    }
    return Subscription(**values | fields)


def group(
    ago: timedelta = timedelta(0), what: GroupType = GroupType.ALERTS, **fields: Any
) -> AlertGroup:
    values: dict[str, Any] = {
        "id": uuid4(),
        "team_id": "T1",
        "channel_id": "C1",
        "type": what,
        "opened_at": NOW - ago,
        "kind": AlertKind.FAILED if what is GroupType.ALERTS else None,
    }
    return AlertGroup(**values | fields)


def used_up() -> list[AlertGroup]:
    """As many messages as an hour may have, of a kind that no test tells."""
    return [group(timedelta(minutes=number), kind=AlertKind.COST_SPIKE) for number in range(QUOTA)]


def test_an_alert_has_a_message_of_its_own() -> None:
    plan = plan_delivery(alert(), [subscription()], [], NOW)

    assert (plan.handling, plan.joins) == (Handling.SHOWN, None)


@pytest.mark.parametrize(
    ("present", "joins"),
    [
        pytest.param(group(GROUP_WINDOW - timedelta(seconds=1)), True, id="within five minutes"),
        pytest.param(group(GROUP_WINDOW), False, id="after five minutes"),
        pytest.param(group(kind=AlertKind.STALLED), False, id="another kind"),
        pytest.param(group(members=MAX_GROUP_MEMBERS - 1), True, id="has room"),
        pytest.param(group(members=MAX_GROUP_MEMBERS), False, id="is full"),
        pytest.param(group(what=GroupType.QUIET), False, id="what happened in quiet hours"),
        pytest.param(group(what=GroupType.SUMMARY), False, id="a summary"),
    ],
)
def test_alerts_of_a_kind_share_a_message(present: AlertGroup, joins: bool) -> None:
    plan = plan_delivery(alert(), [subscription()], [present], NOW)

    assert plan.joins == (present.id if joins else None)


def test_an_alert_that_mentions_somebody_joins_no_message_without_the_mention() -> None:
    silent, loud = group(), group(mention="<!subteam^S1>")
    wanted = [subscription(mention="<!subteam^S1>")]

    assert plan_delivery(alert(), wanted, [silent], NOW).joins is None
    assert plan_delivery(alert(), wanted, [silent, loud], NOW).joins == loud.id
    assert plan_delivery(alert(), [subscription()], [loud], NOW).joins == loud.id


def test_above_the_quota_an_alert_is_counted_in_one_summary() -> None:
    first = plan_delivery(alert(), [subscription()], used_up(), NOW)
    summary = group(timedelta(minutes=1), GroupType.SUMMARY)
    second = plan_delivery(alert(), [subscription()], [summary, *used_up()], NOW)

    assert (first.handling, first.joins) == (Handling.SUMMED, None)
    assert (second.handling, second.joins) == (Handling.SUMMED, summary.id)


def test_the_quota_is_that_of_the_last_hour() -> None:
    old = [replace(one, opened_at=NOW - QUOTA_WINDOW) for one in used_up()]

    assert plan_delivery(alert(), [subscription()], old, NOW).handling is Handling.SHOWN
    assert plan_delivery(alert(), [subscription()], used_up()[1:], NOW).handling is Handling.SHOWN


def test_an_alert_that_joins_a_message_needs_no_quota() -> None:
    present = group()

    plan = plan_delivery(alert(), [subscription()], [present, *used_up()], NOW)

    assert (plan.handling, plan.joins) == (Handling.SHOWN, present.id)


def test_a_critical_alert_ignores_quiet_hours_and_the_quota() -> None:
    worst = alert(AlertKind.WORKER_LOST)

    plan = plan_delivery(worst, [subscription(quiet_hours=NIGHT)], used_up(), NOW)

    assert (plan.handling, plan.joins) == (Handling.SHOWN, None)


def test_nothing_comes_through_a_mute() -> None:
    muted = subscription(muted_until=NOW + timedelta(seconds=1))
    awake = replace(muted, muted_until=NOW)

    assert plan_delivery(alert(AlertKind.WORKER_LOST), [muted], [], NOW).handling is Handling.MUTED
    assert plan_delivery(alert(), [awake], [], NOW).handling is Handling.SHOWN


def test_in_quiet_hours_an_alert_waits_for_their_end() -> None:
    plan = plan_delivery(alert(), [subscription(quiet_hours=NIGHT)], [], NOW)

    assert (plan.handling, plan.until) == (Handling.HELD, NOW.replace(hour=7))


def test_of_several_quiet_hours_the_first_end_counts() -> None:
    early = subscription(quiet_hours=replace(NIGHT, end=time(5)))

    plan = plan_delivery(alert(), [subscription(quiet_hours=NIGHT), early], [], NOW)

    assert (plan.until, plan.subscription) == (NOW.replace(hour=5), early)


def test_a_subscription_without_quiet_hours_decides() -> None:
    quiet, loud = subscription(quiet_hours=NIGHT), subscription()
    muted = subscription(muted_until=NOW + timedelta(hours=1))

    assert plan_delivery(alert(), [quiet, muted, loud], [], NOW).subscription == loud


def test_of_several_subscriptions_one_that_mentions_somebody_decides() -> None:
    silent, loud = subscription(), subscription(mention="<!here>")

    assert plan_delivery(alert(), [silent, loud], [], NOW).subscription == loud


def test_a_snooze_of_the_alerts_of_a_message_does_not_keep_a_new_one_away() -> None:
    present = group()
    snoozed = alert(snoozed_until=NOW + timedelta(hours=1))
    new = alert()

    assert snoozed.is_snoozed(NOW)
    assert not new.is_snoozed(NOW)
    assert plan_delivery(new, [subscription()], [present], NOW).joins == present.id


@given(
    st.lists(st.sampled_from([*ENDS, AlertKind.STALLED, AlertKind.WORKER_LOST]), max_size=120),
    st.integers(0, 360),
)
def test_a_storm_has_at_most_the_quota_of_messages_and_two_summaries_an_hour(
    kinds: list[AlertKind], seconds: int
) -> None:
    groups: dict[UUID, AlertGroup] = {}
    now = NOW
    counted = 0
    for kind in kinds:
        now += timedelta(seconds=seconds)
        recent = [one for one in groups.values() if one.opened_at > now - QUOTA_WINDOW]
        plan = plan_delivery(alert(kind), [subscription()], recent, now)
        counted += 1
        if plan.joins is not None:
            joined = groups[plan.joins]
            groups[plan.joins] = replace(joined, members=joined.members + 1)
            continue
        is_summary = plan.handling is Handling.SUMMED
        new = group(
            what=GroupType.SUMMARY if is_summary else GroupType.ALERTS,
            opened_at=now,
            kind=None if is_summary else kind,
        )
        groups[new.id] = new

    assert sum(one.members for one in groups.values()) == counted
    for last in groups.values():
        within = [
            one
            for one in groups.values()
            if last.opened_at - QUOTA_WINDOW < one.opened_at <= last.opened_at
        ]
        told = [one for one in within if one.type is GroupType.ALERTS]
        critical = [one for one in told if one.kind is AlertKind.WORKER_LOST]
        assert len(told) - len(critical) <= QUOTA
        assert len(critical) <= QUOTA_WINDOW / GROUP_WINDOW
        assert sum(one.type is GroupType.SUMMARY for one in within) <= 1


def wants(wanted: Subscription, told: Episode, at: datetime = NOW) -> bool:
    return wanted.wants(told, at)


def test_without_kinds_the_usual_ones_are_told() -> None:
    wanted = subscription()

    told = {
        kind for kind in AlertKind if wants(wanted, alert(kind, scope=Scope(cost_usd=Decimal(50))))
    }

    quiet = {AlertKind.COMPLETED, AlertKind.KILLED, AlertKind.LONG_RUNNING}
    assert told == set(AlertKind) - quiet


@pytest.mark.parametrize(
    ("chosen", "passes"),
    [
        (AlertFilter(workflow="fix"), True),
        (AlertFilter(workflow="review"), False),
        (AlertFilter(repository="acme/api"), True),
        (AlertFilter(repository="https://github.com/acme/api.git"), True),
        (AlertFilter(repository="me/api"), False),
        (AlertFilter(repository="api"), True),
        (AlertFilter(owner="U1"), True),
        (AlertFilter(owner="U2"), False),
        (AlertFilter(least_severity=Severity.WARNING), True),
        (AlertFilter(least_severity=Severity.CRITICAL), False),
        (AlertFilter(least_cost_usd=Decimal("2.5")), True),
        (AlertFilter(least_cost_usd=Decimal("2.51")), False),
    ],
)
def test_a_filter_passes_what_it_names(chosen: AlertFilter, passes: bool) -> None:
    scope = Scope(
        workflow="fix",
        repository="https://GitHub.com/Acme/api",
        owner_id="U1",
        cost_usd=Decimal("2.50"),
    )

    assert wants(subscription(filter=chosen), alert(scope=scope)) is passes


@pytest.mark.parametrize(
    "chosen",
    [
        AlertFilter(workflow="review"),
        AlertFilter(repository="acme/api"),
        AlertFilter(owner="U2"),
        AlertFilter(least_cost_usd=Decimal(1)),
    ],
)
def test_an_alert_about_the_fleet_comes_whatever_runs_are_filtered_for(
    chosen: AlertFilter,
) -> None:
    fleet = alert(AlertKind.NO_WORKER, subject=FLEET)

    assert wants(subscription(filter=chosen), fleet)


@pytest.mark.parametrize(
    ("own", "cost", "passes"),
    [(None, "9.99", False), (None, "10", True), ("3", "3", True), ("20", "12", False)],
)
def test_a_cost_is_told_at_the_channels_own_limit_or_the_teams(
    own: str | None, cost: str, passes: bool
) -> None:
    chosen = AlertFilter(least_cost_usd=None if own is None else Decimal(own))
    told = alert(AlertKind.COST, scope=Scope(cost_usd=Decimal(cost)))

    assert wants(subscription(filter=chosen), told) is passes


def test_a_state_is_told_when_it_has_lasted_for_the_time_of_the_channel() -> None:
    wanted = subscription(pending_for=timedelta(minutes=15))
    stalled = alert(AlertKind.STALLED)
    over = replace(stalled, state=AlertState.RESOLVED)

    assert not wants(wanted, stalled, NOW + timedelta(minutes=14, seconds=59))
    assert wants(wanted, stalled, NOW + timedelta(minutes=15))
    assert not wants(wanted, over, NOW + timedelta(minutes=1))


@pytest.mark.parametrize("kind", ENDS)
def test_what_happened_once_is_told_at_once(kind: AlertKind) -> None:
    wanted = subscription(kinds=frozenset(AlertKind), pending_for=timedelta(minutes=15))

    assert wants(wanted, alert(kind))
