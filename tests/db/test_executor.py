"""The tasks of an execution go on, or come to an end that is recorded, after any failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.domain.kills.termination import ProcessIdentity
from core.domain.runs.event import AgentResult, EventKind
from core.domain.runs.run import Run, RunStatus, StopReason, Usage
from core.queue.jobs import Job
from core.runner.execution.attempt import Attempt, Cause, Prepared, Stopped
from core.runner.execution.executor import Executor, WorkTask
from core.runner.execution.history import SessionHistory
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.settlement import Settlement
from core.runner.execution.work import AgentEnvironment, AgentWork
from core.runner.keeping.carry import Carrier
from core.runner.keeping.keeper import WorkKeeper
from core.runner.recovery.clean_up import Cleaner
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.worker.lease import Lease
from core.store import events
from core.store.database.engine import Database, Unstorable
from core.store.runs import runs
from core.workspace.workspaces import Workspace, Workspaces
from tests.database import NOW, missing_table, stored_run
from tests.inbox_harness import WORKER, InboxHarness, wait_until
from tests.limits import limit

DEFECT = "never thought of"


@dataclass(frozen=True)
class FailingLedger(Ledger):
    """A ledger without any read or write of which a test says so."""

    broken: set[str] = field(default_factory=set)

    async def write_progress(self, attempt: Attempt) -> None:
        if "write" in self.broken:
            attempt.progress.restore_records(attempt.progress.drain())
            raise Unstorable(DEFECT)
        await Ledger.write_progress(self, attempt)

    async def read_run(self, run_id: str) -> Run:
        if "read" in self.broken:
            raise LookupError(DEFECT)
        return await Ledger.read_run(self, run_id)

    async def record_agent(self, attempt: Attempt, agent: ProcessIdentity) -> None:
        raise LookupError(DEFECT)

    async def history(self, run: Run) -> SessionHistory:
        await asyncio.Event().wait()
        raise AssertionError


class UnstoppingExecutor(Executor):
    """An executor whose stops fail."""

    async def _stop(self, attempt: Attempt, work: WorkTask) -> Stopped:
        raise LookupError(DEFECT)


@dataclass
class ExecutorHarness:
    """An executor without agents."""

    database: Database
    home: Path

    def __post_init__(self) -> None:
        self.inbox = InboxHarness(self.database)
        self.ledger = FailingLedger(self.inbox.context, WORKER, "here")
        self.executor = self.make(Executor)

    def make(self, kind: type[Executor]) -> Executor:
        unused: Any = None
        return kind(
            ledger=self.ledger,
            catalog=unused,
            workspaces=unused,
            kills=InterruptedKills(self.ledger, Cleaner(self.home)),
            transcripts=unused,
            lease=Lease(),
            agents=AgentEnvironment(home=self.home, credentials={}, installation_id=""),
        )

    async def event_kinds(self, run: Run) -> list[EventKind]:
        async with self.database.sessions() as session:
            return [one.kind for one in await events.of_run(session, run.id)]

    @asynccontextmanager
    async def writing(self, attempt: Attempt) -> AsyncIterator[asyncio.Task[None]]:
        """The task that writes the progress of an attempt whose agent works."""
        work: WorkTask = asyncio.create_task(_never_end(), name="work under test")
        writer = asyncio.create_task(self.executor._write(attempt, work), name="writer")
        try:
            yield writer
        finally:
            work.cancel()
            writer.cancel()
            await asyncio.wait({work, writer})


async def _never_end() -> None:
    await asyncio.Event().wait()


@pytest.fixture
def harness(database: Database, tmp_path: Path) -> ExecutorHarness:
    return ExecutorHarness(database, tmp_path)


def add_note(attempt: Attempt) -> None:
    attempt.progress.add_record(EventKind.WORKSPACE_READY, NOW, commit="c0ffee")
    attempt.has_changes.set()


async def test_progress_that_could_not_be_written_is_written_when_it_can_be(
    harness: ExecutorHarness, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = await harness.inbox.begun()
    harness.ledger.broken.add("write")

    async with harness.writing(attempt) as writer:
        add_note(attempt)
        await wait_until(lambda: DEFECT in caplog.text)
        harness.ledger.broken.clear()
        kinds, run = harness.event_kinds, attempt.run
        async with limit(10):
            while EventKind.WORKSPACE_READY not in await kinds(run):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)

        assert not writer.done()
    assert "Traceback" in caplog.text


async def test_progress_that_was_never_written_is_written_with_the_end(
    harness: ExecutorHarness, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = await harness.inbox.begun()
    harness.ledger.broken.add("write")
    async with harness.writing(attempt):
        add_note(attempt)
        await wait_until(lambda: DEFECT in caplog.text)
    result = AgentResult(
        subtype="success", is_error=False, text="Done.", cost_usd=Decimal(1), usage=Usage()
    )
    attempt.progress.add_event(result, at=NOW)

    unused: Any = None
    carrier = Carrier(harness.ledger, unused)
    keeper = WorkKeeper(unused)
    settlement = Settlement(harness.ledger, keeper, carrier, unused, unused, harness.home)
    harness.ledger.broken.clear()
    await settlement.settle(attempt, None, None)

    ended = await harness.ledger.read_run(attempt.run.run_id)
    assert (ended.status, ended.result) == (RunStatus.COMPLETED, "Done.")
    assert EventKind.WORKSPACE_READY in await harness.event_kinds(attempt.run)


async def test_an_attempt_whose_progress_cannot_be_written_notices_that_it_was_taken_over(
    harness: ExecutorHarness,
) -> None:
    attempt = await harness.inbox.begun()
    await harness.ledger.requeue(attempt.run, reason="its worker was lost")
    harness.ledger.broken.add("write")

    async with harness.writing(attempt) as writer:
        add_note(attempt)
        async with limit(10):
            await writer

    assert attempt.cause is Cause.FENCED


async def test_an_attempt_that_can_neither_write_nor_read_works_on(
    harness: ExecutorHarness, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = await harness.inbox.begun()
    harness.ledger.broken.update({"write", "read"})

    async with harness.writing(attempt) as writer:
        add_note(attempt)
        await wait_until(lambda: caplog.text.count(f"unstorable value: {DEFECT}") >= 2)

        assert not writer.done()
    assert attempt.cause is None


async def test_a_stop_whose_cause_cannot_be_read_is_a_handover(harness: ExecutorHarness) -> None:
    attempt = await harness.inbox.begun()
    harness.ledger.broken.add("read")

    assert await harness.executor._read_cause(attempt)

    assert attempt.cause is Cause.HANDOVER


async def test_a_stop_that_fails_neither_leaves_the_work_running_nor_the_run(
    harness: ExecutorHarness,
) -> None:
    begun = await harness.inbox.begun()
    attempt = replace(begun, run=replace(begun.run, timeout=timedelta(minutes=1)))
    attempt.stop.cause = Cause.TIMEOUT
    attempt.stop.requested.set()

    async with limit(10):
        with pytest.raises(LookupError, match=DEFECT):
            await harness.make(UnstoppingExecutor)._execute(attempt)

    ended = await harness.ledger.read_run(attempt.run.run_id)
    assert (ended.status, ended.stop_reason) == (RunStatus.FAILED, StopReason.TIMEOUT)


async def test_a_run_does_not_fail_because_its_process_is_not_recorded(
    harness: ExecutorHarness, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = await harness.inbox.begun()
    agent: Any = SimpleNamespace(root=ProcessIdentity(pid=1, started_ticks=1))
    unused: Any = None
    work = AgentWork(harness.ledger, unused, unused, unused, unused, harness.executor.agents)

    await work._record_agent(attempt, agent)

    assert DEFECT in caplog.text


async def test_a_run_that_began_and_cannot_be_executed_ends_at_once(
    harness: ExecutorHarness, caplog: pytest.LogCaptureFixture
) -> None:
    class FailingCatalog:
        def get(self, name: str) -> None:
            raise LookupError(DEFECT)

    catalog: Any = FailingCatalog()
    run = await stored_run(harness.database)
    job = Job(job_id=1, run_id=run.run_id, attempt=1)
    async with harness.database.sessions.begin() as session:
        await runs.change(session, run.run_id, now=NOW, job_id=job.job_id)

    await replace(harness.executor, catalog=catalog)(job)

    ended = await harness.ledger.read_run(run.run_id)
    assert (ended.status, ended.stop_reason) == (RunStatus.FAILED, StopReason.SETUP_ERROR)
    assert "defect" in (ended.error_message or "")
    assert DEFECT in caplog.text


async def test_a_run_is_handed_back_although_its_last_progress_cannot_be_written(
    harness: ExecutorHarness,
) -> None:
    attempt = await harness.inbox.begun()
    add_note(attempt)

    async with missing_table(harness.database, "workflow_steps"):
        requeued = await harness.ledger.hand_back(attempt, reason="its worker was shut down")

    assert (requeued.status, requeued.attempt) == (RunStatus.PENDING, 2)


class FailingWorkspaces(Workspaces):
    async def read_head_state(self, workspace: Workspace) -> str:
        raise LookupError(DEFECT)


async def test_a_run_ends_although_nobody_can_be_told_what_was_not_carried(
    harness: ExecutorHarness, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = await harness.inbox.begun()
    attempt.stop.cause = Cause.KILL
    workspace = Workspace(
        id="ws_1", path=tmp_path / "ws_1", branch="main", base_commit=None, repo=None
    )
    attempt.opened.prepared = Prepared(run=attempt.run, workspace=workspace, base_commit=None)
    attempt.carry_state.is_end_written = True
    workspaces = FailingWorkspaces(tmp_path, git_timeout=timedelta(seconds=5))

    async with missing_table(harness.database, "run_events"):
        await Carrier(harness.ledger, workspaces).carry_remaining(attempt, None)

    assert "does not show what was not carried" in caplog.text
