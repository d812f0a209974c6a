"""Whether stored days equal what their runs say now, and what else belongs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.domain.agreement import Disagreement, Source
from core.domain.runs.run import Run
from core.store.analytics.days import DAYS, NO_JIT, marked_days
from core.store.analytics.facts import FACTS, MEASURES
from core.store.runs.columns import to_run
from core.store.tables.analytics import AnalyticsDayRow
from core.store.tables.runs import RunRow

# What one counts of each day: all runs once, in each of the grains.
_STORED = text(
    f"""
    SELECT grain, day, {", ".join(f"sum({name}) AS {name}" for name in MEASURES)}
    FROM analytics_days WHERE grain = ANY('{{0,3,5,6,7}}') AND day = ANY(CAST(:days AS date[]))
    GROUP BY grain, day
    """  # noqa: S608 - constants of this package
).bindparams(DAYS)
_COUNTED = text(
    f"""
    SELECT day, {", ".join(f"sum({name}) AS {name}" for name in MEASURES)}
    FROM ({FACTS}) facts GROUP BY day
    """  # noqa: S608 - constants of this package
).bindparams(DAYS)
_GRAINS = (0, 3, 5, 6, 7)
_ORPHANS = text(
    """
    SELECT count(*) FROM (SELECT run_id FROM run_events ORDER BY id DESC LIMIT :limit) newest
    WHERE NOT EXISTS (SELECT FROM workflow_runs r WHERE r.id = newest.run_id)
    """
)


async def computed_days(session: AsyncSession, *, limit: int) -> list[date]:
    """The newest days of the history that have not changed since they were computed."""
    marked = await marked_days(session)
    query = select(AnalyticsDayRow.day).where(AnalyticsDayRow.grain == 7)
    if marked:
        query = query.where(AnalyticsDayRow.day.not_in(marked))
    return list(await session.scalars(query.order_by(AnalyticsDayRow.day.desc()).limit(limit)))


async def day_disagreements(session: AsyncSession, days: Sequence[date]) -> list[Disagreement]:
    """Where stored days differ from what their runs, kills and the ledger say.

    Call it in a transaction of `REPEATABLE READ`, with the days that were found in it.
    """
    await session.execute(NO_JIT)
    values = {"days": list(days)}
    stored: dict[tuple[int, date], Mapping[Any, Any]] = {
        (row["grain"], row["day"]): row
        for row in (await session.execute(_STORED, values)).mappings()
    }
    counted: dict[date, Mapping[Any, Any]] = {
        row["day"]: row for row in (await session.execute(_COUNTED, values)).mappings()
    }
    return [
        Disagreement(
            subject=str(day),
            what=name.replace("_", " "),
            in_one=Source.HISTORY,
            one=kept,
            in_other=Source.RUNS,
            other=now,
        )
        for day in days
        for grain in _GRAINS
        for name in MEASURES
        if (kept := stored.get((grain, day), {}).get(name, 0))
        != (now := counted.get(day, {}).get(name, 0))
    ]


async def newest_ended(session: AsyncSession, *, limit: int) -> list[Run]:
    """The runs that ended last."""
    rows = await session.scalars(
        select(RunRow)
        .where(RunRow.completed_at.is_not(None))
        .order_by(RunRow.completed_at.desc())
        .limit(limit)
    )
    return [to_run(row) for row in rows]


async def are_newest(session: AsyncSession, runs: Sequence[Run]) -> frozenset[UUID]:
    """Those of these runs that no other run of their session follows."""
    later = aliased(RunRow)
    is_followed = (
        select(later.id)
        .where(later.session_id == RunRow.session_id, later.created_at > RunRow.created_at)
        .exists()
    )
    ids = [run.id for run in runs]
    return frozenset(
        await session.scalars(select(RunRow.id).where(RunRow.id.in_(ids), ~is_followed))
    )


async def orphans(session: AsyncSession, *, limit: int) -> int:
    """How many of the newest events belong to no run."""
    found: int | None = await session.scalar(_ORPHANS, {"limit": limit})
    return found or 0
