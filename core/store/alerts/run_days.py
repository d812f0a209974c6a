"""Totals of ended runs by day and workflow, so that trends do not read the runs themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.trends.failure_rate import EndedRun
from core.domain.alerts.trends.judging import is_failure, is_judged
from core.domain.alerts.trends.statistics import Proportion
from core.domain.runs.run import RunStatus, StopReason
from core.store.alerts.facts import newest_ended_query
from core.store.tables.alerts.subscriptions import RunDayRow


@dataclass(frozen=True, kw_only=True)
class DayTotal:
    """What is added to a day, or read of one; see `RunDayRow`."""

    day: date
    workflow: str
    ended: int = 0
    judged: int = 0
    failures: int = 0
    costed: int = 0
    cost_usd: Decimal = Decimal(0)


async def add(session: AsyncSession, totals: Sequence[DayTotal]) -> None:
    """Add to the totals, in one order for all writers."""
    for total in sorted(totals, key=lambda one: (one.day, one.workflow)):
        new = insert(RunDayRow).values(
            day=total.day,
            workflow_name=total.workflow,
            ended=total.ended,
            judged=total.judged,
            failures=total.failures,
            costed=total.costed,
            cost_usd=total.cost_usd,
        )
        names = ("ended", "judged", "failures", "costed", "cost_usd")
        await session.execute(
            new.on_conflict_do_update(
                index_elements=[RunDayRow.day, RunDayRow.workflow_name],
                set_={name: getattr(RunDayRow, name) + new.excluded[name] for name in names},
            )
        )


async def failures_since(session: AsyncSession, workflow: str, since: date) -> Proportion:
    """The failures among the judged runs of a workflow from a day on."""
    row = (
        await session.execute(
            select(
                func.coalesce(func.sum(RunDayRow.failures), 0),
                func.coalesce(func.sum(RunDayRow.judged), 0),
            ).where(RunDayRow.workflow_name == workflow, RunDayRow.day >= since)
        )
    ).one()
    return Proportion(cases=int(row[0]), total=int(row[1]))


async def judged_by_workflow(session: AsyncSession, since: date) -> dict[str, int]:
    """The number of judged runs of each workflow from a day on."""
    rows = await session.execute(
        select(RunDayRow.workflow_name, func.sum(RunDayRow.judged).label("judged"))
        .where(RunDayRow.day >= since)
        .group_by(RunDayRow.workflow_name)
    )
    return {row.workflow_name: int(row.judged) for row in rows}


async def costs_of_days(session: AsyncSession, days: Sequence[date]) -> dict[date, Decimal]:
    """What all workflows cost on these days, in US dollars; days without runs are missing."""
    rows = await session.execute(
        select(RunDayRow.day, func.sum(RunDayRow.cost_usd).label("cost"))
        .where(RunDayRow.day.in_(list(days)))
        .group_by(RunDayRow.day)
    )
    return {row.day: row.cost for row in rows}


@dataclass(frozen=True, kw_only=True)
class RecentEnds:
    """How the newest runs of a workflow ended.

    Attributes:
        judged: Those that say something about the workflow, newest first.
        costs_usd: The known costs, in US dollars.
        has_usage_limit: Whether a usage limit ended the newest of them.
    """

    judged: Sequence[EndedRun]
    costs_usd: Sequence[Decimal]
    has_usage_limit: bool


async def recent_ends(session: AsyncSession, workflow: str, *, limit: int) -> RecentEnds:
    """How the newest runs of a workflow ended, of at most `limit` runs."""
    rows = (await session.execute(newest_ended_query(workflow, limit))).all()
    ended = sorted(
        (row for row in rows if row.completed_at is not None),
        key=lambda row: row.completed_at,
        reverse=True,
    )
    judged: list[EndedRun] = []
    for row in ended:
        status = RunStatus(row.status)
        reason = None if row.stop_reason is None else StopReason(row.stop_reason)
        if is_judged(status, reason):
            judged.append(EndedRun(at=row.completed_at, is_failure=is_failure(status, reason)))
    return RecentEnds(
        judged=judged,
        costs_usd=[row.cost_estimate for row in ended if row.cost_estimate is not None],
        has_usage_limit=bool(ended) and ended[0].stop_reason == StopReason.USAGE_LIMIT,
    )
