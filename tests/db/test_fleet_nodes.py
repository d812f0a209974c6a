"""Which node takes a run, and the list of workers."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from core.domain.fleet.attempt import AttemptRecord
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.domain.runs.run import Run
from core.queue import jobs
from core.runner.recovery.lost_worker import LostWorker
from core.services.fleet.dispatch import dispatch_run, release_waiting_jobs
from core.store.database.engine import Database
from core.store.fleet import workers
from core.store.sessions import sessions
from tests.database import NOW, new_session, stored_run
from tests.rescue_harness import RescueHarness, record, rescue_harness

__all__ = ["rescue_harness"]


async def queue_of(database: Database, run: Run) -> str:
    """The queue of a run's pending job."""
    async with database.sessions() as session:
        for queue in ("runs", "node:here-1"):
            if await jobs.depth(session, queue=queue):
                return queue
    raise AssertionError(f"{run.run_id} has no pending job")


async def run_with_workspace_on(rescue_harness: RescueHarness, node: str | None) -> Run:
    """A run whose session has its workspace on a node."""
    conversation = new_session(workspace_node=node)
    async with rescue_harness.database.sessions.begin() as session:
        await sessions.add(session, conversation)
    run = await stored_run(rescue_harness.database, session_id=conversation.id)
    async with rescue_harness.database.sessions.begin() as session:
        return await dispatch_run(session, run, now=rescue_harness.now)


async def test_a_run_goes_to_the_node_that_holds_its_workspace(
    rescue_harness: RescueHarness,
) -> None:
    async with rescue_harness.database.sessions.begin() as session:
        await workers.record_heartbeat(session, record())

    run = await run_with_workspace_on(rescue_harness, "here-1")

    assert await queue_of(rescue_harness.database, run) == "node:here-1"


@pytest.mark.parametrize(
    "worker",
    [
        record(state=WorkerState.DRAINING),
        record(state=WorkerState.GONE),
        record(heartbeat_at=NOW - timedelta(minutes=1)),
        record(node="here-2"),
    ],
    ids=["draining", "gone", "silent", "another"],
)
async def test_a_run_whose_node_takes_no_jobs_goes_to_any_worker(
    rescue_harness: RescueHarness, worker: WorkerRecord
) -> None:
    async with rescue_harness.database.sessions.begin() as session:
        await workers.record_heartbeat(session, worker)

    run = await run_with_workspace_on(rescue_harness, "here-1")

    assert await queue_of(rescue_harness.database, run) == "runs"


async def test_a_run_whose_node_has_no_free_slot_goes_to_any_worker(
    rescue_harness: RescueHarness,
) -> None:
    worker = record()
    async with rescue_harness.database.sessions.begin() as session:
        await workers.record_heartbeat(session, worker)
    await rescue_harness.start_run(worker.worker_id)
    await rescue_harness.start_run(worker.worker_id)

    run = await run_with_workspace_on(rescue_harness, "here-1")

    assert await queue_of(rescue_harness.database, run) == "runs"


async def test_a_job_its_node_does_not_take_is_released_to_any_worker_unchanged(
    rescue_harness: RescueHarness,
) -> None:
    async with rescue_harness.database.sessions.begin() as session:
        await workers.record_heartbeat(session, record())
    run = await run_with_workspace_on(rescue_harness, "here-1")

    async with rescue_harness.database.sessions.begin() as session:
        too_early = await release_waiting_jobs(session, now=rescue_harness.now)
    async with rescue_harness.database.sessions.begin() as session:
        moved = await jobs.release_node_jobs(session, min_wait=timedelta(0), live_nodes=["here-1"])

    assert (too_early, moved) == (0, 1)
    assert await queue_of(rescue_harness.database, run) == "runs"
    assert (await rescue_harness.ledger.read_run(run.run_id)).job_id == run.job_id


async def test_a_job_of_a_gone_node_is_released_to_any_worker_at_once(
    rescue_harness: RescueHarness,
) -> None:
    worker = record()
    async with rescue_harness.database.sessions.begin() as session:
        await workers.record_heartbeat(session, worker)
    run = await run_with_workspace_on(rescue_harness, "here-1")

    async with rescue_harness.database.sessions.begin() as session:
        await workers.mark_predecessors_gone(session, record())
        assert await release_waiting_jobs(session, now=rescue_harness.now) == 1

    assert await queue_of(rescue_harness.database, run) == "runs"


async def test_workers_are_listed_with_their_runs_and_forgotten_later(
    rescue_harness: RescueHarness,
) -> None:
    busy, gone = record(), record("here-2", state=WorkerState.GONE, stopped_at=NOW)
    async with rescue_harness.database.sessions.begin() as session:
        await workers.record_heartbeat(session, busy)
        await workers.record_heartbeat(session, gone)
    await rescue_harness.start_run(busy.worker_id)
    day = timedelta(days=1)

    async with rescue_harness.database.sessions.begin() as session:
        listed = await workers.list_recent(session, gone_since=NOW - day)
        present = await workers.list_recent(session, gone_since=NOW + day)
        forgotten = await workers.delete_gone(session, before=NOW + day)
        marked = await workers.mark_gone(session, before=NOW + day, now=NOW + day)

    assert [(one.node, one.live_runs) for one in listed] == [("here-1", 1), ("here-2", 0)]
    assert [one.node for one in present] == ["here-1"]
    assert (forgotten, marked) == (1, [busy.worker_id])


async def test_a_live_worker_marked_gone_is_restored(
    rescue_harness: RescueHarness,
) -> None:
    worker = record()
    async with rescue_harness.database.sessions.begin() as session:
        await workers.record_heartbeat(session, worker)
        await workers.mark_gone(session, before=NOW + timedelta(seconds=1), now=NOW)
        await workers.record_heartbeat(session, worker)
        (there,) = await workers.accepting_jobs(session, since=NOW)

    assert (there.state, there.stopped_at) == (WorkerState.UP, None)


def test_a_process_names_its_node() -> None:
    process = AttemptRecord(
        id=uuid4(),
        run_id=uuid4(),
        attempt=1,
        worker_id="host:with:colons-0:ab",
        host="h",
        started_at=NOW,
        heartbeat_at=NOW,
    )

    assert LostWorker(process=process, loss_count=1).node == "host:with:colons-0"
