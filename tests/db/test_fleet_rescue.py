"""Rescue of runs whose worker is silent: checked twice, resumed or failed, and counted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from core.domain.fleet.attempt import HEARTBEAT_INTERVAL, STALLED_AFTER, AttemptRecord
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.step import Step, StepStatus
from core.domain.workflow import OnWorkerLost
from core.queue import jobs
from core.runner.execution.ledger import Ledger
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.recovery.lost_worker import RECHECK_AFTER, LostWorker
from core.runner.recovery.rescue import MAX_LOSSES, Rescue
from core.services.context import ServiceContext
from core.services.fleet.dispatch import dispatch_run, release_waiting_jobs
from core.store import events, steps
from core.store.database.engine import Database
from core.store.fleet import attempts, workers
from core.store.runs import runs
from core.store.sessions import sessions
from core.store.sessions.transcripts import Transcripts
from tests.database import NOW, new_session, stored_run
from tests.rescuer import rescuer


@dataclass
class RescueHarness:
    """A rescue service on its own machine, with a clock that the test moves."""

    database: Database
    now: datetime = NOW
    rescue: Rescue = field(init=False)

    def __post_init__(self) -> None:
        work = ServiceContext(self.database, lambda: self.now)
        self.ledger = Ledger(work, "there-1:0badcafe", "there")
        self.rescue = rescuer(self.ledger)

    async def start_run(self, worker: str = "here-1:deadbeef", **fields: object) -> Run:
        """A run that another worker executes."""
        run = await stored_run(self.database, **fields)
        return await self.begin(run, worker)

    async def begin(self, run: Run, worker: str = "here-1:deadbeef") -> Run:
        """The run after that worker began it."""
        begun = await Ledger(self.ledger.context, worker, "here").begin(run.run_id, run.attempt)
        assert begun is not None
        return begun

    async def beat(self, worker: str = "here-1:deadbeef") -> frozenset[tuple[object, int]]:
        """Send a heartbeat of a worker."""
        async with self.database.sessions.begin() as session:
            return await attempts.renew_heartbeats(session, worker, now=self.now)

    async def check_twice(self) -> list[Run]:
        """Make both checks of the rescue, the second one after the required time."""
        self.now += STALLED_AFTER + timedelta(seconds=1)
        assert await self.rescue.rescue_lost_runs() == []
        self.now += RECHECK_AFTER
        return await self.rescue.rescue_lost_runs()

    async def event_data(self, run: Run, kind: EventKind) -> list[dict[str, object]]:
        """Data of the run's events of this kind."""
        async with self.database.sessions() as session:
            return [dict(one.data) for one in await events.of_run(session, run.id, kinds=(kind,))]


@pytest.fixture
def rescue_harness(database: Database) -> RescueHarness:
    return RescueHarness(database)


async def test_a_run_of_a_silent_worker_continues_as_its_next_attempt(
    rescue_harness: RescueHarness,
) -> None:
    run = await rescue_harness.start_run()

    (lost,) = await rescue_harness.check_twice()

    assert (lost.run_id, lost.status, lost.attempt) == (run.run_id, RunStatus.PENDING, 2)
    assert lost.job_id is not None
    (event_data,) = await rescue_harness.event_data(run, EventKind.WORKER_LOST)
    assert (event_data["node"], event_data["times"], event_data["resumes"]) == ("here-1", 1, True)
    assert await rescue_harness.beat() == frozenset()


async def test_one_heartbeat_between_the_checks_is_enough(rescue_harness: RescueHarness) -> None:
    run = await rescue_harness.start_run()
    rescue_harness.now += STALLED_AFTER + timedelta(seconds=1)
    assert await rescue_harness.rescue.rescue_lost_runs() == []

    assert await rescue_harness.beat() == {(run.id, 1)}
    rescue_harness.now += RECHECK_AFTER

    assert await rescue_harness.rescue.rescue_lost_runs() == []


async def test_a_worker_whose_clock_is_behind_does_not_count_as_dead(
    rescue_harness: RescueHarness,
) -> None:
    run = await rescue_harness.start_run()
    behind = timedelta(minutes=5)
    rescue_harness.now += behind
    for _ in range(8):
        rescue_harness.now += HEARTBEAT_INTERVAL
        async with rescue_harness.database.sessions.begin() as session:
            await attempts.renew_heartbeats(
                session, "here-1:deadbeef", now=rescue_harness.now - behind
            )
        assert await rescue_harness.rescue.rescue_lost_runs() == []

    assert (await rescue_harness.ledger.read_run(run.run_id)).attempt == 1


async def test_a_heartbeat_at_the_last_moment_keeps_the_run(
    rescue_harness: RescueHarness,
) -> None:
    run = await rescue_harness.start_run()
    async with rescue_harness.database.sessions() as session:
        (process,) = await attempts.of_run(session, run.id)
    rescue_harness.now += STALLED_AFTER
    await rescue_harness.beat()

    async with rescue_harness.database.sessions.begin() as session:
        given_up = await attempts.end_if_silent(
            session, run.id, 1, last_heartbeat_at=process.heartbeat_at, now=rescue_harness.now
        )

    assert not given_up
    assert await rescue_harness.beat() == {(run.id, 1)}


