"""What becomes of runs whose worker is silent: seen twice, resumed or failed, and counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from core.domain.fleet.attempt import HEARTBEAT_INTERVAL, STALLED_AFTER, RunProcess
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.step import Step, StepStatus
from core.domain.workflow import OnWorkerLost
from core.queue import jobs
from core.runner.execution.ledger import Ledger
from core.runner.recovery.lost_worker import Lost
from core.runner.recovery.rescue import MAX_LOSSES, SECOND_LOOK_AFTER, Rescue
from core.services.dispatch import hand_over, release_waiting
from core.services.work import Work
from core.store import events, steps
from core.store.database.engine import Database
from core.store.fleet import attempts, workers
from core.store.runs import runs
from core.store.sessions import sessions
from core.store.sessions.transcripts import Transcripts
from tests.database import NOW, new_session, stored_run
from tests.rescuers import rescuer


@dataclass
class Desk:
    """A look-out on a machine of its own, whose clock the test moves."""

    database: Database
    now: datetime = NOW
    rescue: Rescue = field(init=False)

    def __post_init__(self) -> None:
        work = Work(self.database, lambda: self.now)
        self.ledger = Ledger(work, "there-1:0badcafe", "there")
        self.rescue = rescuer(self.ledger)

    async def executed(self, worker: str = "here-1:deadbeef", **fields: object) -> Run:
        """A run in the hands of a worker elsewhere."""
        run = await stored_run(self.database, **fields)
        return await self.begun(run, worker)

    async def begun(self, run: Run, worker: str = "here-1:deadbeef") -> Run:
        """The run, begun by that worker."""
        begun = await Ledger(self.ledger.work, worker, "here").begin(run.run_id, run.attempt)
        assert begun is not None
        return begun

    async def beat(self, worker: str = "here-1:deadbeef") -> frozenset[tuple[object, int]]:
        """A sign of life of a worker."""
        async with self.database.sessions.begin() as session:
            return await attempts.beat(session, worker, now=self.now)

    async def look_twice(self) -> list[Run]:
        """Both looks that it takes, each late enough."""
        self.now += STALLED_AFTER + timedelta(seconds=1)
        assert await self.rescue.look() == []
        self.now += SECOND_LOOK_AFTER
        return await self.rescue.look()

    async def told(self, run: Run, kind: EventKind) -> list[dict[str, object]]:
        """What is recorded of this kind."""
        async with self.database.sessions() as session:
            return [dict(one.data) for one in await events.of_run(session, run.id, kinds=(kind,))]


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


async def test_a_run_of_a_silent_worker_goes_on_as_its_next_attempt(desk: Desk) -> None:
    run = await desk.executed()

    (lost,) = await desk.look_twice()

    assert (lost.run_id, lost.status, lost.attempt) == (run.run_id, RunStatus.PENDING, 2)
    assert lost.job_id is not None
    (told,) = await desk.told(run, EventKind.WORKER_LOST)
    assert (told["node"], told["times"], told["resumes"]) == ("here-1", 1, True)
    assert await desk.beat() == frozenset()


async def test_one_sign_of_life_between_the_looks_is_enough(desk: Desk) -> None:
    run = await desk.executed()
    desk.now += STALLED_AFTER + timedelta(seconds=1)
    assert await desk.rescue.look() == []

    assert await desk.beat() == {(run.id, 1)}
    desk.now += SECOND_LOOK_AFTER

    assert await desk.rescue.look() == []


async def test_a_worker_whose_clock_is_behind_is_not_taken_for_dead(desk: Desk) -> None:
    run = await desk.executed()
    behind = timedelta(minutes=5)
    desk.now += behind
    for _ in range(8):
        desk.now += HEARTBEAT_INTERVAL
        async with desk.database.sessions.begin() as session:
            await attempts.beat(session, "here-1:deadbeef", now=desk.now - behind)
        assert await desk.rescue.look() == []

    assert (await desk.ledger.look(run.run_id)).attempt == 1


async def test_a_worker_heard_at_the_last_moment_keeps_its_run(desk: Desk) -> None:
    run = await desk.executed()
    async with desk.database.sessions() as session:
        (process,) = await attempts.of_run(session, run.id)
    desk.now += STALLED_AFTER
    await desk.beat()

    async with desk.database.sessions.begin() as session:
        given_up = await attempts.give_up(
            session, run.id, 1, silent_since=process.heartbeat_at, now=desk.now
        )

    assert not given_up
    assert await desk.beat() == {(run.id, 1)}


async def test_a_workflow_may_fail_when_its_worker_is_lost(desk: Desk) -> None:
    run = await desk.executed(on_worker_lost=OnWorkerLost.FAIL)
    plan = [
        Step(step_id=1, name="Look", status=StepStatus.COMPLETED),
        Step(step_id=2, name="Write", status=StepStatus.IN_PROGRESS),
        Step(step_id=3, name="Test"),
    ]
    async with desk.database.sessions.begin() as session:
        await steps.replace(session, run.id, plan)

    (lost,) = await desk.look_twice()

    assert (lost.status, lost.stop_reason) == (RunStatus.FAILED, StopReason.WORKER_LOST)
    assert lost.can_continue
    assert "here-1" in (lost.error_message or "")
    assert "continue" in (lost.error_message or "")
    (told,) = await desk.told(run, EventKind.WORKER_LOST)
    assert told["resumes"] is False
    async with desk.database.sessions() as session:
        left = await steps.of_run(session, run.id)
    # Nothing looks as if it were still being done.
    assert [step.status for step in left] == [
        StepStatus.COMPLETED,
        StepStatus.FAILED,
        StepStatus.PENDING,
    ]
    assert len(await desk.told(run, EventKind.RUN_ENDED)) == 1


async def test_a_run_that_loses_every_worker_fails_in_the_end(desk: Desk) -> None:
    run = await desk.executed()
    for _ in range(MAX_LOSSES - 1):
        (lost,) = await desk.look_twice()
        assert lost.status is RunStatus.PENDING
        await desk.begun(lost)

    (lost,) = await desk.look_twice()

    assert (lost.status, lost.stop_reason) == (RunStatus.FAILED, StopReason.WORKER_LOST)
    assert len(await desk.told(run, EventKind.WORKER_LOST)) == MAX_LOSSES


async def test_restarts_of_workers_do_not_count_as_losses(desk: Desk) -> None:
    run = await desk.executed()
    for _ in range(MAX_LOSSES + 1):
        run = await desk.begun(await desk.ledger.requeue(run, why="its worker was shut down"))

    (lost,) = await desk.look_twice()

    assert lost.status is RunStatus.PENDING


async def test_what_a_lost_agent_still_says_is_not_kept(desk: Desk) -> None:
    run = await desk.executed()
    key = {"project_key": "p", "session_id": str(run.session_id)}
    store = Transcripts(desk.database.sessions)
    zombie, successor = store.of_attempt(run.run_id, 1), store.of_attempt(run.run_id, 2)
    await zombie.append(key, [{"uuid": "a", "says": "before"}])
    await desk.look_twice()

    await zombie.append(key, [{"uuid": "b", "says": "too late"}])
    await successor.append(key, [{"uuid": "c", "says": "after"}])

    assert [entry["says"] for entry in await store.load(key) or []] == ["before", "after"]


async def test_a_run_that_cannot_be_given_on_keeps_no_other_from_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object, **__: object) -> Run:
        raise RuntimeError("never thought of")

    bad, good = await desk.executed(), await desk.executed()
    async with desk.database.sessions.begin() as session:
        await runs.wish_killed(session, bad.run_id, now=NOW)
    monkeypatch.setattr(desk.rescue.kills, "conclude", fail)

    lost = await desk.look_twice()

    assert {run.run_id: run.status for run in lost} == {
        bad.run_id: RunStatus.RUNNING,
        good.run_id: RunStatus.PENDING,
    }
    assert "never thought of" in caplog.text
    monkeypatch.undo()
    # It is tried again at each look.
    assert [run.run_id for run in await desk.rescue.look()] == [bad.run_id]


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
    """The queue of a run's waiting job."""
    async with database.sessions() as session:
        for queue in ("runs", "node:here-1"):
            if await jobs.depth(session, queue=queue):
                return queue
    raise AssertionError(f"{run.run_id} has no job that waits")


