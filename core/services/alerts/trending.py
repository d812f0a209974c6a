"""Compares runs that have just ended with those before them, and keeps the totals of days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.condition import Condition
from core.domain.alerts.detectors.facts import EndedRunFacts
from core.domain.alerts.episode import Episode
from core.domain.alerts.kinds import AlertKind
from core.domain.alerts.trends.conditions import (
    condition_of_day_cost,
    condition_of_failure_rate,
    condition_of_run_cost,
    workflow_subject,
)
from core.domain.alerts.trends.cost_spike import (
    LEAST_RUNS,
    LEAST_WEEKS,
    MOST_RUNS,
    WEEKS,
    cost_spike,
)
from core.domain.alerts.trends.failure_rate import BASELINE, failure_rate, has_cleared
from core.domain.alerts.trends.judging import is_failure, is_judged
from core.domain.alerts.trends.readiness import TrendReadiness
from core.store.alerts import run_days
from core.store.alerts.run_days import DayTotal, RecentEnds

_WEEK = timedelta(weeks=1)


@dataclass(frozen=True, kw_only=True)
class Trends:
    """What trends tell after some runs have ended.

    Attributes:
        conditions: What is to be told; of a workflow that was looked at and has none, an open
            alert is over.
        looked_at: The workflows that were looked at.
        at_usage_limit: Those of them whose newest run met a usage limit.
    """

    conditions: Sequence[Condition] = ()
    looked_at: frozenset[str] = frozenset()
    at_usage_limit: frozenset[str] = frozenset()


async def readiness(session: AsyncSession, now: datetime) -> list[TrendReadiness]:
    """Whether each workflow of the last 30 days has enough runs to compare, by name."""
    since = (now - BASELINE).astimezone(UTC).date()
    found: list[TrendReadiness] = []
    for workflow, judged in sorted((await run_days.judged_by_workflow(session, since)).items()):
        ends = await run_days.recent_ends(session, workflow, limit=MOST_RUNS)
        costed = sum(cost > 0 for cost in ends.costs_usd)
        found.append(TrendReadiness(workflow=workflow, judged=judged, costed=costed))
    return found


async def take_in(
    session: AsyncSession,
    ended: Sequence[EndedRunFacts],
    open_episodes: Sequence[Episode],
    now: datetime,
) -> Trends:
    """Add ended runs to the totals, and compare their workflows and costs with before."""
    if not ended:
        return Trends()
    await run_days.add(session, _totals(ended))
    conditions: list[Condition] = []
    at_usage_limit: set[str] = set()
    workflows = sorted({run.workflow for run in ended})
    for workflow in workflows:
        ends = await run_days.recent_ends(session, workflow, limit=MOST_RUNS)
        if ends.has_usage_limit:
            at_usage_limit.add(workflow)
        rate = await _failure_rate(session, workflow, ends, open_episodes, now)
        conditions += [rate] if rate is not None else []
        conditions += _run_costs([run for run in ended if run.workflow == workflow], ends)
    conditions += await _day_costs(session, {_day(run) for run in ended}, now)
    return Trends(
        conditions=conditions,
        looked_at=frozenset(workflows),
        at_usage_limit=frozenset(at_usage_limit),
    )


def _day(run: EndedRunFacts) -> date:
    return run.ended_at.astimezone(UTC).date()


def _totals(ended: Sequence[EndedRunFacts]) -> Sequence[DayTotal]:
    totals: dict[tuple[date, str], DayTotal] = {}
    for run in ended:
        key = _day(run), run.workflow
        total = totals.get(key, DayTotal(day=key[0], workflow=key[1]))
        totals[key] = replace(
            total,
            ended=total.ended + 1,
            judged=total.judged + is_judged(run.status, run.stop_reason),
            failures=total.failures + is_failure(run.status, run.stop_reason),
            costed=total.costed + (run.cost_usd is not None),
            cost_usd=total.cost_usd + (run.cost_usd or Decimal(0)),
        )
    return list(totals.values())


async def _failure_rate(
    session: AsyncSession,
    workflow: str,
    ends: RecentEnds,
    open_episodes: Sequence[Episode],
    now: datetime,
) -> Condition | None:
    since = (now - BASELINE).astimezone(UTC).date()
    baseline = await run_days.failures_since(session, workflow, since)
    rate = failure_rate(ends.judged, baseline)
    subject = workflow_subject(workflow)
    firing = next(
        (
            one
            for one in open_episodes
            if one.kind is AlertKind.FAILURE_RATE and one.subject == subject
        ),
        None,
    )
    if rate is not None and rate.is_raised:
        return condition_of_failure_rate(workflow, rate)
    if firing is None or rate is None:
        return None
    window = int(firing.evidence.get("runs", 0))
    fired_at = firing.fired_at or firing.opened_at
    if has_cleared(ends.judged, baseline, window=window, fired_at=fired_at):
        return None
    # Not clear enough to fire, and not clear enough to end: it goes on as it was told.
    return Condition(
        kind=firing.kind,
        subject=subject,
        since=firing.opened_at,
        severity=firing.severity,
        evidence=firing.evidence,
        scope=firing.scope,
    )


def _run_costs(ended: Sequence[EndedRunFacts], ends: RecentEnds) -> list[Condition]:
    """The expensive ones of the runs; none of them is compared with itself or a later one."""
    found: list[Condition] = []
    costs = list(ends.costs_usd)
    for run in sorted(ended, key=lambda one: one.ended_at, reverse=True):
        if run.cost_usd is None:
            continue
        if run.cost_usd in costs:
            costs.remove(run.cost_usd)
        spike = cost_spike(run.cost_usd, costs, least=LEAST_RUNS)
        if spike is not None and spike.is_raised:
            found.append(condition_of_run_cost(run, spike))
    return found


async def _day_costs(session: AsyncSession, days: set[date], now: datetime) -> list[Condition]:
    found: list[Condition] = []
    for day in sorted(days):
        before = [day - number * _WEEK for number in range(1, WEEKS + 1)]
        costs = await run_days.costs_of_days(session, [day, *before])
        present = costs.pop(day, Decimal(0))
        spike = cost_spike(present, list(costs.values()), least=LEAST_WEEKS)
        if spike is not None and spike.is_raised:
            found.append(condition_of_day_cost(day, spike, now))
    return found
