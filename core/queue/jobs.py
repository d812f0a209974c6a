"""Jobs: enqueueing, aborting and cleaning up, in the caller's transaction.

A job is the instruction to execute one attempt of a run.  Every further attempt is a new job; a
job is never started twice.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.queue.engine_internals import statements

RUNS_QUEUE = "runs"
TASK_NAME = "signalbox.run"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job that a worker executes."""

    job_id: int
    run_id: str
    attempt: int


def node_queue(node: str) -> str:
    """Return the name of the queue from which only one node's worker takes jobs."""
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
    """Enqueue an attempt of a run; workers see the job when the caller's transaction commits.

    Jobs of one session run one after the other, by priority and then by age.

    Args:
        session: An open session.
        run_id: The run.
        attempt: The attempt to execute.
        session_id: The run's session.
        priority: Higher starts earlier.
        queue: The queue of all workers, or that of a node (`node_queue`).

    Returns:
        The job's id.
    """
    inserted = await session.execute(
        statements.ENQUEUE,
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
    """Abort a job: a waiting one never starts, and the handler of a running one is cancelled.

    Returns:
        False if the job does not exist or has ended.
    """
    return await session.scalar(statements.ABORT, {"job_id": job_id}) is not None


async def finish_abandoned(session: AsyncSession, job_id: int) -> None:
    """Finish a job whose worker is gone, so that its session's next job can start.

    A job that has ended is not changed.
    """
    await session.execute(statements.FINISH_ABANDONED, {"job_id": job_id})


async def depth(session: AsyncSession, *, queue: str | None = None) -> int:
    """Count the jobs that no worker has started, in one queue or in all."""
    waiting: int = (await session.execute(statements.COUNT_WAITING, {"queue": queue})).scalar_one()
    return waiting


async def release_node_jobs(
    session: AsyncSession, *, min_wait: timedelta, live_nodes: Collection[str]
) -> int:
    """Move waiting jobs from the queues of nodes to the queue of all workers.

    Args:
        session: An open session.
        min_wait: How long a job of a live node must have waited.
        live_nodes: The nodes with a worker; jobs of other nodes are moved at once.

    Returns:
        The number of moved jobs.
    """
    moved = await session.execute(
        statements.RELEASE_NODE_JOBS,
        {
            "nodes": [node_queue(node) for node in live_nodes],
            "waited": min_wait,
            "runs": RUNS_QUEUE,
        },
    )
    return len(moved.all())


async def list_stalled(session: AsyncSession, *, max_silence: timedelta) -> list[Job]:
    """List running jobs whose worker is gone, or without a heartbeat for `max_silence`.

    After an outage of Postgres every worker seems silent, so a caller should check twice.
    """
    rows = await session.execute(
        statements.LIST_STALLED, {"task": TASK_NAME, "silent": max_silence}
    )
    return [
        Job(job_id=row.id, run_id=row.args["run_id"], attempt=row.args["attempt"]) for row in rows
    ]


async def list_ended(session: AsyncSession, job_ids: Collection[int]) -> list[int]:
    """List those of the jobs that have ended in any way, or were deleted."""
    ended = await session.scalars(statements.LIST_ENDED, {"job_ids": list(job_ids)})
    return list(ended)


async def delete_finished(session: AsyncSession, *, before: datetime) -> int:
    """Delete ended jobs without an event since `before`.

    Returns:
        The number of deleted jobs.
    """
    deleted = await session.execute(statements.DELETE_FINISHED, {"before": before})
    count: int = deleted.scalar_one()
    return count