async def test_a_workflow_may_fail_when_its_worker_is_lost(rescue_harness: RescueHarness) -> None:
    run = await rescue_harness.start_run(on_worker_lost=OnWorkerLost.FAIL)
    plan = [
        Step(step_id=1, name="Look", status=StepStatus.COMPLETED),
        Step(step_id=2, name="Write", status=StepStatus.IN_PROGRESS, started_at=NOW),
        Step(step_id=3, name="Test"),
    ]
    async with rescue_harness.database.sessions.begin() as session:
        await steps.replace(session, run.id, plan)

    (lost,) = await rescue_harness.check_twice()

    assert (lost.status, lost.stop_reason) == (RunStatus.FAILED, StopReason.WORKER_LOST)
    assert lost.can_continue
    assert "here-1" in (lost.error_message or "")
    assert "continue" in (lost.error_message or "")
    (event_data,) = await rescue_harness.event_data(run, EventKind.WORKER_LOST)
    assert event_data["resumes"] is False
    async with rescue_harness.database.sessions() as session:
        left = await steps.of_run(session, run.id)
    # No step or attempt is left in progress.
    assert [step.status for step in left] == [
        StepStatus.COMPLETED,
        StepStatus.PENDING,
        StepStatus.PENDING,
    ]
    assert [step.is_interrupted for step in left] == [False, True, False]
    assert len(await rescue_harness.event_data(run, EventKind.RUN_ENDED)) == 1


async def test_a_run_that_loses_every_worker_fails_in_the_end(
    rescue_harness: RescueHarness,
) -> None:
    run = await rescue_harness.start_run()
    for _ in range(MAX_LOSSES - 1):
        (lost,) = await rescue_harness.check_twice()
        assert lost.status is RunStatus.PENDING
        await rescue_harness.begin(lost)

    (lost,) = await rescue_harness.check_twice()

    assert (lost.status, lost.stop_reason) == (RunStatus.FAILED, StopReason.WORKER_LOST)
    assert len(await rescue_harness.event_data(run, EventKind.WORKER_LOST)) == MAX_LOSSES


async def test_worker_restarts_do_not_count_as_losses(rescue_harness: RescueHarness) -> None:
    run = await rescue_harness.start_run()
    for _ in range(MAX_LOSSES + 1):
        run = await rescue_harness.begin(
            await rescue_harness.ledger.requeue(run, reason="its worker was shut down")
        )

    (lost,) = await rescue_harness.check_twice()

    assert lost.status is RunStatus.PENDING


async def test_later_output_of_a_lost_agent_is_not_stored(rescue_harness: RescueHarness) -> None:
    run = await rescue_harness.start_run()
    key = {"project_key": "p", "session_id": str(run.session_id)}
    store = Transcripts(rescue_harness.database.sessions)
    zombie, successor = store.for_attempt(run.run_id, 1), store.for_attempt(run.run_id, 2)
    await zombie.append(key, [{"uuid": "a", "says": "before"}])
    await rescue_harness.check_twice()

    await zombie.append(key, [{"uuid": "b", "says": "too late"}])
    await successor.append(key, [{"uuid": "c", "says": "after"}])

    assert [entry["says"] for entry in await store.load(key) or []] == ["before", "after"]


async def test_a_run_that_cannot_be_reassigned_does_not_block_the_others(
    rescue_harness: RescueHarness, caplog: pytest.LogCaptureFixture
) -> None:
    is_mended = asyncio.Event()

    class FailingKills(InterruptedKills):
        async def finish_kill(self, run: Run, *, is_job_held: bool = False) -> Run:
            if not is_mended.is_set():
                raise RuntimeError("never thought of")
            return await super().finish_kill(run, is_job_held=is_job_held)

    kills = rescue_harness.rescue.kills
    failing = FailingKills(kills.ledger, kills.cleaner)
    rescue_harness.rescue = Rescue(rescue_harness.ledger, failing)
    bad, good = await rescue_harness.start_run(), await rescue_harness.start_run()
    async with rescue_harness.database.sessions.begin() as session:
        await runs.request_kill(session, bad.run_id, now=NOW)

    lost = await rescue_harness.check_twice()

    assert {run.run_id: run.status for run in lost} == {
        bad.run_id: RunStatus.RUNNING,
        good.run_id: RunStatus.PENDING,
    }
    assert "never thought of" in caplog.text
    is_mended.set()
    # Each later check tries it again.
    assert [run.run_id for run in await rescue_harness.rescue.rescue_lost_runs()] == [bad.run_id]


def record(node: str = "here-1", **fields: object) -> WorkerRecord:
    values: dict[str, object] = {
        "worker_id": f"{node}:{uuid4().hex[:8]}",
        "node": node,
        "host": "here",
        "slots": 2,
        "state": WorkerState.UP,
        "started_at": NOW,
        "heartbeat_at": NOW,
        "program_version": "1",
    }
    return WorkerRecord(**(values | fields))  # type: ignore[arg-type]


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
