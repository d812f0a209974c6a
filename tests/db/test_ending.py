"""A stop from outside goes on to its proof, whatever fails beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from core.agent.process.process_tree import find_run_processes
from core.domain.kills.termination import Phase, Proof, Termination
from core.domain.runs.run import Run
from core.runner.execution.attempt import Attempt, Cause, Prepared
from core.runner.execution.ending import AttemptEnding
from core.runner.execution.ledgers.kills import KillLedger
from core.runner.execution.ledgers.ledger import Ledger
from core.store.database.engine import Database
from core.workspace.workspaces import Workspace, Workspaces
from tests.inbox_harness import WORKER, InboxHarness
from tests.limits import limit
from tests.unit.process_trees import (
    COOPERATIVE,
    linux_only,
    no_descriptors,
    start_tree,
)

pytestmark = linux_only

DEFECT = "never thought of"


@dataclass(frozen=True)
class FailingKills(KillLedger):
    """A ledger that can record nothing before the proof."""

    async def open_termination(self, run: Run) -> Termination | None:
        raise LookupError(DEFECT)

    async def record_phase(
        self,
        run: Run,
        termination: Termination,
        phase: Phase,
        proof: Proof | None = None,
        *,
        work_saved: Mapping[str, Any] | None = None,
        cleanup: Mapping[str, Any] | None = None,
    ) -> Termination:
        if phase is not Phase.CONFIRMED:
            raise IntegrityError(DEFECT, None, Exception())
        return await KillLedger.record_phase(
            self, run, termination, phase, proof, work_saved=work_saved, cleanup=cleanup
        )

    async def record_run_gone(self, run: Run) -> None:
        raise LookupError(DEFECT)


@dataclass(frozen=True)
class FailingLedger(Ledger):
    @property
    def kills(self) -> KillLedger:
        return FailingKills(self.context, self.worker_id, self.host)


class FailingWorkspaces(Workspaces):
    async def save(
        self, workspace: Workspace, label: str, *, only_if_uncommitted: bool = False
    ) -> Mapping[str, Any]:
        raise LookupError(DEFECT)


@pytest.fixture
async def killed(database: Database) -> Attempt:
    """An attempt for whose kill somebody has asked."""
    harness = InboxHarness(database)
    attempt = await harness.begun()
    await harness.kill(attempt.run)
    attempt.stop.cause = Cause.KILL
    return attempt


def ledger_of(database: Database, ledger: type[Ledger] = Ledger) -> Ledger:
    return ledger(InboxHarness(database).context, WORKER, "here")


async def test_processes_are_ended_although_no_phase_can_be_recorded(
    database: Database, killed: Attempt, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = ledger_of(database)
    termination = await ledger.kills.open_termination(killed.run)
    ending = AttemptEnding(ledger_of(database, FailingLedger), killed, termination)
    with start_tree("bash", "-c", COOPERATIVE, run_marker=killed.run.run_id) as tree:
        stopped = await ending.run_ladder()

        assert find_run_processes(tree.run_marker, tree.root) == ()
    recorded = await ending.record_proof(stopped)

    assert recorded.termination is not None
    assert recorded.termination.phase is Phase.CONFIRMED
    assert DEFECT in caplog.text


async def test_processes_are_ended_although_the_request_cannot_be_read(
    database: Database, killed: Attempt
) -> None:
    ending = AttemptEnding(ledger_of(database, FailingLedger), killed)
    with start_tree("bash", "-c", COOPERATIVE, run_marker=killed.run.run_id):
        stopped = await ending.run_ladder()

    assert stopped.proof.is_confirmed
    assert len(stopped.proof.seen) == 2


async def test_a_handover_goes_on_although_its_work_cannot_be_saved(
    database: Database, killed: Attempt, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed.stop.cause = Cause.HANDOVER
    ending = AttemptEnding(ledger_of(database), killed)
    workspace = Workspace(
        id="ws_1", path=tmp_path / "ws_1", branch="main", base_commit=None, repo=None
    )
    killed.opened.prepared = Prepared(run=killed.run, workspace=workspace, base_commit=None)
    workspaces = FailingWorkspaces(tmp_path, git_timeout=timedelta(seconds=5))
    ended = await ending.run_ladder()

    stopped = await ending.save_for_handover(ended, workspaces)

    assert stopped == ended
    assert stopped.work_saved is None
    assert DEFECT in caplog.text


async def test_a_handover_goes_on_although_its_proof_cannot_be_recorded(
    database: Database, killed: Attempt
) -> None:
    killed.stop.cause = Cause.HANDOVER
    ending = AttemptEnding(ledger_of(database, FailingLedger), killed)

    stopped = await ending.run_ladder()

    assert await ending.record_proof(stopped) == stopped


async def test_a_kill_without_a_scan_is_unconfirmed_and_tried_again(
    database: Database, killed: Attempt, caplog: pytest.LogCaptureFixture
) -> None:
    ending = AttemptEnding(ledger_of(database), killed)
    with start_tree("bash", "-c", COOPERATIVE, run_marker=killed.run.run_id) as tree:
        with no_descriptors():
            ladder = asyncio.create_task(ending.run_ladder())
            async with limit(10):
                while "perhaps processes survive" not in caplog.text:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.05)
        unproven = ending.termination
        stopped = await ladder

        assert stopped.proof.is_confirmed
        assert tree.root in stopped.proof.seen
    assert unproven is not None
    assert unproven.phase is Phase.UNCONFIRMED
