"""One alert of each kind: those of `alerts test`, about a run and workers as a team has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from core.domain.alerts.condition import Condition, Scope, run_subject
from core.domain.alerts.episode import AlertState as State
from core.domain.alerts.episode import Episode, Resolution, lifetime_of, resolve
from core.domain.alerts.example_conditions import example_condition
from core.domain.alerts.kinds import AlertKind, Lifetime, Subject, SubjectType
from core.domain.runs.snapshot import CardPlace
from tests.unit.view_helpers import NOW, RUN_ID

RUN = UUID(int=1)
TASK = "Add rate limiting to the API"
CARD = CardPlace(channel_id="C0BUILDS", message_ts="1769220155.940449")
# When the alerts were told.
FIRED = NOW - timedelta(minutes=2)
SCOPE = Scope(
    workflow="implement",
    repository="https://github.com/acme/api",
    owner_id="U0ADA",
    owner_name="Ada Lovelace",
)


def ago(**duration: float) -> datetime:
    """A moment before now."""
    return NOW - timedelta(**duration)


def _at(**duration: float) -> str:
    return ago(**duration).isoformat()


_END = {"max_turns": 60, "duration_seconds": 252.0, "cost_usd": "0.0991"}
# What differs from the example in the evidence.
_EVIDENCE: Mapping[AlertKind, Mapping[str, Any]] = MappingProxyType(
    {
        AlertKind.FAILED: {
            **_END,
            "stop_reason": "workspace_error",
            "cause": "repository_unreachable",
            "cause_subject": "nowhere.invalid",
            "turns": 0,
            "cost_usd": None,
            "duration_seconds": 2.4,
        },
        AlertKind.KILLED: _END,
        AlertKind.COMPLETED: _END,
        AlertKind.ATTENTION: {
            **_END,
            "reasons": ["tests_failed", "nothing_committed", "uncommitted_changes"],
        },
        AlertKind.MAX_TURNS: {**_END, "turns": 60},
        AlertKind.BUDGET: {"cost_usd": "8.6124", "limit_usd": "10"},
        AlertKind.COST: {"cost_usd": "11.34"},
        AlertKind.STALLED: {"awaited_since": _at(minutes=25), "output_at": _at(minutes=11)},
        AlertKind.WORKER_LOST: {"machine": "build-7", "last_heard_at": _at(minutes=9)},
        AlertKind.NO_WORKER: {"pending": 2, "last_heard_at": _at(minutes=9)},
        AlertKind.KILL_UNCONFIRMED: {"machine": "build-7"},
        AlertKind.QUEUE_BACKLOG: {"pending": 2, "oldest_at": _at(minutes=12)},
        AlertKind.COST_SPIKE: {
            "cost_usd": "14.20",
            "median_usd": "2.2500",
            "factor": 6.3,
            "z": 8.1,
            "compared": 40,
        },
        AlertKind.SLACK_TROUBLE: {"outdated": 12, "refused": 2},
    }
)
_SINCE: Mapping[AlertKind, datetime] = MappingProxyType(
    {
        AlertKind.BUDGET: NOW,
        AlertKind.COST: NOW,
        AlertKind.STALLED: ago(minutes=11),
        AlertKind.LONG_RUNNING: ago(hours=2.1),
        AlertKind.WAITING: ago(minutes=31),
        AlertKind.WORKER_LOST: ago(minutes=9),
        AlertKind.NO_WORKER: ago(minutes=9),
        AlertKind.QUEUE_BACKLOG: ago(minutes=12),
        AlertKind.FAILURE_RATE: ago(hours=3),
        AlertKind.SLACK_TROUBLE: ago(minutes=9),
    }
)


def _condition(kind: AlertKind) -> Condition:
    example = example_condition(kind, NOW)
    evidence = {**example.evidence, **_EVIDENCE.get(kind, {})}
    since = _SINCE.get(kind, FIRED)
    if example.run_id is not None:
        return replace(
            example,
            subject=run_subject(RUN_ID),
            run_id=RUN,
            scope=SCOPE,
            evidence={**evidence, "task": TASK},
            since=since,
        )
    names = {SubjectType.WORKER: "w1", SubjectType.WORKFLOW: "fix"}
    named = names.get(example.subject.type, example.subject.id)
    return replace(
        example,
        subject=Subject(type=example.subject.type, id=named),
        scope=replace(example.scope, workflow="fix") if example.scope.workflow else example.scope,
        evidence=evidence,
        since=since,
    )


CONDITIONS: Mapping[AlertKind, Condition] = MappingProxyType(
    {kind: _condition(kind) for kind in AlertKind}
)


def open_alert(kind: AlertKind, number: int = 1, **changes: Any) -> Episode:
    """An alert of a kind that fired two minutes ago; a notice has ended at once."""
    condition = CONDITIONS[kind]
    alert = Episode(
        id=UUID(int=100 + number),
        kind=kind,
        subject=condition.subject,
        state=State.FIRING,
        severity=condition.severity,
        opened_at=condition.since,
        observed_at=NOW,
        fired_at=FIRED,
        evidence=condition.evidence,
        scope=condition.scope,
        run_id=condition.run_id,
    )
    alert = replace(alert, **changes)
    is_notice = lifetime_of(alert) is Lifetime.NOTICE
    return resolve(alert, Resolution.NOTICE, FIRED) if is_notice and alert.is_open else alert
