"""Jobs as rows: handing over, calling off, clearing up, in the caller's own transaction.

A job says "execute this attempt of this run"; it is not the run.  Continuing or repeating a
run is a new job: an old one is never started again.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

RUNS_QUEUE = "runs"
TASK_NAME = "signalbox.run"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One attempt of a run, handed to a worker."""

    job_id: int
    run_id: str
    attempt: int


_ENQUEUE = text("""
    SELECT unnest(procrastinate.procrastinate_defer_jobs_v1(ARRAY[ROW(
        CAST(:queue AS varchar), CAST(:task AS varchar), CAST(:priority AS integer),
        CAST(:lock AS text), NULL, CAST(:args AS jsonb), NULL
    )::procrastinate.procrastinate_job_to_defer_v1]))
""")

_ABORT = text("SELECT procrastinate.procrastinate_cancel_job_v1(:job_id, true, false)")

# The engine's function raises for a job that has ended; the row lock makes the check hold.
_FINISH_ABANDONED = text("""
    WITH unfinished AS (
        SELECT id FROM procrastinate.procrastinate_jobs
        WHERE id = :job_id AND status IN ('todo', 'doing')
        FOR UPDATE
    )
    SELECT procrastinate.procrastinate_finish_job_v1(id, 'failed', false) FROM unfinished
""")

_DEPTH = text("""
    SELECT count(*) FROM procrastinate.procrastinate_jobs
    WHERE status = 'todo' AND (CAST(:queue AS text) IS NULL OR queue_name = CAST(:queue AS text))
""")

# The same job in another queue, so that it has one worker whoever is quicker; its place in
# the order, by priority and id, stays too.
_RELEASE_NODE_JOBS = text("""
    WITH released AS (
        SELECT id FROM procrastinate.procrastinate_jobs AS jobs
        WHERE status = 'todo' AND queue_name LIKE 'node:%' AND (
            NOT queue_name = ANY(CAST(:nodes AS text[]))
            OR EXISTS (
                SELECT 1 FROM procrastinate.procrastinate_events AS events
                WHERE events.job_id = jobs.id AND events.type = 'deferred'
                    AND events.at < now() - CAST(:waited AS interval)
            )
        )
        ORDER BY id
        FOR UPDATE SKIP LOCKED
    )
    UPDATE procrastinate.procrastinate_jobs AS jobs SET queue_name = CAST(:runs AS text)
    FROM released WHERE jobs.id = released.id
    RETURNING jobs.id,
        pg_notify(
            'procrastinate_queue_v1#' || CAST(:runs AS text),
            json_build_object('type', 'job_inserted', 'job_id', jobs.id)::text
        )
""")

# A worker that was pruned or has taken its leave is no longer in the table.
_LIST_STALLED = text("""
    SELECT jobs.id, jobs.args
    FROM procrastinate.procrastinate_jobs AS jobs
    LEFT JOIN procrastinate.procrastinate_workers AS workers ON workers.id = jobs.worker_id
    WHERE jobs.status = 'doing'
        AND jobs.task_name = :task
        AND (workers.id IS NULL OR workers.last_heartbeat < now() - CAST(:silent AS interval))
    ORDER BY jobs.id
""")

_DELETE_FINISHED = text("""
    WITH forgotten AS (
        DELETE FROM procrastinate.procrastinate_jobs AS jobs
        WHERE jobs.status NOT IN ('todo', 'doing')
            AND NOT EXISTS (
                SELECT 1 FROM procrastinate.procrastinate_events AS events
                WHERE events.job_id = jobs.id AND events.at >= :before
            )
        RETURNING 1
    )
    SELECT count(*) FROM forgotten
""")


def node_queue(node: str) -> str:
    """The queue that only this node's worker listens to."""
    return f"node:{node}"


async def enqueue(
    session: AsyncSession,
    *,
    run_id: str,
    attempt: int,
    session_id: UUID,
    priority: int = 0,
    queue: str = RUNS_QUEUE,
) -> int:
    """Hand an attempt of a run to the workers, once the caller's transaction commits.

    Jobs of one session run one after the other, in order of priority, then of age.

    Returns:
        The job's id.
    """
    inserted = await session.execute(
        _ENQUEUE,
        {
            "queue": queue,
            "task": TASK_NAME,
            "priority": priority,
            "lock": f"session:{session_id}",
            "args": json.dumps({"run_id": run_id, "attempt": attempt}),
        },
    )
    job_id: int = inserted.scalar_one()
    return job_id


async def abort(session: AsyncSession, job_id: int) -> bool:
    """Call a job off: one that waits never starts, a running handler is cancelled.

    Returns:
        Whether there was anything to call off.
    """
    return await session.scalar(_ABORT, {"job_id": job_id}) is not None


async def finish_abandoned(session: AsyncSession, job_id: int) -> None:
    """Finish a job whose worker is gone, so that its session's next job can start.

    A job that has ended already is left as it is.
    """
    await session.execute(_FINISH_ABANDONED, {"job_id": job_id})


async def depth(session: AsyncSession, *, queue: str | None = None) -> int:
    """How many jobs wait to be started, in one queue or in all."""
    waiting: int = (await session.execute(_DEPTH, {"queue": queue})).scalar_one()
    return waiting


async def release_node_jobs(
    session: AsyncSession, *, min_wait: timedelta, live_nodes: Collection[str]
) -> int:
    """Move jobs from nodes' own queues to the one that everybody takes from.

    Those of the named nodes are moved only once they have waited for so long.

    Returns:
        How many were moved.
    """
    moved = await session.execute(
        _RELEASE_NODE_JOBS,
        {
            "nodes": [node_queue(node) for node in live_nodes],
            "waited": min_wait,
            "runs": RUNS_QUEUE,
        },
    )
    return len(moved.all())


async def list_stalled(session: AsyncSession, *, max_silence: timedelta) -> list[Job]:
    """Jobs in the hands of workers that have been silent for so long, or are gone.

    After an outage every worker looks silent: look twice before believing it.
    """
    rows = await session.execute(_LIST_STALLED, {"task": TASK_NAME, "silent": max_silence})
    return [
        Job(job_id=row.id, run_id=row.args["run_id"], attempt=row.args["attempt"]) for row in rows
    ]


async def delete_finished(session: AsyncSession, *, before: datetime) -> int:
    """Delete jobs to which nothing has happened since `before`, unless they are live.

    Returns:
        How many were deleted.
    """
    count: int = (await session.execute(_DELETE_FINISHED, {"before": before})).scalar_one()
    return count
