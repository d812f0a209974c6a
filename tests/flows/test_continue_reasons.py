"""Continue after every reason for which a run stops: the same conversation, files, and plan."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.model.scenarios import SCRIPTS
from bot.sandbox.model.script import (
    Conversation,
    Failure,
    Play,
    Script,
    Tokens,
    ToolCall,
    Turn,
    bash,
)
from core.domain.runs.request import ContinueRequest, KillRequest
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot
from core.domain.runs.step import StepStatus
from core.domain.sessions.ledger import EntrySource
from core.domain.workflow import OnWorkerLost
from core.store.runs import runs
from tests.core_harness import CoreHarness, core_harness
from tests.flows.test_carry import (
    carried_head,
    dying_worker,
    elsewhere,
    git,
    reassign,
    until_carried,
)

__all__ = ["core_harness"]

TASK = "Count the pieces of the heron"
MESSAGE = "go on"
_NOW = Conversation(task="")
_ENDINGS: dict[StopReason, Turn] = {
    StopReason.MAX_TURNS: Turn(text="More.", calls=(bash("echo more", "Go on"),)),
    StopReason.BUDGET: Turn(
        text="Expensive.",
        calls=(bash("echo more", "Go on"),),
        tokens=Tokens(input=2_000, output=200_000, cache_read=0, cache_creation=0),
    ),
    StopReason.TIMEOUT: Turn(text="Long.", calls=(bash("sleep 600", "Sleep"),)),
    StopReason.KILLED: Turn(text="Long.", calls=(bash("sleep 600", "Sleep"),)),
    StopReason.WORKER_LOST: Turn(text="Long.", calls=(bash("sleep 600", "Sleep"),)),
    StopReason.USAGE_LIMIT: Turn(
        failure=Failure(
            status=429,
            error_type="rate_limit_error",
            message="This request would exceed your account's usage limit",
            times=None,
            should_retry=False,
        )
    ),
    StopReason.API_ERROR: Turn(
        failure=Failure(
            status=403,
            error_type="permission_error",
            message="Your API key does not have permission to use the specified resource.",
            times=None,
            should_retry=False,
        )
    ),
    StopReason.AGENT_ERROR: SCRIPTS["crash"].play(_NOW),
    StopReason.NO_RESULT: SCRIPTS["no-result"].play(_NOW),
    StopReason.SUCCESS: Turn(text="## Summary\n\nThe first part is done, the rest is open."),
}
_LIMITS: dict[StopReason, dict[str, Any]] = {
    StopReason.MAX_TURNS: {"max_turns": 3},
    StopReason.BUDGET: {"budget_usd": Decimal("0.5")},
    StopReason.TIMEOUT: {"timeout": timedelta(seconds=15)},
}


def task_call(subject: str) -> ToolCall:
    words = {"subject": subject, "description": subject, "activeForm": subject}
    return ToolCall("TaskCreate", words)


def update_call(number: int, status: str) -> ToolCall:
    return ToolCall("TaskUpdate", {"taskId": str(number), "status": status})


def play_until(ending: Turn) -> Play:
    """Plan, commit a file, tick the first step, end so; when asked to go on add a step, and end."""

    def play(conversation: Conversation) -> Turn:
        if conversation.follow_ups or conversation.task == MESSAGE:
            planned = [one.input.get("subject") for one in conversation.results]
            if "Third" not in planned:
                return Turn(text="I go on.", calls=(task_call("Third"),))
            return Turn(text="## Summary\n\nThe rest is done: everything was counted.")
        commit = "echo heron > kept.txt && git add kept.txt && git commit -qm 'Keep it'"
        stages = (
            Turn(
                text="I plan.",
                calls=(task_call("First"), task_call("Second"), bash(commit, "Keep a file")),
            ),
            Turn(text="One.", calls=(update_call(1, "completed"), update_call(2, "in_progress"))),
            ending,
        )
        return stages[min(conversation.position, len(stages) - 1)]

    return play


async def stop(core_harness: CoreHarness, run: Run, reason: StopReason) -> RunSnapshot:
    """Bring a run that works to its end for this reason."""
    if reason is StopReason.KILLED:
        await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 6)
        await core_harness.backend.runs.kill(
            KillRequest(target=run.run_id), by=core_harness.operator
        )
    return await core_harness.wait_until_ended(run, within=90)


async def first_leg(core_harness: CoreHarness, reason: StopReason, home: Path) -> RunSnapshot:
    """A run that has ended for this reason, on a worker that is gone."""
    script = Script(name="legs", description="", play=play_until(_ENDINGS[reason]))
    core_harness.model.script = script
    core_harness.model.logs_bodies = True
    run = await core_harness.start(TASK, **_LIMITS.get(reason, {}))
    if reason is not StopReason.WORKER_LOST:
        async with core_harness.worker(home=home):
            ended = await stop(core_harness, run, reason)
            # The next leg finds no disk of this one: its work has to be in the database.
            head = await asyncio.to_thread(git, ended.run.workspace_path, "rev-parse", "HEAD")
            await until_carried(core_harness, run, head)
            return ended
    async with core_harness.backend.database.sessions.begin() as session:
        await runs.change(session, run.run_id, now=run.updated_at, on_worker_lost=OnWorkerLost.FAIL)
    async with dying_worker(core_harness, home) as worker:
        seen = await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 6)
        base = seen.run.initial_commit_hash
        while (carried := await carried_head(core_harness, run)) in (None, base):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await until_carried(core_harness, run, carried or "")
        worker.send(signal.SIGKILL)
        await worker.wait_until_ended()
    await reassign(core_harness, run)
    return await core_harness.wait_until_ended(run)


def remembers(core_harness: CoreHarness, run: Run) -> bool:
    """Whether the last request of a session contains the task of its first leg."""
    bodies = [
        json.dumps(one.body["messages"])
        for one in core_harness.model.requests
        if one.session_id == str(run.session_id) and one.script is not None and one.body
    ]
    return bool(bodies) and TASK in bodies[-1] and MESSAGE in bodies[-1]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("reason", list(_ENDINGS))
async def test_a_run_is_continued_after_every_reason_with_an_empty_home(
    core_harness: CoreHarness, tmp_path: Path, reason: StopReason
) -> None:
    ended = await first_leg(core_harness, reason, tmp_path / "first")
    request = ContinueRequest(
        target=ended.run.run_id, request_key="c", message=MESSAGE, additional_turns=10
    )
    continued = await core_harness.backend.runs.continue_run(request, by=core_harness.operator)
    async with elsewhere(core_harness, tmp_path / "second") as other, other.worker():
        seen = await other.wait_until_ended(continued.run)

    assert ended.run.stop_reason is reason, ended.run.error_message
    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert (seen.run.session_id, seen.run.parent_run_id) == (ended.run.session_id, ended.run.id)
    assert remembers(core_harness, seen.run)
    kept = Path(seen.run.workspace_path or "") / "kept.txt"
    assert await asyncio.to_thread(kept.read_text) == "heron\n"
    assert [(step.step_id, step.name) for step in seen.steps] == [
        (1, "First"),
        (2, "Second"),
        (3, "Third"),
    ]
    assert seen.steps[0].status is StepStatus.COMPLETED
    assert (seen.leg, seen.about) == (2, TASK)
    await check_ledger(core_harness, ended.run, seen.run)


async def check_ledger(core_harness: CoreHarness, first: Run, second: Run) -> None:
    """Each leg has one entry, of which its row is the sum, and no unknown cost is a number."""
    history = await core_harness.backend.sessions.history(
        str(first.session_id), by=core_harness.operator
    )
    for run, leg in zip((first, second), history.legs, strict=True):
        (entry,) = leg.entries
        assert (entry.turns, entry.cost_usd) == (run.turns, run.cost_usd)
        assert (entry.source is EntrySource.UNKNOWN) == (run.cost_usd is None)
    assert history.spent == history.lineage
    total = history.overview.total
    assert total is not None
    assert (total.legs, total.turns, total.spent) == (2, history.spent.turns, history.spent)
