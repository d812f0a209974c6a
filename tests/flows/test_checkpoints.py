"""Checkpoints of real runs: conversation, files and step belong together."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.domain.runs.checkpoint import Checkpoint, CheckpointReason
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run, RunStatus
from core.store.sessions import transcript_pages
from core.store.sessions.checkpoints import checkpoints
from tests.core_harness import CoreHarness, core_harness
from tests.limits import limit

__all__ = ["core_harness"]

# Each answer takes so long that the files are at rest for a while after each call.
PACE = "[delay: 1200ms]"
PLAN = ("Look at the repository", "Write the module", "Test it", "Commit the work")


def git(path: Path | str | None, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=path, check=True, capture_output=True, text=True)
    return done.stdout


async def stored(harness: CoreHarness, run: Run) -> list[Checkpoint]:
    async with harness.backend.database.sessions.begin() as session:
        return await checkpoints.of_run(session, run.id)


async def until_last(harness: CoreHarness, run: Run, reason: CheckpointReason) -> list[Checkpoint]:
    """Wait for the last checkpoint, which follows the end; return all of the run."""
    async with limit(60):
        found = await stored(harness, run)
        while not found or found[-1].reason is not reason:
            await asyncio.sleep(0.1)
            found = await stored(harness, run)
        return found


async def transcript(harness: CoreHarness, run: Run) -> list[dict[str, Any]]:
    async with harness.backend.database.sessions.begin() as session:
        found = await transcript_pages.page(
            session, run.session_id, subpath="", after_id=0, limit=10_000
        )
    return [entry for _, entry in found]


def _blocks(entry: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    content = entry.get("message", {}).get("content")
    found = content if isinstance(content, list) else []
    return [block for block in found if block.get("type") == kind]


def written_until(entries: Sequence[dict[str, Any]], uuid: str) -> tuple[dict[str, str], set[str]]:
    """The files that calls had written when an entry was added, and those written later."""
    until: dict[str, str] = {}
    later: set[str] = set()
    is_later = False
    for entry in entries:
        for call in _blocks(entry, "tool_use"):
            if call["name"] == "Write":
                name = Path(call["input"]["file_path"]).name
                if is_later:
                    later.add(name)
                else:
                    until[name] = call["input"]["content"]
        is_later = is_later or entry.get("uuid") == uuid
    return until, later - set(until)


async def test_each_end_of_a_step_is_a_checkpoint_whose_conversation_and_files_belong_together(
    core_harness: CoreHarness,
) -> None:
    async with core_harness.worker():
        run = await core_harness.start(f"{PACE} Add rate limiting")
        seen = await core_harness.wait_until_ended(run, within=120)
        assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
        found = await until_last(core_harness, run, CheckpointReason.LEG_ENDED)

    entries = await transcript(core_harness, run)
    uuids = [entry.get("uuid") for entry in entries]
    steps = [one.step_name for one in found if one.reason is CheckpointReason.STEP_ENDED]
    # On a slow machine steps that end soon after each other share one.
    assert steps
    assert set(steps) <= set(PLAN)
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    positions = []
    settled = [one for one in found if not one.is_call_open]
    assert settled[-1] is found[-1]
    for one in settled:
        assert str(one.message_uuid) in uuids
        positions.append(uuids.index(str(one.message_uuid)))
        until, later = written_until(entries, str(one.message_uuid))
        workspace = seen.run.workspace_path
        names = await asyncio.to_thread(git, workspace, "ls-tree", "-r", "--name-only", one.commit)
        listed = names.splitlines()
        for name, content in until.items():
            assert name in listed, (one.number, json.dumps(listed))
            text = await asyncio.to_thread(git, workspace, "show", f"{one.commit}:{name}")
            assert text.strip() == content.strip()
        assert not later & set(listed)
        open_calls = {call["id"] for entry in entries[: positions[-1] + 1]
                      for call in _blocks(entry, "tool_use")}  # fmt: skip
        results = {block["tool_use_id"] for entry in entries[: positions[-1] + 1]
                   for block in _blocks(entry, "tool_result")}  # fmt: skip
        assert open_calls == results
    assert positions == sorted(positions)
    assert found[-1].turns == seen.run.turns
    assert found[-1].tool_calls == seen.run.tool_calls
    assert found[-1].head_commit == seen.run.final_commit_hash
    assert all(one.is_restorable_anywhere for one in found)


async def test_a_kill_leaves_a_checkpoint_before_the_workspace_is_left(
    core_harness: CoreHarness,
) -> None:
    async with core_harness.worker():
        run = await core_harness.start("[scenario: kill-me] work")
        seen = await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 2)
        await core_harness.backend.runs.kill(
            KillRequest(target=run.run_id, force=False, reason=None, request_key="k1"),
            by=core_harness.operator,
        )
        ended = await core_harness.wait_until_ended(run)
        found = await until_last(core_harness, run, CheckpointReason.BEFORE_KILL)

    assert ended.run.status is RunStatus.KILLED
    last = found[-1]
    files = await asyncio.to_thread(
        git, seen.run.workspace_path, "ls-tree", "-r", "--name-only", last.commit
    )
    assert "before-the-stop.txt" in files.splitlines()
    entries = await transcript(core_harness, run)
    assert str(last.message_uuid) in [entry.get("uuid") for entry in entries]
