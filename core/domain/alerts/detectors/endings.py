"""What the end of a run is told as: exactly one kind.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.domain.alerts.condition import Condition, run_subject, usual_severity
from core.domain.alerts.detectors.facts import EndedRunFacts
from core.domain.alerts.detectors.spending import budget_used_up
from core.domain.alerts.kinds import AlertKind
from core.domain.runs.run import RunStatus, StopReason

# Ends of failed runs that have a kind of their own.
_BY_REASON: Mapping[StopReason, AlertKind] = MappingProxyType(
    {StopReason.MAX_TURNS: AlertKind.MAX_TURNS, StopReason.BUDGET: AlertKind.BUDGET}
)


def kind_of_end(run: EndedRunFacts) -> AlertKind:
    """The kind that tells how a run ended."""
    if run.status is RunStatus.KILLED:
        return AlertKind.KILLED
    if run.status is RunStatus.COMPLETED:
        return AlertKind.ATTENTION if run.reasons else AlertKind.COMPLETED
    return _BY_REASON.get(run.stop_reason or StopReason.AGENT_ERROR, AlertKind.FAILED)


def condition_of_end(run: EndedRunFacts) -> Condition:
    """How a run ended, as a condition."""
    kind = kind_of_end(run)
    if kind is AlertKind.BUDGET:
        return budget_used_up(run)
    return Condition(
        kind=kind,
        subject=run_subject(run.run_id),
        since=run.ended_at,
        severity=usual_severity(kind),
        evidence={
            "task": run.task,
            "stop_reason": None if run.stop_reason is None else run.stop_reason.value,
            "reasons": [reason.value for reason in run.reasons],
            "failed_tests": run.failed_tests,
            "cause": run.cause,
            "cause_subject": run.subject,
            "turns": run.turns,
            "max_turns": run.max_turns,
            "cost_usd": None if run.cost_usd is None else str(run.cost_usd),
            "cost_source": None if run.cost_source is None else run.cost_source.value,
            "duration_seconds": None if run.duration is None else run.duration.total_seconds(),
        },
        scope=run.scope,
        run_id=run.id,
    )
