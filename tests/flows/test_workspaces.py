"""A workspace that was removed, and its session that goes on, with the real agent."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from bot.assembly.backend import utc_now
from bot.sandbox.model.script import Script, Turn, bash, play_in_order
from core.domain.runs.event import EventKind
from core.domain.runs.request import ContinueRequest
from core.domain.runs.run import Run, RunStatus
from core.domain.workspaces.policy import CleanUpPolicy
from core.domain.workspaces.record import WorkspaceState, WorkspaceStays
from core.runner.caretaking.caretaker import Caretaker
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.worker.worker_runtime import WorkerRuntime
from core.services.context import ServiceContext
from core.services.fleet.workspaces import WorkspaceService
from tests.core_harness import CoreHarness, core_harness, event_data
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.limits import limit
from tests.repositories import new_repository

__all__ = ["core_harness"]


def later_caretaker(core_harness: CoreHarness, runtime: WorkerRuntime) -> Caretaker:
    """The caretaker of a worker, three weeks later."""
    context = ServiceContext(core_harness.backend.database, lambda: utc_now() + timedelta(weeks=3))
    ledger = Ledger(context, runtime.identity.worker_id, runtime.identity.host)
    return Caretaker(ledger, runtime.caretaker.cleaner, CleanUpPolicy(min_free_bytes=0))


async def test_a_session_goes_on_in_a_workspace_that_was_removed(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    repository = await asyncio.to_thread(new_repository, tmp_path / "api")
    commit = "echo 1 > committed && git add -A && git commit -qm One && echo 2 > not-committed"
    core_harness.model.script = Script(
        name="two",
        description="",
        play=play_in_order(Turn(calls=(bash(commit, "Work"),)), Turn(text="Done.")),
    )
    async with core_harness.worker() as runtime:
        run = await core_harness.start("Work", repo=str(repository))
        ended = (await core_harness.wait_until_ended(run)).run
        caretaker = later_caretaker(core_harness, runtime)
        await caretaker.start()
        async with limit(60):
            # Until its worker has stored its work, the workspace is in use.
            while not (removed := await core_harness.read_run(run)).run.workspace_cleaned_up:
                await caretaker.clean_up()
        path = Path(ended.workspace_path or "")
        was_there = await asyncio.to_thread(path.exists)
        core_harness.model.script = Script(
            name="look",
            description="",
            play=play_in_order(
                Turn(calls=(bash("cat committed not-committed", "Look"),)), Turn(text="Seen.")
            ),
        )
        request = ContinueRequest(target=run.run_id, request_key=uuid4().hex, message="Look")
        continued = (
            await core_harness.backend.runs.continue_run(request, by=core_harness.operator)
        ).run
        seen = await core_harness.wait_until_ended(continued)
        first = await core_harness.read_run(run)

    assert ended.status is RunStatus.COMPLETED, ended.error_message
    assert removed.run.workspace_cleaned_up
    assert not was_there
    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.session_id == run.session_id
    assert seen.run.workspace_path == ended.workspace_path
    assert (path / "not-committed").read_text() == "2\n"
    assert not first.run.workspace_cleaned_up
    (restored,) = await event_data(
        core_harness.backend.database, continued, EventKind.WORK_RESTORED
    )
    assert (restored["gone"], restored["incomplete"]) == (False, False)


@pytest.mark.parametrize("asks", [True, False])
async def test_the_workspace_of_a_working_agent_is_never_removed(
    core_harness: CoreHarness, asks: bool
) -> None:
    work = LastingWork(core_harness.model)
    service = WorkspaceService(core_harness.backend.context)
    async with core_harness.worker() as runtime:
        run = await core_harness.start(LASTING, max_turns=MANY_TURNS)
        working = (await core_harness.wait_until(run, lambda one: one.run.tool_calls >= 2)).run
        if asks:
            with pytest.raises(WorkspaceStays):
                await service.clean(str(working.workspace_id), by=core_harness.operator)
        else:
            await later_caretaker(core_harness, runtime).clean_up()
        work.finish()
        ended = (await core_harness.wait_until_ended(run)).run

    assert ended.status is RunStatus.COMPLETED, ended.error_message
    assert await asyncio.to_thread(Path(ended.workspace_path or "").is_dir)


async def test_a_worker_removes_what_a_person_asks_for(core_harness: CoreHarness) -> None:
    service = WorkspaceService(core_harness.backend.context)
    async with core_harness.worker():
        run = await core_harness.start("[scenario: work] work")
        ended: Run = (await core_harness.wait_until_ended(run)).run
        workspace_id = str(ended.workspace_id)
        await service.clean(workspace_id, by=core_harness.operator)
        async with limit(30):
            while (found := await asked(service, workspace_id, core_harness)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    # Its work has just ended, and may still be being stored; then it is asked for again later.
    assert found in (WorkspaceState.REMOVED, WorkspaceState.PRESENT)
    here = await asyncio.to_thread(Path(ended.workspace_path or "").is_dir)
    assert here is (found is WorkspaceState.PRESENT)


async def asked(
    service: WorkspaceService, workspace_id: str, core_harness: CoreHarness
) -> WorkspaceState | None:
    listed = await service.find(workspace_id, by=core_harness.operator)
    return None if listed.row.requested_at is not None else listed.row.state