async def handed_over(desk: Desk, node: str | None) -> Run:
    """A run whose session's workspace is on a node."""
    conversation = new_session(workspace_node=node)
    async with desk.database.sessions.begin() as session:
        await sessions.add(session, conversation)
    run = await stored_run(desk.database, session_id=conversation.id)
    async with desk.database.sessions.begin() as session:
        return await hand_over(session, run, now=desk.now)


async def test_a_run_goes_to_the_node_that_holds_its_workspace(desk: Desk) -> None:
    async with desk.database.sessions.begin() as session:
        await workers.report(session, record())

    run = await handed_over(desk, "here-1")

    assert await queue_of(desk.database, run) == "node:here-1"


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
async def test_a_run_whose_node_takes_no_jobs_goes_to_anybody(
    desk: Desk, worker: WorkerRecord
) -> None:
    async with desk.database.sessions.begin() as session:
        await workers.report(session, worker)

    run = await handed_over(desk, "here-1")

    assert await queue_of(desk.database, run) == "runs"


async def test_a_run_whose_node_has_no_slot_free_goes_to_anybody(desk: Desk) -> None:
    worker = record()
    async with desk.database.sessions.begin() as session:
        await workers.report(session, worker)
    await desk.executed(worker.worker_id)
    await desk.executed(worker.worker_id)

    run = await handed_over(desk, "here-1")

    assert await queue_of(desk.database, run) == "runs"


