"""A defect while an attempt is settled neither keeps its run alive nor hides what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.agent.results.attempt_result import AttemptResult
from core.domain.failures.failed_attempt import FailedAttempt
from core.domain.runs.event import AgentResult, AgentText
from core.domain.runs.run import Run, RunStatus, StopReason, Usage
from core.domain.runs.work.checkpoint_policy import CheckpointPolicy
from core.domain.runs.work.diff import StartState
from core.runner.checkpoints.checkpoint_ledger import CheckpointLedger
from core.runner.checkpoints.checkpointer import Checkpointer
from core.runner.execution.attempt import Attempt, Cause, Prepared
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.settlement import Settlement
from core.runner.keeping.carry import Carrier
from core.runner.keeping.keeper import KeptWork, WorkKeeper
from core.runner.recovery.clean_up import Cleaner
from core.store.database.engine import Database
from core.store.fleet import attempts
from core.workspace.work.changes import Measured
from core.workspace.workspaces import Workspace, Workspaces
from tests.database import NOW, missing_table
from tests.inbox_harness import WORKER, InboxHarness

DEFECT = "never thought of"


@dataclass(frozen=True)
class FailingLedger(Ledger):
    """A ledger that cannot write outcomes."""

    async def finish(
        self,
        attempt: Attempt,
        end: AttemptResult,
        kept: KeptWork | None = None,
        failed: FailedAttempt | None = None,
    ) -> Run:
        raise RuntimeError(DEFECT)


class FailingWorkspaces(Workspaces):
    """Workspaces whose changes cannot be read."""

    async def save(
        self, workspace: Workspace, label: str, *, only_if_uncommitted: bool = False
    ) -> Mapping[str, Any]:
        return {"head": "c0ffee", "uncommitted_files": 0}

    async def measure(
        self, workspace: Workspace, start: StartState, *, saved: Mapping[str, Any] | None = None
    ) -> Measured:
        raise RuntimeError(DEFECT)


@pytest.fixture
async def attempt(database: Database) -> Attempt:
    """An attempt whose agent has finished and reported."""
    attempt = await InboxHarness(database).begun()
    result = AgentResult(
        subtype="success",
        is_error=False,
        text="Done.",
        cost_usd=Decimal(1),
        usage=Usage(),
    )
    attempt.progress.add_event(result, at=NOW)
    return attempt


async def settled(attempt: Attempt, ledger: Ledger, folder: Path) -> Run:
    """The run after the end of its attempt was recorded."""
    workspaces = FailingWorkspaces(folder, git_timeout=timedelta(seconds=5))
    settlement = Settlement(
        ledger,
        WorkKeeper(workspaces),
        Carrier(ledger, workspaces),
        Checkpointer(CheckpointLedger(ledger.context), workspaces, CheckpointPolicy()),
        Cleaner(folder),
        folder,
    )
    afterwards = await settlement.settle(attempt, None, None)
    assert afterwards is not None
    await afterwards.complete()
    return await ledger.read_run(attempt.run.run_id)


async def test_a_success_whose_outcome_cannot_be_written_does_not_look_complete(
    database: Database, attempt: Attempt, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = FailingLedger(InboxHarness(database).context, WORKER, "here")

    run = await settled(attempt, ledger, tmp_path)

    assert (run.status, run.stop_reason) == (RunStatus.FAILED, StopReason.NO_RESULT)
    assert "could not be recorded" in (run.error_message or "")
    assert DEFECT in caplog.text


async def test_a_killed_run_stays_killed_if_its_outcome_cannot_be_written(
    database: Database, attempt: Attempt, tmp_path: Path
) -> None:
    ledger = FailingLedger(InboxHarness(database).context, WORKER, "here")
    attempt.stop.cause = Cause.KILL

    run = await settled(attempt, ledger, tmp_path)

    assert (run.status, run.stop_reason) == (RunStatus.KILLED, StopReason.KILLED)


async def test_a_defect_in_the_diff_does_not_prevent_the_end_of_a_run(
    database: Database, attempt: Attempt, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(InboxHarness(database).context, WORKER, "here")
    workspace = Workspace(
        id="ws_1", path=tmp_path / "ws_1", branch="main", base_commit=None, repo=None
    )
    attempt.opened.prepared = Prepared(run=attempt.run, workspace=workspace, base_commit=None)
    # Its work is stored already.
    attempt.carry_state.is_closed = True

    run = await settled(attempt, ledger, tmp_path)

    assert (run.status, run.result, run.diff) == (RunStatus.COMPLETED, "Done.", None)
    assert run.final_commit_hash == "c0ffee"
    assert "A defect of Signalbox" in (run.changes_unknown or "")
    assert DEFECT in caplog.text


# Without a report its usage is counted from the transcript.
@pytest.mark.parametrize("table", ["transcript_entries", "workflow_steps", "run_events"])
async def test_a_run_ends_whatever_fails_while_its_end_is_written(
    database: Database, tmp_path: Path, table: str
) -> None:
    attempt = await InboxHarness(database).begun()
    attempt.stop.cause = Cause.TIMEOUT
    ledger = Ledger(InboxHarness(database).context, WORKER, "here")

    async with missing_table(database, table):
        run = await settled(attempt, ledger, tmp_path)

    assert (run.status, run.stop_reason) == (RunStatus.FAILED, StopReason.TIMEOUT)
    async with database.sessions() as session:
        assert await attempts.live(session) == []


async def test_a_defect_in_the_count_of_usage_does_not_cost_the_outcome(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = await InboxHarness(database).begun()
    attempt.progress.add_event(AgentText(text="So far so good."), at=NOW)
    attempt.stop.cause = Cause.TIMEOUT
    ledger = Ledger(InboxHarness(database).context, WORKER, "here")

    async with missing_table(database, "transcript_entries"):
        run = await settled(attempt, ledger, tmp_path)

    assert (run.result, run.error_message) == ("So far so good.", "The time limit was reached.")
    assert "cannot be counted" in caplog.text
