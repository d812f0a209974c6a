"""Thinning of samples: old ones are joined, and deleted at the end of their time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.resources.policy import Thinning, floor_to
from core.store.resources.samples import JOINED, SAMPLED

# Where the samples of one transaction begin, and where the first one after them is.  The index is
# read in its order for one step only, so each has its own part; otherwise all rows would be sorted.
OLDEST = text("""
    WITH oldest AS (
        SELECT found.at FROM unnest(CAST(:finer AS integer[])) AS finer (step)
        CROSS JOIN LATERAL (
            SELECT at FROM resource_samples WHERE step_seconds = finer.step AND at < :cut
            ORDER BY at LIMIT :limit + 1
        ) AS found
    )
    SELECT min(at) AS first, (SELECT at FROM oldest ORDER BY at OFFSET :limit LIMIT 1) AS beyond
    FROM oldest
""")
_JOIN = text(f"""
    WITH old AS (
        DELETE FROM resource_samples
        WHERE step_seconds = ANY(:finer) AND at >= :first AND at < :until
        RETURNING *
    )
    INSERT INTO resource_samples (worker_id, run_id, attempt, step_seconds, {", ".join(SAMPLED)})
    SELECT worker_id, run_id, attempt, :step_seconds, {JOINED}
    FROM old
    GROUP BY worker_id, run_id, attempt, date_bin(:step, at, 'epoch'::timestamptz)
""")  # noqa: S608 - no value of a person is in it
_DELETE = text("""
    DELETE FROM resource_samples WHERE id IN (
        SELECT found.id FROM unnest(CAST(:steps AS integer[])) AS steps (step)
        CROSS JOIN LATERAL (
            SELECT id FROM resource_samples WHERE step_seconds = steps.step AND at < :before
            ORDER BY at LIMIT :limit
        ) AS found
        LIMIT :limit
    )
""")


async def join_some(
    session: AsyncSession,
    thinning: Thinning,
    finer: list[int],
    *,
    now: datetime,
    limit: int,
) -> bool:
    """Join the oldest samples that are due, in whole intervals.

    Args:
        session: An open database session.
        thinning: Which are due, and into which intervals they are joined.
        finer: The intervals, in seconds, of samples that were joined less or not at all (0).
        now: The present time.
        limit: About how many samples one call takes; at least those of one interval.

    Returns:
        Whether there may be more.
    """
    cut = thinning.cut(now)
    found = await session.execute(OLDEST, {"finer": finer, "cut": cut, "limit": limit})
    first, beyond = found.one()
    if first is None:
        return False
    until = cut if beyond is None else max(floor_to(beyond, thinning.step), first)
    if until <= first:
        until = floor_to(first, thinning.step) + thinning.step
    await session.execute(
        _JOIN,
        {
            "finer": finer,
            "first": first,
            "until": until,
            "step_seconds": round(thinning.step.total_seconds()),
            "step": thinning.step,
        },
    )
    return until < cut


async def delete_some(
    session: AsyncSession, steps: list[int], *, before: datetime, limit: int
) -> int:
    """Delete old samples of these intervals, at most `limit`; return how many."""
    deleted = await session.execute(_DELETE, {"steps": steps, "before": before, "limit": limit})
    return int(deleted.rowcount)  # type: ignore[attr-defined]
