"""The choice of a queue for a run's job: preferably the node with the session's workspace."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.attempt import HEARTBEAT_INTERVAL
from core.domain.runs.run import Run
from core.queue import jobs
from core.store.fleet import workers
from core.store.runs import runs
from core.store.sessions import sessions

# A node without a heartbeat for so long has missed two; jobs do not wait for it.
_MAX_HEARTBEAT_AGE = 2.5 * HEARTBEAT_INTERVAL
# How long a job waits for the node that holds its workspace before any worker may take it.  The
# check for such jobs comes with a worker's heartbeat, so it can take 5 s more.
AFFINITY_WAIT = timedelta(seconds=4)


async def dispatch_run(session: AsyncSession, run: Run, *, now: datetime) -> Run:
    """Enqueue the job of a pending run, and record it in the row.

    The job goes to the node that holds the session's workspace, if that node takes jobs and has
    a free slot; otherwise to the first free worker.
    """
    job_id = await jobs.enqueue(
        session,
        run_id=run.run_id,
        attempt=run.attempt,
        session_id=run.session_id,
        # The engine orders by priority, then by job.  Of equal runs those that had begun go first.
        priority=2 * run.priority + (run.attempt > 1),
        queue=await _queue_for(session, run, now),
    )
    return await runs.change(
        session,
        run.run_id,
        now=now,
        job_id=job_id,
        queue_reason=None,
        # A wait for the next attempt is over.
        retry_at=None,
        waiting_on=None,
    )


async def release_waiting_jobs(session: AsyncSession, *, now: datetime) -> int:
    """Let any worker take the jobs whose preferred node has not taken them, or is gone.

    A job keeps its id, so an attempt never has two jobs.

    Returns:
        The number of released jobs.
    """
    nodes = {
        worker.node
        for worker in await workers.accepting_jobs(session, since=now - _MAX_HEARTBEAT_AGE)
    }
    return await jobs.release_node_jobs(session, min_wait=AFFINITY_WAIT, live_nodes=nodes)


async def _queue_for(session: AsyncSession, run: Run, now: datetime) -> str:
    conversation = await sessions.get(session, run.session_id)
    node = conversation.workspace_node
    if node is None:
        return jobs.RUNS_QUEUE
    queue = jobs.node_queue(node)
    found = await workers.accepting_jobs(session, since=now - _MAX_HEARTBEAT_AGE, node=node)
    taken = sum(worker.live_runs for worker in found) + await jobs.depth(session, queue=queue)
    return queue if taken < sum(worker.slots for worker in found) else jobs.RUNS_QUEUE