async def test_a_job_that_its_node_does_not_take_is_anybodys_and_still_the_same(
    desk: Desk,
) -> None:
    async with desk.database.sessions.begin() as session:
        await workers.report(session, record())
    run = await handed_over(desk, "here-1")

    async with desk.database.sessions.begin() as session:
        too_early = await release_waiting(session, now=desk.now)
    async with desk.database.sessions.begin() as session:
        moved = await jobs.release(session, waited_for=timedelta(0), except_nodes=["here-1"])

    assert (too_early, moved) == (0, 1)
    assert await queue_of(desk.database, run) == "runs"
    assert (await desk.ledger.look(run.run_id)).job_id == run.job_id


async def test_a_job_of_a_node_that_went_is_anybodys_at_once(desk: Desk) -> None:
    worker = record()
    async with desk.database.sessions.begin() as session:
        await workers.report(session, worker)
    run = await handed_over(desk, "here-1")

    async with desk.database.sessions.begin() as session:
        await workers.succeed(session, record())
        assert await release_waiting(session, now=desk.now) == 1

    assert await queue_of(desk.database, run) == "runs"


async def test_workers_are_listed_with_what_they_execute_and_forgotten_later(desk: Desk) -> None:
    busy, gone = record(), record("here-2", state=WorkerState.GONE, stopped_at=NOW)
    async with desk.database.sessions.begin() as session:
        await workers.report(session, busy)
        await workers.report(session, gone)
    await desk.executed(busy.worker_id)
    day = timedelta(days=1)

    async with desk.database.sessions.begin() as session:
        listed = await workers.listed(session, gone_since=NOW - day)
        present = await workers.listed(session, gone_since=NOW + day)
        forgotten = await workers.forget(session, before=NOW + day)
        buried = await workers.bury(session, before=NOW + day, now=NOW + day)

    assert [(one.node, one.live_runs) for one in listed] == [("here-1", 1), ("here-2", 0)]
    assert [one.node for one in present] == ["here-1"]
    assert (forgotten, buried) == (1, [busy.worker_id])


async def test_who_was_taken_for_dead_and_lives_is_there_again(desk: Desk) -> None:
    worker = record()
    async with desk.database.sessions.begin() as session:
        await workers.report(session, worker)
        await workers.bury(session, before=NOW + timedelta(seconds=1), now=NOW)
        await workers.report(session, worker)
        (there,) = await workers.taking_jobs(session, since=NOW)

    assert (there.state, there.stopped_at) == (WorkerState.UP, None)


def test_a_process_names_its_node() -> None:
    process = RunProcess(
        id=uuid4(),
        run_id=uuid4(),
        attempt=1,
        worker_id="host:with:colons-0:ab",
        host="h",
        started_at=NOW,
        heartbeat_at=NOW,
    )

    assert Lost(process=process, times=1).node == "host:with:colons-0"
