"""Days of the history: which have changed, and their computation from runs, ledger and kills."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import bindparam, delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Date

from core.store.analytics.facts import FACTS, MEASURES, SUMS
from core.store.database.advisory_locks import AdvisoryLock
from core.store.tables.analytics import AnalyticsDayRow, AnalyticsMarkRow

# What each grain tells apart beside the day.  The finest one alone would have as many rows as
# there are runs, where there are many repositories and people: questions about one of these three
# read a row for each day and value instead.
_GRAINS = (
    "(day, workflow_name, repository, person), (day, workflow_name), (day, repository),"
    " (day, person), (day)"
)
DAYS = bindparam("days", type_=ARRAY(Date))
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
_COMPUTE = text(
    f"""
    INSERT INTO analytics_days
        (grain, day, workflow_name, repository, person, {", ".join(MEASURES)})
    SELECT
        grouping(workflow_name, repository, person), day, coalesce(workflow_name, ''),
        coalesce(repository, ''), coalesce(person, '00000000-0000-0000-0000-000000000000'),
        {SUMS}
    FROM ({FACTS}) facts
    GROUP BY GROUPING SETS ({_GRAINS})
    """  # noqa: S608 - constants of this package
).bindparams(DAYS)
NO_JIT = text("SET LOCAL jit = off")


async def marked_days(
    session: AsyncSession, *, first: date | None = None, last: date | None = None
) -> list[date]:
    """The days that have changed since they were computed, newest first."""
    query = select(AnalyticsMarkRow.day).distinct()
    if first is not None:
        query = query.where(AnalyticsMarkRow.day >= first)
    if last is not None:
        query = query.where(AnalyticsMarkRow.day <= last)
    return list(await session.scalars(query.order_by(AnalyticsMarkRow.day.desc())))


async def mark(session: AsyncSession, days: Sequence[date]) -> None:
    """Have days computed again."""
    if days:
        await session.execute(insert(AnalyticsMarkRow), [{"day": day} for day in days])


async def compute(session: AsyncSession, day: date) -> int:
    """Compute a day, and take its marks away; it gives the same however often it is called.

    Marks are added in the transactions of the changes.  Those that are seen here are taken away
    before the changes are read, so each change is read, or its mark remains.

    Returns:
        The number of rows that the day has.
    """
    # Another process may compute it too, where the clock has just changed hands.
    await session.execute(_LOCK, {"key": AdvisoryLock.ANALYTICS.value})
    await session.execute(NO_JIT)
    await session.execute(
        delete(AnalyticsMarkRow)
        .where(AnalyticsMarkRow.day == day)
        .execution_options(synchronize_session=False)
    )
    await session.execute(
        delete(AnalyticsDayRow)
        .where(
            # The key begins with the grain.
            AnalyticsDayRow.grain.in_(range(8)),
            AnalyticsDayRow.day == day,
        )
        .execution_options(synchronize_session=False)
    )
    await session.execute(_COMPUTE, {"days": [day]})
    rows = await session.scalar(
        select(func.count()).where(AnalyticsDayRow.grain.in_(range(8)), AnalyticsDayRow.day == day)
    )
    return int(rows or 0)
