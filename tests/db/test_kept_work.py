"""Runs end before their work is saved and measured, and its outcome is told when it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.words.runs.endings import ending_title
from core.domain.runs.event import AgentResult, EventKind, EventRecord
from core.domain.runs.outcome import OutcomeReason, outcome_of
from core.domain.runs.run import Run, RunStatus, Usage
from core.domain.runs.work.checkpoint_policy import CheckpointPolicy
from core.domain.runs.work.diff import DiffStat, FileChange, StartState
from core.domain.runs.work.patch import WorkPatch
from core.runner.checkpoints.checkpoint_ledger import CheckpointLedger
from core.runner.checkpoints.checkpointer import Checkpointer
from core.runner.execution import settlement
from core.runner.execution.attempt import Attempt, Cause, Prepared
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.settlement import Settlement
from core.runner.keeping.afterwards import Afterwards
from core.runner.keeping.carry import Carrier
from core.runner.keeping.earlier_work import wait_for_earlier_work
from core.runner.keeping.keeper import KEEP_LIMIT, KeptWork, WorkKeeper, record_kept
from core.runner.keeping.unkept_work import UnkeptWork
from core.runner.recovery.clean_up import Cleaner
from core.store import events, patches
from core.store.database.engine import Database
from core.store.runs import runs
from core.workspace.errors import DamagedRepository, WorkspaceError
from core.workspace.watch import GitWatch
from core.workspace.work.changes import Measured
from core.workspace.workspaces import Workspace, Workspaces
from tests.database import NOW, stored_run
from tests.inbox_harness import WORKER, InboxHarness
from tests.limits import limit

SAVED = {"head": "1" * 40, "commit": "2" * 40, "tree": "3" * 40, "uncommitted_files": 1}
DIFF = DiffStat(
    files=(FileChange(path="a.py", added=1, removed=0, committed=False),), branch="feat"
)

PATCH = WorkPatch(text="diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -0,0 +1 @@\n+x\n")


class SlowWorkspaces(Workspaces):
    """Workspaces in which saving takes until it may end."""

    def __init__(self, folder: Path, *, error: WorkspaceError | None = None) -> None:
        super().__init__(folder, git_timeout=timedelta(seconds=5))
        self.may_end = asyncio.Event()
        self.error = error

    async def save(
        self, workspace: Workspace, label: str, *, only_if_uncommitted: bool = False
    ) -> Mapping[str, Any]:
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        return SAVED

    async def measure(
        self, workspace: Workspace, start: StartState, *, saved: Mapping[str, Any] | None = None
    ) -> Measured:
        if self.error is not None:
            raise self.error
        assert saved == SAVED
        return Measured(diff=DIFF, patch=PATCH)

    async def reopen(self, workspace_id: str, *, watch: GitWatch | None = None) -> Workspace | None:
        return Workspace(
            id=workspace_id, path=self.root / workspace_id, branch="m", base_commit=None, repo=None
        )


@pytest.fixture
async def attempt(database: Database, tmp_path: Path) -> Attempt:
    """An attempt with a workspace, whose agent has finished and reported."""
    attempt = await InboxHarness(database).begun()
    result = AgentResult(
        subtype="success",
        is_error=False,
        text="Done.",
        cost_usd=Decimal(1),
        usage=Usage(),
    )
    attempt.progress.add_event(result, at=NOW)
    workspace = Workspace(
        id="ws_1", path=tmp_path / "ws_1", branch="main", base_commit=None, repo=None
    )
    async with database.sessions.begin() as session:
        run = await runs.change(session, attempt.run.run_id, now=NOW, workspace_id="ws_1")
    attempt.opened.prepared = Prepared(run=run, workspace=workspace, base_commit=None)
    # Storing for other machines has tests of its own.
    attempt.carry_state.is_closed = True
    return attempt


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(InboxHarness(database).context, WORKER, "here")


async def patch_of(ledger: Ledger, run: Run) -> WorkPatch | None:
    async with ledger.context.transaction() as session:
        return await patches.of_run(session, run.id)


async def settle(
    attempt: Attempt, ledger: Ledger, workspaces: Workspaces, cleaner: Cleaner | None = None
) -> Afterwards:
    folder = workspaces.root
    work = Settlement(
        ledger,
        WorkKeeper(workspaces),
        Carrier(ledger, workspaces),
        Checkpointer(CheckpointLedger(ledger.context), workspaces, CheckpointPolicy()),
        cleaner or Cleaner(folder),
        folder,
    )
    afterwards = await work.settle(attempt, None, None)
    assert afterwards is not None
    return afterwards


@pytest.mark.parametrize(
    ("cause", "status"), [(Cause.KILL, RunStatus.KILLED), (None, RunStatus.COMPLETED)]
)
async def test_a_run_ends_while_its_work_is_still_being_saved(
    attempt: Attempt, ledger: Ledger, tmp_path: Path, cause: Cause | None, status: RunStatus
) -> None:
    attempt.stop.cause = cause
    workspaces = SlowWorkspaces(tmp_path)

    afterwards = await settle(attempt, ledger, workspaces)
    ended = await ledger.read_run(attempt.run.run_id)
    workspaces.may_end.set()
    await afterwards.complete()
    kept = await ledger.read_run(attempt.run.run_id)

    assert (ended.status, ended.is_work_pending, ended.diff) == (status, True, None)
    assert (kept.status, kept.is_work_pending, kept.diff) == (status, False, DIFF)
    assert (kept.final_commit_hash, kept.git_branch) == ("1" * 40, "feat")
    assert await patch_of(ledger, kept) == PATCH
    assert kept.version > ended.version


async def test_a_kill_does_not_wait_until_work_is_measured(
    attempt: Attempt, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the request it would wait so long, while no process is alive.
    monkeypatch.setattr(settlement, "_PATIENCE", timedelta(hours=1))
    workspaces = SlowWorkspaces(tmp_path)
    attempt.stop.request_kill()

    async with limit(10):
        afterwards = await settle(attempt, ledger, workspaces)

    assert not (await ledger.read_run(attempt.run.run_id)).is_live
    await afterwards.cancel()


async def test_work_that_is_kept_at_once_is_part_of_the_end(
    attempt: Attempt, ledger: Ledger, tmp_path: Path
) -> None:
    workspaces = SlowWorkspaces(tmp_path)
    workspaces.may_end.set()

    await settle(attempt, ledger, workspaces)

    run = await ledger.read_run(attempt.run.run_id)
    assert (run.status, run.diff, run.is_work_pending) == (RunStatus.COMPLETED, DIFF, False)
    assert await patch_of(ledger, run) == PATCH


async def test_a_completed_run_is_judged_when_its_work_is_measured(
    attempt: Attempt, ledger: Ledger, tmp_path: Path
) -> None:
    workspaces = SlowWorkspaces(tmp_path)

    afterwards = await settle(attempt, ledger, workspaces)
    ended = await ledger.read_run(attempt.run.run_id)
    workspaces.may_end.set()
    await afterwards.complete()
    kept = await ledger.read_run(attempt.run.run_id)

    assert ending_title(ended) == "Finished, saving the work…"
    assert ended.outcome is None
    assert kept.outcome is outcome_of(kept.outcome_reasons)
    assert OutcomeReason.UNCOMMITTED_CHANGES in kept.outcome_reasons


class FailingCleaner(Cleaner):
    async def clean_up_after_kill(self, run: Run, attempts: Iterable[int]) -> dict[str, Any]:
        raise LookupError("no clean-up")


async def test_the_work_of_a_kill_is_kept_although_its_traces_cannot_be_removed(
    attempt: Attempt, ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    attempt.stop.cause = Cause.KILL
    workspaces = SlowWorkspaces(tmp_path)
    workspaces.may_end.set()

    await settle(attempt, ledger, workspaces, FailingCleaner(tmp_path))

    run = await ledger.read_run(attempt.run.run_id)
    assert (run.status, run.diff, run.is_work_pending) == (RunStatus.KILLED, DIFF, False)
    assert "was not removed" in caplog.text


async def next_leg(database: Database, run: Run) -> Run:
    """The run that continues this one."""
    later = run.created_at + timedelta(minutes=1)
    return await stored_run(database, session_id=run.session_id, created_at=later)


async def test_the_next_run_waits_until_the_work_is_measured(
    attempt: Attempt, ledger: Ledger, database: Database, tmp_path: Path
) -> None:
    workspaces = SlowWorkspaces(tmp_path)
    afterwards = await settle(attempt, ledger, workspaces)
    following = await next_leg(database, attempt.run)

    waiting = asyncio.create_task(wait_for_earlier_work(ledger, following))
    done, _ = await asyncio.wait({waiting}, timeout=1)
    workspaces.may_end.set()
    await afterwards.complete()

    assert not done
    async with limit(10):
        await waiting
    assert not (await ledger.read_run(attempt.run.run_id)).is_work_pending


async def test_the_next_run_waits_until_the_work_is_stored(
    attempt: Attempt, ledger: Ledger, database: Database, tmp_path: Path
) -> None:
    workspaces = SlowWorkspaces(tmp_path)
    workspaces.may_end.set()
    attempt.progress.add_record(EventKind.WORKSPACE_READY, NOW, commit=None)
    await settle(attempt, ledger, workspaces)
    following = await next_leg(database, attempt.run)

    waiting = asyncio.create_task(wait_for_earlier_work(ledger, following))
    done, _ = await asyncio.wait({waiting}, timeout=1)
    async with database.sessions.begin() as session:
        stored = EventRecord(kind=EventKind.WORK_CARRIED, at=NOW, data={"nothing_new": True})
        await events.append(session, attempt.run.id, 1, [stored])

    assert not done
    async with limit(10):
        await waiting


async def test_the_next_run_does_not_wait_for_a_worker_that_is_late(
    attempt: Attempt, ledger: Ledger, database: Database, tmp_path: Path
) -> None:
    attempt.progress.add_record(EventKind.WORKSPACE_READY, NOW, commit=None)
    left = await interrupted(attempt, ledger, tmp_path)
    following = await next_leg(database, left)
    late = replace(ledger, context=replace(ledger.context, clock=lambda: NOW + 2 * KEEP_LIMIT))

    async with limit(10):
        await wait_for_earlier_work(late, following)


async def test_unknown_changes_are_null_with_a_reason(
    attempt: Attempt, ledger: Ledger, database: Database, tmp_path: Path
) -> None:
    workspaces = SlowWorkspaces(tmp_path, error=DamagedRepository("ws_1", "gone"))
    workspaces.may_end.set()

    await settle(attempt, ledger, workspaces)

    run = await ledger.read_run(attempt.run.run_id)
    assert (run.status, run.diff) == (RunStatus.COMPLETED, None)
    assert "no longer a git repository" in (run.changes_unknown or "")
    async with database.engine.connect() as connection:
        counts = await connection.exec_driver_sql(
            "SELECT git_diff_added_lines, git_diff_removed_lines, git_diff_files_changed"
            " FROM workflow_runs"
        )
        assert counts.one() == (None, None, None)


async def interrupted(attempt: Attempt, ledger: Ledger, folder: Path) -> Run:
    """A run that ended, and whose worker was shut down while it kept the work."""
    afterwards = await settle(attempt, ledger, SlowWorkspaces(folder))
    await afterwards.leave()
    return await ledger.read_run(attempt.run.run_id)


async def test_the_next_worker_of_the_node_finishes_what_was_interrupted(
    attempt: Attempt, ledger: Ledger, tmp_path: Path
) -> None:
    left = await interrupted(attempt, ledger, tmp_path)
    workspaces = SlowWorkspaces(tmp_path)
    workspaces.may_end.set()
    successor = replace(ledger, worker_id=f"{WORKER.partition(':')[0]}:next0000")

    await UnkeptWork(successor, workspaces).keep_due_work()
    still_left = await ledger.read_run(left.run_id)
    await UnkeptWork(successor, workspaces).keep_due_work(of_predecessors=True)

    kept = await ledger.read_run(left.run_id)
    assert (left.is_work_pending, still_left.is_work_pending) == (True, True)
    assert (kept.is_work_pending, kept.diff) == (False, DIFF)


async def test_work_is_told_once_though_two_workers_keep_it(
    attempt: Attempt, ledger: Ledger, tmp_path: Path
) -> None:
    left = await interrupted(attempt, ledger, tmp_path)
    other = DiffStat(branch="other")

    results = [
        await record_kept(ledger.context, left, KeptWork(saved=SAVED, diff=diff))
        for diff in (DIFF, other)
    ]

    assert results == [True, False]
    assert (await ledger.read_run(left.run_id)).diff == DIFF
