"""Alerts in each state, and messages about them: to draw, and to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from core.domain.alerts.channels.delivery import AlertGroup, GroupType
from core.domain.alerts.condition import run_subject
from core.domain.alerts.episode import AlertState as State
from core.domain.alerts.episode import Episode, Resolution, lifetime_of, resolve
from core.domain.alerts.history import AlertEvent, AlertEventRecord
from core.domain.alerts.kinds import AlertKind, Lifetime
from core.domain.alerts.message import AlertMessage
from core.domain.kills.termination import Phase
from core.domain.runs.run import StopReason
from core.domain.runs.snapshot import RunSnapshot
from tests.alerts.samples import CARD, CONDITIONS, FIRED, ago, open_alert
from tests.unit.view_helpers import (
    NOW,
    make_ended_run,
    make_kill,
    make_run,
    make_snapshot,
)

GROUP = UUID(int=77)

# What was changed of an open alert, by state.
CHANGES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "open": {},
        "acknowledged": {"acknowledged_at": NOW, "acknowledged_by": "Ben Okafor"},
        "snoozed": {"snoozed_until": NOW + timedelta(hours=1), "snoozed_by": "Ben Okafor"},
        "unstable": {
            "is_unstable": True,
            "state": State.RECOVERING,
            "recovering_at": ago(minutes=1),
        },
    }
)
STATES = (*CHANGES, "resolved")


def in_state(kind: AlertKind, state: str) -> Episode:
    """An alert of a kind in one of `STATES`."""
    if state != "resolved":
        return open_alert(kind, **CHANGES[state])
    alert = open_alert(kind)
    is_event = lifetime_of(alert) is Lifetime.EVENT
    return resolve(alert, Resolution.CONTINUED if is_event else Resolution.RECOVERED, NOW)


def run_of(alert: Episode, number: int = 1, **changes: Any) -> RunSnapshot:
    """The run that an alert is about, as its row is."""
    base: dict[str, Any] = {"id": alert.run_id, "run_id": alert.subject.id, "max_turns": 60}
    reasons = {
        AlertKind.FAILED: StopReason.API_ERROR,
        AlertKind.KILLED: StopReason.KILLED,
        AlertKind.COMPLETED: StopReason.SUCCESS,
        AlertKind.ATTENTION: StopReason.SUCCESS,
        AlertKind.MAX_TURNS: StopReason.MAX_TURNS,
        AlertKind.COST_SPIKE: StopReason.SUCCESS,
    }
    reason = reasons.get(alert.kind)
    values = base | changes
    if alert.kind is AlertKind.KILL_UNCONFIRMED:
        kill = make_kill(Phase.UNCONFIRMED)
        run = make_run(**values, kill_requested_at=kill.requested_at)
        return make_snapshot(run, card=CARD, termination=kill)
    if reason is None:
        return make_snapshot(make_run(**values), card=CARD)
    if reason is StopReason.MAX_TURNS:
        values["turns"] = 60
    return make_snapshot(make_ended_run(reason, **values), card=CARD)


def event(
    number: int, alert: Episode, what: AlertEvent, at: datetime, **data: Any
) -> AlertEventRecord:
    """Something that happened to an alert."""
    by = data.pop("by", None)
    return AlertEventRecord(id=number, alert_id=alert.id, at=at, what=what, by=by, data=data)


def message_of(
    *alerts: Episode,
    kind: GroupType = GroupType.ALERTS,
    events: Sequence[AlertEventRecord] = (),
    mention: str | None = None,
    **changes: Any,
) -> AlertMessage:
    """A message about alerts, told two minutes ago."""
    by_alert = {
        alert.id: [
            event(0, alert, AlertEvent.FIRED, FIRED, severity=int(alert.severity)),
            *(one for one in events if one.alert_id == alert.id),
        ]
        for alert in alerts
    }
    values: dict[str, Any] = {
        "group": AlertGroup(
            id=GROUP,
            team_id="T0ACME",
            channel_id="C0BUILDS",
            type=kind,
            opened_at=FIRED,
            kind=alerts[0].kind if kind is GroupType.ALERTS else None,
            members=len(alerts),
            mention=mention,
        ),
        "alerts": alerts,
        "events": by_alert,
        "runs": {alert.run_id: run_of(alert) for alert in alerts if alert.run_id is not None},
        "told_at": {alert.id: FIRED for alert in alerts},
    }
    return AlertMessage(**(values | changes))


_TASKS = (
    "Add rate limiting to the API",
    "Fix the flaky login test",
    "Upgrade to Python 3.14",
    "Write the release notes",
)


def _own_run(kind: AlertKind, number: int) -> dict[str, Any]:
    """A run of its own for an alert that is about one."""
    if CONDITIONS[kind].run_id is None:
        return {}
    run_id = UUID(int=200 + number)
    return {"subject": run_subject(f"run_{number:012x}"), "run_id": run_id}


def four_failed(**changes: Any) -> AlertMessage:
    """Four runs that failed within five minutes: of one everything went well again."""
    alerts = [
        open_alert(
            AlertKind.FAILED,
            number,
            **_own_run(AlertKind.FAILED, number),
            evidence={
                "task": task,
                "stop_reason": "api_error",
                "cause": "overloaded",
                "turns": 3 * number,
                "cost_usd": f"0.{number}2",
                "cost_source": "reported",
                "duration_seconds": 40.0 * number,
            },
        )
        for number, task in enumerate(_TASKS, start=1)
    ]
    alerts[1] = replace(alerts[1], acknowledged_at=NOW, acknowledged_by="Ben Okafor")
    alerts[2] = resolve(alerts[2], Resolution.CONTINUED, NOW)
    runs = {
        alert.run_id: run_of(alert, task_input=task)
        for alert, task in zip(alerts, _TASKS, strict=True)
    }
    return message_of(*alerts, runs=runs, **changes)


def history_of_a_stall() -> AlertMessage:
    """A silent run: told, acknowledged, snoozed, and over."""
    alert = resolve(
        open_alert(AlertKind.STALLED, opened_at=ago(minutes=11)), Resolution.RECOVERED, NOW
    )
    return message_of(
        alert,
        events=[
            event(2, alert, AlertEvent.ACKNOWLEDGED, ago(seconds=80), by="Ben Okafor"),
            event(
                3,
                alert,
                AlertEvent.STILL_FINE,
                ago(seconds=60),
                by="Ada Lovelace",
                until=(NOW + timedelta(minutes=29)).isoformat(),
            ),
            event(4, alert, AlertEvent.RESOLVED, NOW, resolution="recovered"),
        ],
    )


def quiet_hours() -> AlertMessage:
    """What was held back in a night."""
    kinds = (AlertKind.FAILED, AlertKind.ATTENTION, AlertKind.STALLED, AlertKind.FAILURE_RATE)
    alerts = [
        open_alert(
            kind,
            number,
            opened_at=ago(hours=number),
            fired_at=ago(hours=number),
            **_own_run(kind, number),
        )
        for number, kind in enumerate(kinds, start=1)
    ]
    silent = {
        "awaited": "model",
        "name": None,
        "awaited_since": ago(hours=3).isoformat(),
        "heard_at": ago(hours=3).isoformat(),
        "output_at": None,
        "busy_at": None,
    }
    silent_one = replace(alerts[2], evidence=silent)
    alerts[2] = resolve(silent_one, Resolution.RECOVERED, ago(hours=2, minutes=48))
    runs = {
        alert.run_id: run_of(alert, task_input=task)
        for alert, task in zip(alerts, _TASKS, strict=True)
        if alert.run_id is not None
    }
    return message_of(*alerts, kind=GroupType.QUIET, runs=runs)


def summary() -> AlertMessage:
    """What came above the quota."""
    kinds = [AlertKind.FAILED] * 12 + [AlertKind.STALLED] * 4 + [AlertKind.COMPLETED] * 7
    alerts = [open_alert(kind, number) for number, kind in enumerate(kinds, start=1)]
    for number in (0, 1, 2, 12):
        alerts[number] = resolve(alerts[number], Resolution.CONTINUED, NOW)
    return message_of(*alerts, kind=GroupType.SUMMARY)
