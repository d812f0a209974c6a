"""One alert of each kind, as the detectors make it: to draw, and to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from core.domain.alerts.condition import Condition, Scope
from core.domain.alerts.endings import condition_of_end
from core.domain.alerts.episode import AlertState as State
from core.domain.alerts.episode import Episode, Resolution, lifetime_of, resolve
from core.domain.alerts.facts import (
    EndedRunFacts,
    LiveRun,
    SlackFacts,
    UnconfirmedKill,
    WorkerFacts,
)
from core.domain.alerts.fleet import condition_of_kill, conditions_of_fleet, conditions_of_slack
from core.domain.alerts.kinds import AlertKind, Lifetime
from core.domain.alerts.limits import AlertLimits
from core.domain.alerts.spending import conditions_of_spending
from core.domain.alerts.stall import conditions_of_live_run
from core.domain.alerts.trends.conditions import condition_of_failure_rate, condition_of_run_cost
from core.domain.alerts.trends.cost_spike import CostSpike
from core.domain.alerts.trends.failure_rate import FailureRate
from core.domain.alerts.trends.statistics import Proportion, fisher_greater, wilson_interval
from core.domain.fleet.workers import WorkerState
from core.domain.runs.awaited import Awaited, AwaitedKind
from core.domain.runs.outcome import OutcomeReason
from core.domain.runs.run import CostSource, RunStatus, StopReason, WaitingOn
from core.domain.runs.snapshot import CardPlace
from tests.unit.view_helpers import (
    NOW,
    RUN_ID,
)

RUN = UUID(int=1)
TASK = "Add rate limiting to the API"
CARD = CardPlace(channel_id="C0BUILDS", message_ts="1769220155.940449")
LIMITS = AlertLimits()
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


def _live(**fields: Any) -> LiveRun:
    values: dict[str, Any] = {
        "id": RUN,
        "run_id": RUN_ID,
        "workflow": "implement",
        "task": TASK,
        "status": RunStatus.RUNNING,
        "scope": SCOPE,
        "created_at": ago(minutes=31),
        "started_at": ago(minutes=30),
        "turns": 18,
        "max_turns": 60,
        "node": "w1",
    }
    return LiveRun(**(values | fields))


def _ended(status: RunStatus, reason: StopReason, **fields: Any) -> EndedRunFacts:
    values: dict[str, Any] = {
        "id": RUN,
        "run_id": RUN_ID,
        "workflow": "implement",
        "task": TASK,
        "status": status,
        "scope": SCOPE,
        "ended_at": FIRED,
        "stop_reason": reason,
        "duration": timedelta(minutes=4, seconds=12),
        "cost_usd": Decimal("0.0991"),
        "cost_source": CostSource.REPORTED,
        "turns": 18,
        "max_turns": 60,
    }
    return EndedRunFacts(**(values | fields))


def _stalled(kind: AwaitedKind, **awaited: Any) -> Condition:
    silent = {"since": ago(minutes=11), "heard_at": ago(minutes=11)}
    run = _live(awaited=Awaited(kind=kind, **(silent | awaited)))
    return next(iter(conditions_of_live_run(run, LIMITS, NOW)))


def _fleet(kind: AlertKind, *workers: WorkerFacts, **run: Any) -> Condition:
    queue = [
        _live(status=RunStatus.PENDING, id=UUID(int=50 + n), started_at=None, **run)
        for n in range(2)
    ]
    found = conditions_of_fleet(workers, queue, LIMITS, NOW)
    return next(one for one in found if one.kind is kind)


def _worker(**fields: Any) -> WorkerFacts:
    values: dict[str, Any] = {
        "node": "w1",
        "machine": "build-7",
        "state": WorkerState.GONE,
        "heartbeat_at": ago(minutes=9),
        "live_runs": 2,
        "is_lost": True,
    }
    return WorkerFacts(**(values | fields))


def _rate(recent: Proportion, before: Proportion) -> FailureRate:
    return FailureRate(
        recent=recent,
        before=before,
        p=fisher_greater(recent, before),
        interval=wilson_interval(recent),
        since=ago(hours=3),
    )


CONDITIONS: Mapping[AlertKind, Condition] = MappingProxyType(
    {
        AlertKind.FAILED: condition_of_end(
            _ended(
                RunStatus.FAILED,
                StopReason.WORKSPACE_ERROR,
                cause="repository_unreachable",
                subject="nowhere.invalid",
                turns=0,
                cost_usd=None,
                duration=timedelta(seconds=2.4),
            )
        ),
        AlertKind.KILLED: condition_of_end(_ended(RunStatus.KILLED, StopReason.KILLED)),
        AlertKind.COMPLETED: condition_of_end(_ended(RunStatus.COMPLETED, StopReason.SUCCESS)),
        AlertKind.ATTENTION: condition_of_end(
            _ended(
                RunStatus.COMPLETED,
                StopReason.SUCCESS,
                reasons=(
                    OutcomeReason.TESTS_FAILED,
                    OutcomeReason.NOTHING_COMMITTED,
                    OutcomeReason.UNCOMMITTED_CHANGES,
                ),
                failed_tests=1,
            )
        ),
        AlertKind.MAX_TURNS: condition_of_end(
            _ended(RunStatus.FAILED, StopReason.MAX_TURNS, turns=60)
        ),
        AlertKind.BUDGET: next(
            iter(
                conditions_of_spending(
                    _live(cost_usd=Decimal("8.6124"), budget_usd=Decimal(10)),
                    cost_limit=Decimal(20),
                    now=NOW,
                )
            )
        ),
        AlertKind.COST: next(
            iter(
                conditions_of_spending(
                    _live(cost_usd=Decimal("11.34")), cost_limit=Decimal(10), now=NOW
                )
            )
        ),
        AlertKind.STALLED: _stalled(
            AwaitedKind.TOOL,
            name="Bash: make test",
            since=ago(minutes=25),
            output_at=ago(minutes=11),
        ),
        AlertKind.LONG_RUNNING: next(
            iter(conditions_of_live_run(_live(started_at=ago(hours=2.1)), LIMITS, NOW))
        ),
        AlertKind.WAITING: next(
            iter(
                conditions_of_live_run(
                    _live(waiting_on=WaitingOn.APPROVAL, waiting_since=ago(minutes=31)),
                    LIMITS,
                    NOW,
                )
            )
        ),
        AlertKind.WORKER_LOST: _fleet(AlertKind.WORKER_LOST, _worker()),
        AlertKind.NO_WORKER: _fleet(AlertKind.NO_WORKER, _worker()),
        AlertKind.KILL_UNCONFIRMED: condition_of_kill(
            UnconfirmedKill(
                run=_live(is_being_killed=True),
                requested_at=ago(minutes=2),
                survivors=1,
                machine="build-7",
            )
        ),
        AlertKind.QUEUE_BACKLOG: _fleet(
            AlertKind.QUEUE_BACKLOG,
            _worker(state=WorkerState.UP, heartbeat_at=NOW, is_lost=False),
            created_at=ago(minutes=12),
        ),
        AlertKind.FAILURE_RATE: condition_of_failure_rate(
            "fix", _rate(Proportion(cases=3, total=5), Proportion(cases=4, total=60))
        ),
        AlertKind.COST_SPIKE: condition_of_run_cost(
            _ended(RunStatus.COMPLETED, StopReason.SUCCESS),
            CostSpike(cost_usd=Decimal("14.20"), median_usd=Decimal("2.25"), z=8.1, compared=40),
        ),
        AlertKind.SLACK_TROUBLE: next(
            iter(
                conditions_of_slack(
                    SlackFacts(outdated=12, oldest=ago(minutes=9), refused=2), LIMITS, NOW
                )
            )
        ),
    }
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
