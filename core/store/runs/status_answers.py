"""What was answered about ended runs, stored as it was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.run import LIVE_STATUSES
from core.store.database.direct import DirectReads
from core.store.runs.status_read import RowMark
from core.store.tables.base import quoted


@dataclass(frozen=True, kw_only=True)
class StoredAnswer:
    """An answer about an ended run.

    Attributes:
        run: The id of the run's row.
        mark: Of that row, as it was when the answer was made of it.
        etag: The surface's mark of the answer.
        written: The answer.
    """

    run: UUID
    mark: RowMark
    etag: str
    written: bytes


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """A run that has ended.

    Attributes:
        is_unanswered: Whether its present row has no answer of the edition, and can have one: its
            work is saved and measured.
    """

    run_id: str
    ended_at: datetime
    is_unanswered: bool


# An answer that was made of another row, or by another edition, is as good as none.
READ = """
    SELECT runs.id, runs.version, runs.xmin, stored.etag, stored.answer
    FROM workflow_runs AS runs
    JOIN status_answers AS stored ON stored.run_id = runs.id
    WHERE runs.run_id = $1 AND stored.version = runs.version AND stored.edition = $2
        AND stored.written_by = runs.xmin::text::bigint
"""
# In one order for all, so that no two writers wait for each other.
_SAVE = text("""
    INSERT INTO status_answers (run_id, version, written_by, edition, etag, answer)
    SELECT runs.id, given.version, given.written_by, :edition, given.etag, given.answer
    FROM unnest(
        CAST(:runs AS uuid[]), CAST(:versions AS bigint[]), CAST(:writers AS bigint[]),
        CAST(:etags AS text[]), CAST(:answers AS bytea[])
    ) AS given (run_id, version, written_by, etag, answer)
    JOIN workflow_runs AS runs ON runs.id = given.run_id
    ORDER BY runs.id
    ON CONFLICT (run_id) DO UPDATE SET
        version = excluded.version, written_by = excluded.written_by, edition = excluded.edition,
        etag = excluded.etag, answer = excluded.answer
    WHERE status_answers.version <= excluded.version
""")
_UNANSWERED = f"""
    SELECT seen.run_id, seen.completed_at,
        stored.run_id IS NULL AND seen.work_due_at IS NULL AS is_unanswered
    FROM (
        SELECT id, run_id, version, completed_at, work_due_at FROM workflow_runs
        WHERE completed_at < $2 AND status NOT IN ({quoted(LIVE_STATUSES)})
        ORDER BY completed_at DESC LIMIT $3
    ) AS seen
    LEFT JOIN status_answers AS stored ON stored.run_id = seen.id
        AND stored.version = seen.version AND stored.edition = $1
    ORDER BY seen.completed_at DESC
"""  # noqa: S608 - no value of a person is in it


async def read(reads: DirectReads, run_id: str, *, edition: str) -> StoredAnswer | None:
    """Read what an edition answered about a run, if the run's row is still the same."""
    row = await reads.fetch_row(READ, run_id, edition)
    if row is None:
        return None
    return StoredAnswer(run=row[0], mark=RowMark(row[1], row[2]), etag=row[3], written=row[4])


async def save(session: AsyncSession, answers: Sequence[StoredAnswer], *, edition: str) -> None:
    """Store the answers of an edition; one of a newer row of its run stays.

    Args:
        session: An open database session.
        answers: At most one of each run.
        edition: Of the program that made them.
    """
    await session.execute(
        _SAVE,
        {
            "edition": edition,
            "runs": [one.run for one in answers],
            "versions": [one.mark.version for one in answers],
            "writers": [one.mark.written_by for one in answers],
            "etags": [one.etag for one in answers],
            "answers": [one.written for one in answers],
        },
    )


async def ended_before(
    reads: DirectReads, before: datetime, *, edition: str, limit: int
) -> list[EndedRun]:
    """The runs that ended before a time, newest first, at most `limit`."""
    rows = await reads.fetch(_UNANSWERED, edition, before, limit)
    return [EndedRun(run_id=row[0], ended_at=row[1], is_unanswered=row[2]) for row in rows]
