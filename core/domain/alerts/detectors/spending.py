"""What runs cost: budgets that are nearly used up, and costs above a limit.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from core.domain.alerts.condition import Condition, run_subject, usual_severity
from core.domain.alerts.detectors.facts import EndedRunFacts, LiveRun
from core.domain.alerts.kinds import AlertKind, Severity

# The share of a budget from which on it is told.
BUDGET_WARNING = Decimal("0.8")


def conditions_of_spending(
    run: LiveRun, *, cost_limit: Decimal, now: datetime
) -> Iterator[Condition]:
    """What is to be told of the cost of a run that has not ended.

    Args:
        run: The run; without a known cost there is nothing to tell.
        cost_limit: The cost in US dollars from which on `cost` is told.
        now: The present time; nobody knows when exactly a limit was reached.
    """
    if run.cost_usd is None:
        return
    if run.budget_usd is not None and run.cost_usd >= BUDGET_WARNING * run.budget_usd:
        is_used_up = run.cost_usd >= run.budget_usd
        yield _condition(
            run,
            AlertKind.BUDGET,
            since=now,
            severity=Severity.CRITICAL if is_used_up else Severity.WARNING,
            limit=run.budget_usd,
        )
    if run.cost_usd >= cost_limit:
        yield _condition(
            run,
            AlertKind.COST,
            since=now,
            severity=usual_severity(AlertKind.COST),
            limit=cost_limit,
        )


def budget_used_up(run: EndedRunFacts) -> Condition:
    """The condition of a run that stopped at its budget."""
    return _condition(
        run,
        AlertKind.BUDGET,
        since=run.ended_at,
        severity=Severity.CRITICAL,
        limit=run.budget_usd,
        stopped_at=run.ended_at,
    )


def _condition(
    run: LiveRun | EndedRunFacts,
    kind: AlertKind,
    *,
    since: datetime,
    severity: Severity,
    limit: Decimal | None,
    stopped_at: datetime | None = None,
) -> Condition:
    return Condition(
        kind=kind,
        subject=run_subject(run.run_id),
        since=since,
        severity=severity,
        evidence={
            "task": run.task,
            "cost_usd": None if run.cost_usd is None else str(run.cost_usd),
            "limit_usd": None if limit is None else str(limit),
            "has_ended": stopped_at is not None,
            "stopped_at": None if stopped_at is None else stopped_at.isoformat(),
        },
        scope=run.scope,
        run_id=run.id,
        node=run.node if isinstance(run, LiveRun) else None,
    )
