"""What trends tell: a workflow that fails more often, a run or a day that was expensive.  Pure."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from core.domain.alerts.condition import Condition, Scope, run_subject, usual_severity
from core.domain.alerts.detectors.facts import EndedRunFacts
from core.domain.alerts.kinds import AlertKind, Subject, SubjectType
from core.domain.alerts.trends.cost_spike import CostSpike
from core.domain.alerts.trends.failure_rate import FailureRate


def workflow_subject(workflow: str) -> Subject:
    """A workflow as a subject."""
    return Subject(type=SubjectType.WORKFLOW, id=workflow)


def condition_of_failure_rate(workflow: str, rate: FailureRate) -> Condition:
    """A workflow that fails more often than before."""
    low, high = rate.interval
    return Condition(
        kind=AlertKind.FAILURE_RATE,
        subject=workflow_subject(workflow),
        since=rate.since,
        severity=usual_severity(AlertKind.FAILURE_RATE),
        evidence={
            "failures": rate.recent.cases,
            "runs": rate.recent.total,
            "failures_before": rate.before.cases,
            "runs_before": rate.before.total,
            "p": round(rate.p, 6),
            "interval": [round(low, 4), round(high, 4)],
        },
        scope=Scope(workflow=workflow),
    )


def condition_of_run_cost(run: EndedRunFacts, spike: CostSpike) -> Condition:
    """A run that was much more expensive than the others of its workflow."""
    return Condition(
        kind=AlertKind.COST_SPIKE,
        subject=run_subject(run.run_id),
        since=run.ended_at,
        severity=usual_severity(AlertKind.COST_SPIKE),
        evidence={"task": run.task, **_figures(spike)},
        scope=run.scope,
        run_id=run.id,
    )


def condition_of_day_cost(day: date, spike: CostSpike, now: datetime) -> Condition:
    """A day that was much more expensive than the same weekday of the weeks before."""
    return Condition(
        kind=AlertKind.COST_SPIKE,
        subject=Subject(type=SubjectType.DAY, id=day.isoformat()),
        since=now,
        severity=usual_severity(AlertKind.COST_SPIKE),
        evidence=_figures(spike),
    )


def _figures(spike: CostSpike) -> dict[str, object]:
    return {
        "cost_usd": str(spike.cost_usd),
        "median_usd": str(spike.median_usd.quantize(Decimal("0.0001"))),
        "factor": round(spike.factor, 1),
        "z": round(spike.z, 1),
        "compared": spike.compared,
    }
