"""Conversations that cannot be restored: said, never begun afresh silently, and recovered."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from bot.sandbox.model.script import Conversation, Script, Turn, bash
from bot.slack.views.thread.card import run_card
from core.domain.failure_cause import FailureCause
from core.domain.runs.failure_analysis import FailureAnalysis
from core.domain.runs.request import ContinueRequest
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot
from core.domain.sessions.recovery import RecoveryNotNeeded, is_recovery, needs_recovery
from tests.core_harness import CoreHarness, core_harness
from tests.database import NOW
from tests.flows.test_continue_reasons import (
    MESSAGE,
    TASK,
    play_until,
    remembers,
    task_call,
)

__all__ = ["core_harness"]

pytestmark = pytest.mark.sampled(1)

# What can become of the entries of a transcript.
_LOSSES = {
    "all of it": "DELETE FROM transcript_entries WHERE session_id = :session",
    "one in the middle": """
        DELETE FROM transcript_entries WHERE id = (
            SELECT id FROM transcript_entries
            WHERE session_id = :session AND subpath = '' AND entry->>'type' = 'assistant'
            ORDER BY id LIMIT 1
        )
    """,
    "its end": """
        DELETE FROM transcript_entries WHERE session_id = :session AND id >= (
            SELECT id FROM transcript_entries
            WHERE session_id = :session AND entry_uuid = CAST(:prompt AS text)
        )
    """,
}


async def lose(core_harness: CoreHarness, run: Run, loss: str) -> None:
    async with core_harness.backend.database.sessions.begin() as session:
        statement = _LOSSES[loss]
        given = {"session": str(run.session_id)}
        if ":prompt" in statement:
            given["prompt"] = str(run.id)
        await session.execute(text(statement), given)


async def go_on(core_harness: CoreHarness, run: Run, key: str, **fields: object) -> RunSnapshot:
    request = ContinueRequest(
        target=run.run_id,
        request_key=key,
        message=MESSAGE,
        additional_turns=10,
        **fields,  # type: ignore[arg-type]
    )
    started = await core_harness.backend.runs.continue_run(request, by=core_harness.operator)
    return await core_harness.wait_until_ended(started.run)


def recovering(conversation: Conversation) -> Turn:
    """What the model does in a recovery leg: the steps that are left, then the end."""
    planned = [one.input.get("subject") for one in conversation.results]
    if "Second" not in planned:
        calls = (task_call("Second"), bash("cat kept.txt", "Look at the files"))
        return Turn(text="I look.", calls=calls)
    return Turn(text="## Summary\n\nIt was recovered, and everything is counted now.")


def play(conversation: Conversation) -> Turn:
    if "RECOVERY" in conversation.task:
        return recovering(conversation)
    ending = Turn(text="More.", calls=(bash("echo more", "Go on"),))
    return play_until(ending)(conversation)


async def stopped_run(core_harness: CoreHarness) -> Run:
    core_harness.model.script = Script(name="lost", description="", play=play)
    core_harness.model.logs_bodies = True
    run = await core_harness.start(TASK, max_turns=3)
    return (await core_harness.wait_until_ended(run)).run


@pytest.mark.parametrize("loss", ["all of it", "one in the middle"])
async def test_a_lost_conversation_is_said_and_recovered_by_choice(
    core_harness: CoreHarness, loss: str
) -> None:
    async with core_harness.worker():
        first = await stopped_run(core_harness)
        await lose(core_harness, first, loss)
        requests = len(core_harness.model.requests)
        refused = await go_on(core_harness, first, "c1")
        asked = len(core_harness.model.requests) - requests
        recovered = await go_on(core_harness, first, "c2", recovers=True)
        last = await go_on(core_harness, first, "c3")

    analysis = FailureAnalysis.of_run(refused.run)
    assert first.stop_reason is StopReason.MAX_TURNS
    assert (refused.run.status, refused.run.turns) == (RunStatus.FAILED, 0)
    assert asked == 0
    assert needs_recovery(refused.run)
    assert analysis is not None
    assert analysis.cause is (
        FailureCause.CONVERSATION_MISSING
        if loss == "all of it"
        else FailureCause.CONVERSATION_DAMAGED
    )
    labels = [
        element["text"]["text"]
        for block in run_card(refused, now=NOW).blocks
        for element in block.get("elements", ())
        if element.get("type") == "button"
    ]
    assert "Recovery leg…" in labels
    assert not any("Continue" in label for label in labels)

    assert recovered.run.status is RunStatus.COMPLETED, recovered.run.error_message
    assert is_recovery(recovered.run)
    assert recovered.run.session_id == first.session_id
    assert recovered.run.workspace_path == first.workspace_path
    assert [(step.step_id, step.name) for step in recovered.steps] == [(1, "First"), (2, "Second")]
    summary = first_prompt(core_harness, "RECOVERY")
    assert TASK in summary
    assert MESSAGE in summary
    assert "git commit" in summary
    assert "[x] First" in summary
    assert "kept.txt" in summary
    # The next leg goes on with the new conversation.
    assert last.run.status is RunStatus.COMPLETED, last.run.error_message
    assert not is_recovery(last.run)
    assert "RECOVERY" in json.dumps(bodies(core_harness)[-1])


async def test_a_conversation_whose_end_is_lost_is_not_continued_as_if_it_were_whole(
    core_harness: CoreHarness,
) -> None:
    async with core_harness.worker():
        first = await stopped_run(core_harness)
        second = (await go_on(core_harness, first, "c1")).run
        await lose(core_harness, second, "its end")
        refused = await go_on(core_harness, first, "c2")

    analysis = FailureAnalysis.of_run(refused.run)
    assert second.status is RunStatus.COMPLETED
    assert remembers(core_harness, second)
    assert analysis is not None
    assert analysis.cause is FailureCause.CONVERSATION_DAMAGED


async def test_a_whole_conversation_is_not_left_behind(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        first = await stopped_run(core_harness)
        with pytest.raises(RecoveryNotNeeded):
            await go_on(core_harness, first, "c1", recovers=True)


def bodies(core_harness: CoreHarness) -> list[dict[str, object]]:
    return [
        dict(one.body)
        for one in core_harness.model.requests
        if one.script is not None and one.body is not None
    ]


def first_prompt(core_harness: CoreHarness, mark: str) -> str:
    """The first message of the conversation that has this mark in it."""
    found = next(body for body in bodies(core_harness) if mark in json.dumps(body["messages"]))
    return json.dumps(found["messages"])
