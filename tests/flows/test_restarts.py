"""Restarts with the real agent program: the conversation and the files at a checkpoint."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from core.domain.runs.checkpoint import CheckpointReason
from core.domain.runs.event import EventKind
from core.domain.runs.request import KillRequest
from core.domain.runs.restarts.request import RestartMode
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.step import StepStatus
from tests.core_harness import CoreHarness, core_harness
from tests.flows.test_carry import dying_worker, elsewhere, events_of_kind, git, reassign
from tests.limits import limit
from tests.repositories import new_repository
from tests.restarts import (
    STEPS,
    TASK,
    TELL,
    FourSteps,
    checkpoints_of,
    first_heard_by_model,
    heard_by_model,
    restart,
)

__all__ = ["core_harness"]

pytestmark = pytest.mark.sampled(1)


def files_of(run: Run) -> set[str]:
    assert run.workspace_path is not None
    return {path.name for path in Path(run.workspace_path).iterdir() if path.is_file()}


def read(run: Run, name: str) -> str:
    return (Path(run.workspace_path or "") / name).read_text()


async def test_a_restart_at_the_second_checkpoint_has_conversation_and_files_of_then(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    repository = await asyncio.to_thread(new_repository, tmp_path / "api")
    script = FourSteps(core_harness)
    async with core_harness.worker():
        old = await script.run(repo=str(repository))
        taken = await checkpoints_of(core_harness, old.session_id)
        script.open()
        started = await restart(core_harness, old, checkpoint=2, message="What do you know?")
        seen = await core_harness.wait_until_ended(started.run)

    assert [one.step_name for one in taken if one.reason is CheckpointReason.STEP_ENDED] == [*STEPS]
    new = seen.run
    assert new.status is RunStatus.COMPLETED, new.error_message
    assert new.session_id != old.session_id
    assert new.parent_run_id == old.id
    assert new.restarted_from_checkpoint_id == taken[1].id
    heard = first_heard_by_model(core_harness, new.session_id)
    assert heard[0] == TASK
    assert heard[-2:] == ["result Updated task #2 status", "What do you know?"]
    assert any("did 2" in words for words in heard)
    assert not any("did 3" in words or "'3'" in words for words in heard)
    # It went on from there: steps three and four were done again, in the new workspace.
    assert files_of(new) == {"app.py", "notes.txt", *(f"step-{n}.txt" for n in (1, 2, 3, 4))}
    assert read(new, "notes.txt") == "1\n2\n3\n4\n"
    assert [step.status for step in seen.steps] == [StepStatus.COMPLETED] * 4
    assert [step.name for step in seen.steps] == [*STEPS]
    assert new.workspace_path != old.workspace_path
    subjects = git(new.workspace_path, "log", "--format=%s").splitlines()
    assert subjects == ["Step 4", "Step 3", "Step 2", "Step 1", "Begin"]
    assert files_of(old) == {"app.py", "notes.txt", *(f"step-{n}.txt" for n in (1, 2, 3, 4))}


async def test_a_restart_from_the_start_says_the_task_again_at_the_first_commit(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    repository = await asyncio.to_thread(new_repository, tmp_path / "api")
    begin = await asyncio.to_thread(git, repository, "rev-parse", "HEAD")
    script = FourSteps(core_harness)
    script.open()
    async with core_harness.worker():
        old = await script.run(repo=str(repository))
        # The repository goes on meanwhile; the restart does not.
        await asyncio.to_thread(_commit, repository, "later.txt")
        started = await restart(core_harness, old)
        new = (await core_harness.wait_until_ended(started.run)).run

    assert new.status is RunStatus.COMPLETED, new.error_message
    assert new.initial_commit_hash == begin
    assert first_heard_by_model(core_harness, new.session_id) == [TASK]
    assert files_of(new) == {"app.py", "notes.txt", *(f"step-{n}.txt" for n in (1, 2, 3, 4))}
    assert git(new.workspace_path, "rev-parse", "--abbrev-ref", "HEAD").endswith(new.run_id)


def _commit(repository: Path, name: str) -> None:
    (repository / name).write_text("later\n")
    git(repository, "add", name)
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    git(repository, *author, "commit", "-qm", f"Add {name}")


async def test_a_killed_run_is_restarted_on_another_machine_and_restarted_again(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    script = FourSteps(core_harness)
    script.hold_after(2)
    async with core_harness.worker():
        old = await script.start()
        await script.wait_for_steps(2)
        kill = KillRequest(target=old.run_id, request_key="kill")
        await core_harness.backend.runs.kill(kill, by=core_harness.operator)
        killed = (await core_harness.wait_until_ended(old)).run
    script.open()
    async with elsewhere(core_harness, tmp_path / "other") as other, other.worker():
        first = await restart(other, killed, checkpoint=1)
        once = (await other.wait_until_ended(first.run)).run
        second = await restart(other, once, checkpoint=1, message="Once more.")
        twice = (await other.wait_until_ended(second.run)).run

    assert killed.status is RunStatus.KILLED
    for run in (once, twice):
        assert run.status is RunStatus.COMPLETED, run.error_message
        assert str(tmp_path / "other") in (run.workspace_path or "")
        assert read(run, "notes.txt") == "1\n2\n3\n4\n"
        heard = first_heard_by_model(core_harness, run.session_id)
        assert any("did 1" in words for words in heard)
        assert not any("did 2" in words for words in heard)
    assert first_heard_by_model(core_harness, twice.session_id)[-1] == "Once more."
    assert twice.session_id not in (once.session_id, old.session_id)


async def test_files_alone_go_back_and_the_conversation_goes_on(
    core_harness: CoreHarness,
) -> None:
    script = FourSteps(core_harness)
    async with core_harness.worker():
        old = await script.run()
        script.open()
        started = await restart(
            core_harness, old, checkpoint=2, mode=RestartMode.FILES, message=TELL
        )
        seen = await core_harness.wait_until_ended(started.run)

    new = seen.run
    assert new.status is RunStatus.COMPLETED, new.error_message
    assert (new.session_id, new.workspace_path) == (old.session_id, old.workspace_path)
    assert files_of(new) == {"notes.txt", "step-1.txt", "step-2.txt"}
    heard = heard_by_model(core_harness, new.session_id)
    assert any("did 4" in words for words in heard)
    (event,) = await events_of_kind(core_harness, new, EventKind.CHECKPOINT_RESTORED)
    kept = git(new.workspace_path, "show", f"{event.data['kept']}:notes.txt")
    assert kept == "1\n2\n3\n4"
    (commits,) = event.data["kept_commits"]
    assert git(new.workspace_path, "log", "-1", "--format=%s", commits) == "Step 4"


async def test_files_go_back_again_if_the_workspace_is_lost_with_its_worker(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    script = FourSteps(core_harness)
    async with core_harness.worker():
        old = await script.run()
    script.open()
    started = await restart(core_harness, old, checkpoint=2, mode=RestartMode.FILES, message=TELL)
    async with dying_worker(core_harness, tmp_path / "doomed") as worker:
        async with limit(60):
            while not await events_of_kind(  # noqa: ASYNC110
                core_harness, started.run, EventKind.CHECKPOINT_RESTORED
            ):
                await asyncio.sleep(0.02)
        worker.send(signal.SIGKILL)
        await worker.wait_until_ended()
    await reassign(core_harness, started.run)
    async with elsewhere(core_harness, tmp_path / "other") as other, other.worker():
        new = (await other.wait_until_ended(started.run)).run

    assert new.status is RunStatus.COMPLETED, new.error_message
    assert new.attempt == 2
    assert files_of(new) == {"notes.txt", "step-1.txt", "step-2.txt"}
    events = await events_of_kind(core_harness, new, EventKind.CHECKPOINT_RESTORED)
    assert [event.data["checkpoint"] for event in events] == [2, 2]
