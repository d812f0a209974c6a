"""The kinds of alerts: what each is about, how severe it is, and when it begins and ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum
from types import MappingProxyType

_NONE = timedelta(0)
# A run's end needs no more attention after a day in which nobody acted on it.
CLOSED_AFTER = timedelta(hours=24)


class AlertKind(StrEnum):
    """What an alert tells."""

    FAILED = "failed"
    KILLED = "killed"
    COMPLETED = "completed"
    ATTENTION = "attention"
    MAX_TURNS = "max_turns"
    BUDGET = "budget"
    COST = "cost"
    STALLED = "stalled"
    LONG_RUNNING = "long_running"
    WAITING = "waiting"
    WORKER_LOST = "worker_lost"
    NO_WORKER = "no_worker"
    KILL_UNCONFIRMED = "kill_unconfirmed"
    QUEUE_BACKLOG = "queue_backlog"
    FAILURE_RATE = "failure_rate"
    COST_SPIKE = "cost_spike"
    SLACK_TROUBLE = "slack_trouble"


class Severity(IntEnum):
    """How urgent an alert is; quiet hours hold back all but critical ones."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


class SubjectType(StrEnum):
    """What an alert is about; it gives the text of the subject its meaning.

    `RUN`: a `run_id`.  `WORKER`: a worker's node.  `WORKFLOW`: a workflow's name.  `DAY`: a date,
    like 2026-11-30.  `FLEET` and `SLACK`: one of each, named like their type.
    """

    RUN = "run"
    WORKER = "worker"
    WORKFLOW = "workflow"
    DAY = "day"
    FLEET = "fleet"
    SLACK = "slack"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What an episode is about."""

    type: SubjectType
    id: str

    def __str__(self) -> str:
        return f"{self.type}:{self.id}"


FLEET = Subject(type=SubjectType.FLEET, id=SubjectType.FLEET.value)
SLACK = Subject(type=SubjectType.SLACK, id=SubjectType.SLACK.value)


class Lifetime(StrEnum):
    """How an alert of a kind ends.

    `NOTICE`: at once; it only tells that something happened.  `EVENT`: it happened once, and is
    open until somebody goes on from it, or for `CLOSED_AFTER`.  `STATE`: it lasts, and ends when
    it is observed no more.
    """

    NOTICE = "notice"
    EVENT = "event"
    STATE = "state"


@dataclass(frozen=True, kw_only=True)
class KindRule:
    """How alerts of one kind behave.

    Attributes:
        severity: The usual one; what was observed can raise it.
        pending_for: How long a state must last before it fires.
        keep: How long a state must be over before its alert is resolved.
        meaning: When it fires, in words for the help and the form, without a full stop.
    """

    severity: Severity
    lifetime: Lifetime
    meaning: str
    pending_for: timedelta = _NONE
    keep: timedelta = _NONE


# The detectors of `stalled`, `waiting`, `long_running` and `queue_backlog` measure how long it has
# lasted by themselves, so those kinds fire at once.
KIND_RULES: Mapping[AlertKind, KindRule] = MappingProxyType(
    {
        AlertKind.FAILED: KindRule(
            severity=Severity.WARNING, lifetime=Lifetime.EVENT, meaning="a run failed"
        ),
        AlertKind.KILLED: KindRule(
            severity=Severity.INFO, lifetime=Lifetime.NOTICE, meaning="a person stopped a run"
        ),
        AlertKind.COMPLETED: KindRule(
            severity=Severity.INFO, lifetime=Lifetime.NOTICE, meaning="a run finished its work"
        ),
        AlertKind.ATTENTION: KindRule(
            severity=Severity.WARNING,
            lifetime=Lifetime.EVENT,
            meaning="a run finished, but tests fail, nothing is committed, or steps are left",
        ),
        AlertKind.MAX_TURNS: KindRule(
            severity=Severity.WARNING,
            lifetime=Lifetime.EVENT,
            meaning="a run stopped at its turn limit",
        ),
        AlertKind.BUDGET: KindRule(
            severity=Severity.WARNING,
            lifetime=Lifetime.STATE,
            meaning="a run has used 80 % of its budget, or stopped at it",
        ),
        AlertKind.COST: KindRule(
            severity=Severity.WARNING,
            lifetime=Lifetime.STATE,
            meaning="a run costs more than a limit",
        ),
        AlertKind.STALLED: KindRule(
            severity=Severity.WARNING,
            lifetime=Lifetime.STATE,
            meaning="nothing is heard of a run, and its programs do nothing",
        ),
        AlertKind.LONG_RUNNING: KindRule(
            severity=Severity.INFO,
            lifetime=Lifetime.STATE,
            meaning="a run works for unusually long",
        ),
        AlertKind.WAITING: KindRule(
            severity=Severity.WARNING,
            lifetime=Lifetime.STATE,
            meaning="a run waits for a person, or for a usage limit's reset",
        ),
        AlertKind.WORKER_LOST: KindRule(
            severity=Severity.CRITICAL,
            lifetime=Lifetime.STATE,
            meaning="a worker stopped without saying so",
            keep=timedelta(seconds=30),
        ),
        AlertKind.NO_WORKER: KindRule(
            severity=Severity.CRITICAL,
            lifetime=Lifetime.STATE,
            meaning="no worker takes runs",
            pending_for=timedelta(minutes=1),
            keep=timedelta(seconds=30),
        ),
        AlertKind.KILL_UNCONFIRMED: KindRule(
            severity=Severity.CRITICAL,
            lifetime=Lifetime.STATE,
            meaning="a run was to be stopped, and some of its processes may be alive",
        ),
        AlertKind.QUEUE_BACKLOG: KindRule(
            severity=Severity.WARNING,
            lifetime=Lifetime.STATE,
            meaning="runs wait for long to be started",
            keep=timedelta(minutes=1),
        ),
        AlertKind.FAILURE_RATE: KindRule(
            severity=Severity.WARNING,
            lifetime=Lifetime.STATE,
            meaning="a workflow fails more often than in the 30 days before",
        ),
        AlertKind.COST_SPIKE: KindRule(
            severity=Severity.WARNING,
            lifetime=Lifetime.EVENT,
            meaning="a run or a day was much more expensive than usual",
        ),
        AlertKind.SLACK_TROUBLE: KindRule(
            severity=Severity.WARNING,
            lifetime=Lifetime.STATE,
            meaning="Slack does not show what is true: messages are late or refused",
            pending_for=timedelta(minutes=2),
            keep=timedelta(minutes=1),
        ),
    }
)

# What a channel gets if it does not say which kinds it wants: what a person should act on.
USUAL_KINDS = frozenset(AlertKind) - {
    AlertKind.KILLED,
    AlertKind.COMPLETED,
    AlertKind.LONG_RUNNING,
}
