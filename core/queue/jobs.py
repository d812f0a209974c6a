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

from sqlalchemy.ext.asyncio import AsyncSession

from core.queue.engine_internals import statements

RUNS_QUEUE = "runs"
TASK_NAME = "signalbox.run"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One attempt of a run, handed to a worker."""

    job_id: int
    run_id: str
    attempt: int


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
    """Call a job off: one that waits never starts, a running handler is cancelled.

    Returns:
        Whether there was anything to call off.
    """
    return await session.scalar(statements.ABORT, {"job_id": job_id}) is not None


async def finish_abandoned(session: AsyncSession, job_id: int) -> None:
    """Finish a job whose worker is gone, so that its session's next job can start.

    A job that has ended already is left as it is.
    """
    await session.execute(statements.FINISH_ABANDONED, {"job_id": job_id})


async def depth(session: AsyncSession, *, queue: str | None = None) -> int:
    """How many jobs wait to be started, in one queue or in all."""
    waiting: int = (await session.execute(statements.COUNT_WAITING, {"queue": queue})).scalar_one()
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
        statements.RELEASE_NODE_JOBS,
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
    rows = await session.execute(
        statements.LIST_STALLED, {"task": TASK_NAME, "silent": max_silence}
    )
    return [
        Job(job_id=row.id, run_id=row.args["run_id"], attempt=row.args["attempt"]) for row in rows
    ]


async def delete_finished(session: AsyncSession, *, before: datetime) -> int:
    """Delete jobs to which nothing has happened since `before`, unless they are live.

    Returns:
        How many were deleted.
    """
    deleted = await session.execute(statements.DELETE_FINISHED, {"before": before})
    count: int = deleted.scalar_one()
    return count
