"""Samples of what runs and workers use: written by workers, read for graphs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.resources.sample import Graph, OwnedSample, OwnedUsage, Sample
from core.store.database.direct import DirectReads

# All columns of a sample but whose it is.
SAMPLED = (
    "at", "seconds", "cpu_seconds", "cpu_peak", "memory_bytes", "memory_peak_bytes", "processes",
    "read_bytes", "written_bytes", "disk_bytes",
)  # fmt: skip
_USED = (
    "source", "sampled_from", "sampled_until", "cpu_seconds", "cpu_peak", "memory_peak_bytes",
    "processes_peak", "read_bytes", "written_bytes", "disk_bytes", "disk_peak_bytes",
)  # fmt: skip
_TYPES = {
    "at": "timestamptz", "sampled_from": "timestamptz", "sampled_until": "timestamptz",
    "source": "text", "processes": "integer", "processes_peak": "integer",
    "seconds": "float8", "cpu_seconds": "float8", "cpu_peak": "float8",
}  # fmt: skip
# Several samples as one.  Nothing of a peak is lost, and the totals are the same.
JOINED = """
    max(at) AS at, sum(seconds) AS seconds, sum(cpu_seconds) AS cpu_seconds,
    max(cpu_peak) AS cpu_peak,
    round(sum(memory_bytes * seconds) / sum(seconds))::bigint AS memory_bytes,
    max(memory_peak_bytes) AS memory_peak_bytes, max(processes) AS processes,
    sum(read_bytes)::bigint AS read_bytes, sum(written_bytes)::bigint AS written_bytes,
    max(disk_bytes) AS disk_bytes
"""


def _arrays(names: Sequence[str], *, first: int) -> str:
    """SQL: `$4::bigint[], $5::float8[], …` for these columns."""
    return ", ".join(
        f"${number}::{_TYPES.get(name, 'bigint')}[]" for number, name in enumerate(names, first)
    )


# One statement, of which a worker sends one after each look: all samples, and all peaks and totals.
_ADD = f"""
    WITH used AS (
        INSERT INTO run_resources AS stored (run_id, attempt, worker_id, {", ".join(_USED)})
        SELECT given.*
        FROM unnest(
            $1::uuid[], $2::integer[], $3::text[], {_arrays(_USED, first=4)}
        ) AS given (run_id, attempt, worker_id, {", ".join(_USED)})
        JOIN workflow_runs AS runs ON runs.id = given.run_id
        ORDER BY given.run_id, given.attempt
        ON CONFLICT (run_id, attempt) DO UPDATE SET
            worker_id = excluded.worker_id,
            {", ".join(f"{name} = excluded.{name}" for name in _USED)}
    )
    INSERT INTO resource_samples (worker_id, run_id, attempt, step_seconds, {", ".join(SAMPLED)})
    SELECT worker_id, run_id, attempt, 0, {", ".join(SAMPLED)}
    FROM unnest(
        ${4 + len(_USED)}::text[], ${5 + len(_USED)}::uuid[], ${6 + len(_USED)}::integer[],
        {_arrays(SAMPLED, first=7 + len(_USED))}
    ) AS given (worker_id, run_id, attempt, {", ".join(SAMPLED)})
"""  # noqa: S608 - no value of a person is in it


async def add(
    reads: DirectReads, samples: Sequence[OwnedSample], used: Sequence[OwnedUsage]
) -> None:
    """Store samples, and replace the peaks and totals of attempts.

    Those of a run that is gone are left out.  To repeat it after a lost answer would store samples
    twice.

    Args:
        reads: Where statements are sent to.
        samples: Of one look.
        used: At most one of each attempt.
    """
    columns: list[object] = [
        [one.run for one in used],
        [one.attempt for one in used],
        [one.worker_id for one in used],
        *([getattr(one.usage, name) for one in used] for name in _USED),
        [one.worker_id for one in samples],
        [one.run for one in samples],
        [one.attempt for one in samples],
        *([getattr(one.sample, name) for one in samples] for name in SAMPLED),
    ]
    await reads.write_row(_ADD, *columns)


async def of_run(
    session: AsyncSession, run: UUID, *, points: int, since: datetime | None = None
) -> Graph:
    """The samples of a run, or those after `since`, joined so that there are at most `points`."""
    return await _graph(session, "run_id = :owner", run, points=points, since=since)


async def of_worker(
    session: AsyncSession, worker_id: str, *, points: int, since: datetime | None = None
) -> Graph:
    """The samples of a worker itself; otherwise the same as `of_run`."""
    return await _graph(
        session, "run_id IS NULL AND worker_id = :owner", worker_id, points=points, since=since
    )


async def _graph(
    session: AsyncSession, whose: str, owner: object, *, points: int, since: datetime | None
) -> Graph:
    begin = "" if since is None else " AND at > :since"
    values: dict[str, object] = {"owner": owner}
    if since is not None:
        values["since"] = since
    found = await session.execute(
        text(
            "SELECT count(*), min(at), max(at) FROM resource_samples"  # noqa: S608
            f" WHERE {whose}{begin}"
        ),
        values,
    )
    count, first, last = found.one()
    if count == 0:
        return Graph(samples=(), step=None)
    step = None if count <= points else _step(last - first, points)
    # From the first one on, so that the intervals are never more than `points`.
    bucket = "at, id" if step is None else "date_bin(:step, at, :origin)"
    if step is not None:
        values |= {"step": step, "origin": first}
    rows = await session.execute(
        text(
            f"SELECT {JOINED} FROM resource_samples WHERE {whose}{begin}"  # noqa: S608
            f" GROUP BY {bucket} ORDER BY 1"
        ),
        values,
    )
    return Graph(
        samples=tuple(Sample(**dict(zip(SAMPLED, row, strict=True))) for row in rows), step=step
    )


def _step(span: timedelta, points: int) -> timedelta:
    """The shortest interval of which `points` cover more than the span."""
    return span // points + timedelta(microseconds=1)
