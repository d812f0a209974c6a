"""Example facts, and what is told of them.  Pure.

They pass through the same detectors as real ones, so an example shows what would come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from core.domain.alerts.condition import Condition, Scope
from core.domain.alerts.detectors.endings import condition_of_end
from core.domain.alerts.detectors.facts import (
    EndedRunFacts,
    LiveRun,
    SlackFacts,
    UnconfirmedKill,
    WorkerFacts,
)
from core.domain.alerts.detectors.fleet import (
    condition_of_kill,
    conditions_of_fleet,
    conditions_of_slack,
)
from core.domain.alerts.detectors.limits import AlertLimits
from core.domain.alerts.detectors.spending import conditions_of_spending
from core.domain.alerts.detectors.stall import conditions_of_live_run
from core.domain.alerts.kinds import AlertKind
from core.domain.alerts.trends.conditions import condition_of_failure_rate, condition_of_run_cost
from core.domain.alerts.trends.cost_spike import LEAST_RUNS, cost_spike
from core.domain.alerts.trends.failure_rate import EndedRun, compare
from core.domain.alerts.trends.statistics import Proportion
from core.domain.fleet.workers import WorkerState
from core.domain.runs.activity.awaited import Awaited, AwaitedKind
from core.domain.runs.outcome import OutcomeReason
from core.domain.runs.run import CostSource, RunStatus, StopReason, WaitingOn

# No alert and no run has these ids.
EXAMPLE_ID = UUID(int=0)
EXAMPLE_RUN_ID = "run_000000000000"
EXAMPLE_TASK = "Example: add rate limiting to the API"
EXAMPLE_WORKFLOW = "implement"
EXAMPLE_REPOSITORY = "https://example.com/acme/api"
_NODE = "example-worker"
_LIMITS = AlertLimits()
_MINUTE = timedelta(minutes=1)
EXAMPLE_REASONS = (OutcomeReason.TESTS_FAILED, OutcomeReason.NOTHING_COMMITTED)
# The kinds that tell how a run ended, and the others about a run that has.
_ENDINGS: Mapping[AlertKind, StopReason] = MappingProxyType(
    {
        AlertKind.FAILED: StopReason.AGENT_ERROR,
        AlertKind.KILLED: StopReason.KILLED,
        AlertKind.COMPLETED: StopReason.SUCCESS,
        AlertKind.ATTENTION: StopReason.SUCCESS,
        AlertKind.MAX_TURNS: StopReason.MAX_TURNS,
    }
)
EXAMPLE_ENDS: Mapping[AlertKind, StopReason] = MappingProxyType(
    {
        **_ENDINGS,
        AlertKind.KILL_UNCONFIRMED: StopReason.KILLED,
        AlertKind.COST_SPIKE: StopReason.SUCCESS,
    }
)


def example_condition(kind: AlertKind, now: datetime) -> Condition:
    """What the detector of a kind tells of the example facts, now."""
    return _end(kind, now) if kind in _ENDINGS else _CONDITIONS[kind](now)


def _end(kind: AlertKind, now: datetime) -> Condition:
    reasons = EXAMPLE_REASONS if kind is AlertKind.ATTENTION else ()
    failed_tests = 1 if reasons else None
    turns = 30 if kind is AlertKind.MAX_TURNS else 18
    return condition_of_end(
        _ended(now, EXAMPLE_ENDS[kind], reasons=reasons, failed_tests=failed_tests, turns=turns)
    )


def _live(now: datetime, **facts: Any) -> LiveRun:
    run = LiveRun(
        id=EXAMPLE_ID,
        run_id=EXAMPLE_RUN_ID,
        workflow=EXAMPLE_WORKFLOW,
        task=EXAMPLE_TASK,
        status=RunStatus.RUNNING,
        scope=Scope(workflow=EXAMPLE_WORKFLOW, repository=EXAMPLE_REPOSITORY),
        created_at=now - 20 * _MINUTE,
        started_at=now - 20 * _MINUTE,
        turns=18,
        max_turns=60,
        node=_NODE,
    )
    run = replace(run, **facts)
    return replace(run, scope=replace(run.scope, cost_usd=run.cost_usd))


def _ended(now: datetime, reason: StopReason, **facts: Any) -> EndedRunFacts:
    run = EndedRunFacts(
        id=EXAMPLE_ID,
        run_id=EXAMPLE_RUN_ID,
        workflow=EXAMPLE_WORKFLOW,
        task=EXAMPLE_TASK,
        status=reason.final_status,
        scope=Scope(workflow=EXAMPLE_WORKFLOW, repository=EXAMPLE_REPOSITORY),
        ended_at=now,
        stop_reason=reason,
        duration=20 * _MINUTE,
        cost_usd=Decimal("1.44"),
        cost_source=CostSource.REPORTED,
        turns=18,
        max_turns=30,
    )
    run = replace(run, **facts)
    return replace(run, scope=replace(run.scope, cost_usd=run.cost_usd))


def _first(kind: AlertKind, found: Any) -> Condition:
    """The condition of a kind among those that a detector found."""
    conditions: list[Condition] = [one for one in found if one.kind is kind]
    return conditions[0]


def _budget(now: datetime) -> Condition:
    run = _live(now, cost_usd=Decimal("4.10"), budget_usd=Decimal(5))
    return _first(
        AlertKind.BUDGET, conditions_of_spending(run, cost_limit=_LIMITS.cost_usd, now=now)
    )


def _cost(now: datetime) -> Condition:
    run = _live(now, cost_usd=Decimal("12.40"))
    return _first(AlertKind.COST, conditions_of_spending(run, cost_limit=_LIMITS.cost_usd, now=now))


def _stalled(now: datetime) -> Condition:
    silent_since = now - _LIMITS.stall.tool - _MINUTE
    awaited = Awaited(
        kind=AwaitedKind.TOOL, name="Bash: make test", since=silent_since, heard_at=silent_since
    )
    return _first(
        AlertKind.STALLED, conditions_of_live_run(_live(now, awaited=awaited), _LIMITS, now)
    )


def _long_running(now: datetime) -> Condition:
    run = _live(now, started_at=now - _LIMITS.long_running - 10 * _MINUTE)
    return _first(AlertKind.LONG_RUNNING, conditions_of_live_run(run, _LIMITS, now))


def _waiting(now: datetime) -> Condition:
    since = now - _LIMITS.stall.person - _MINUTE
    run = _live(now, waiting_on=WaitingOn.APPROVAL, waiting_since=since)
    return _first(AlertKind.WAITING, conditions_of_live_run(run, _LIMITS, now))


def _lost_worker(now: datetime) -> WorkerFacts:
    return WorkerFacts(
        node=_NODE,
        machine="example-host",
        state=WorkerState.GONE,
        heartbeat_at=now - 2 * _MINUTE,
        live_runs=2,
        stopped_at=now,
        is_lost=True,
    )


def _worker_lost(now: datetime) -> Condition:
    found = conditions_of_fleet([_lost_worker(now)], [], _LIMITS, now)
    return _first(AlertKind.WORKER_LOST, found)


def _no_worker(now: datetime) -> Condition:
    waiting = _live(now, status=RunStatus.PENDING, started_at=None, created_at=now - 3 * _MINUTE)
    found = conditions_of_fleet([_lost_worker(now)], [waiting], _LIMITS, now)
    return _first(AlertKind.NO_WORKER, found)


def _queue_backlog(now: datetime) -> Condition:
    created_at = now - _LIMITS.queue - _MINUTE
    waiting = _live(now, status=RunStatus.PENDING, started_at=None, created_at=created_at)
    found = conditions_of_fleet([], [waiting, waiting, waiting], _LIMITS, now)
    return _first(AlertKind.QUEUE_BACKLOG, found)


def _kill_unconfirmed(now: datetime) -> Condition:
    kill = UnconfirmedKill(
        run=_ended(now, StopReason.KILLED),
        requested_at=now - _MINUTE,
        survivors=1,
        machine="example-host",
    )
    return condition_of_kill(kill)


def _failure_rate(now: datetime) -> Condition:
    recent = [
        EndedRun(at=now - number * timedelta(hours=1), is_failure=number < 3) for number in range(5)
    ]
    return condition_of_failure_rate(
        EXAMPLE_WORKFLOW, compare(recent, Proportion(cases=4, total=60))
    )


def _cost_spike(now: datetime) -> Condition:
    usual = [Decimal("1.2"), Decimal("1.4"), Decimal("1.6")] * (LEAST_RUNS // 3)
    run = _ended(now, StopReason.SUCCESS, cost_usd=Decimal("9.80"))
    spike = cost_spike(Decimal("9.80"), usual, least=LEAST_RUNS)
    assert spike is not None  # noqa: S101 - there are enough costs to compare with
    return condition_of_run_cost(run, spike)


def _slack_trouble(now: datetime) -> Condition:
    late = SlackFacts(outdated=7, oldest=now - _LIMITS.slack_lag - 2 * _MINUTE, refused=1)
    return _first(AlertKind.SLACK_TROUBLE, conditions_of_slack(late, _LIMITS, now))


_CONDITIONS: Mapping[AlertKind, Callable[[datetime], Condition]] = MappingProxyType(
    {
        AlertKind.BUDGET: _budget,
        AlertKind.COST: _cost,
        AlertKind.STALLED: _stalled,
        AlertKind.LONG_RUNNING: _long_running,
        AlertKind.WAITING: _waiting,
        AlertKind.WORKER_LOST: _worker_lost,
        AlertKind.NO_WORKER: _no_worker,
        AlertKind.KILL_UNCONFIRMED: _kill_unconfirmed,
        AlertKind.QUEUE_BACKLOG: _queue_backlog,
        AlertKind.FAILURE_RATE: _failure_rate,
        AlertKind.COST_SPIKE: _cost_spike,
        AlertKind.SLACK_TROUBLE: _slack_trouble,
    }
)
