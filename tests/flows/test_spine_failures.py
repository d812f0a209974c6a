"""Failures of the agent, the model and the machine: each has its text, advice and buttons."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from bot.sandbox.model.script import Script, Turn, bash, play_in_order
from bot.words.markup import PLAIN
from bot.words.runs.waiting.silence import awaited_words, silence_of
from core.agent.process.process_tree import find_run_processes
from core.domain.runs.activity.awaited import AwaitedKind
from core.domain.runs.run import RunStatus, StopReason
from tests.harness import Harness, harness, socket_harness

__all__ = ["harness", "socket_harness"]

FOREVER = "[times: forever] work"


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("scenario", "reason", "words"),
    [
        ("crash", StopReason.AGENT_ERROR, "The agent program failed (ended by SIGKILL)"),
        ("no-result", StopReason.NO_RESULT, "Ended without a result"),
        ("garbage", StopReason.API_ERROR, "The model's API gave no usable answer"),
        ("api-500", StopReason.API_ERROR, "The model's API failed"),
        ("401", StopReason.API_ERROR, "The API key is not valid"),
        ("usage-limit", StopReason.USAGE_LIMIT, "usage limit"),
    ],
)
async def test_a_failure_is_shown_with_advice(
    harness: Harness, scenario: str, reason: StopReason, words: str
) -> None:
    card = await harness.run(f"builder [scenario: {scenario}] {FOREVER}")

    await card.wait_for_text(words)
    advice = await card.wait_for_reply("Next:")
    await card.wait_for_turns_left()

    run = (await harness.run_of(card)).run
    assert run.status is RunStatus.FAILED
    assert run.stop_reason is reason
    assert words not in advice
    assert "Traceback" not in advice
    assert str(harness.home) not in advice
    assert await asyncio.to_thread(find_run_processes, run.run_id, None) == ()


async def test_an_agent_program_with_invalid_output_is_ended_and_reported(harness: Harness) -> None:
    # The tool writes to the pipe on which the program itself talks to its worker.
    garbage = bash("echo '{not json' > /proc/$PPID/fd/1; sleep 76", "Garble")
    harness.model.script = Script(
        name="garble",
        description="",
        play=play_in_order(Turn(calls=(garbage,)), Turn(text="Never.")),
    )
    card = await harness.run("builder work")

    await card.wait_for_text("The agent program's output was unusable")
    advice = await card.wait_for_reply("Next:")
    await card.wait_for_turns_left()

    run = (await harness.run_of(card)).run
    assert (run.status, run.stop_reason) == (RunStatus.FAILED, StopReason.AGENT_ERROR)
    assert "cannot be read" in card.text + advice
    assert "not json" not in advice
    assert "Traceback" not in advice
    assert await asyncio.to_thread(find_run_processes, run.run_id, None) == ()


@pytest.mark.slow
async def test_a_run_with_a_hanging_model_is_stopped_at_the_time_limit(harness: Harness) -> None:
    card = await harness.run(f"builder --timeout 10s [scenario: hang] {FOREVER}")

    await card.wait_for_text("Stopped at its time limit (10s), not finished")
    await card.wait_for_turns_left()

    run = (await harness.run_of(card)).run
    assert run.stop_reason is StopReason.TIMEOUT
    assert await asyncio.to_thread(find_run_processes, run.run_id, None) == ()


@pytest.mark.parametrize(
    ("scenario", "kind", "words"),
    [
        ("hang", AwaitedKind.MODEL, "the model has not answered yet"),
        ("kill-me", AwaitedKind.TOOL, "Work that takes a while is still running"),
    ],
)
async def test_the_rows_say_what_a_silent_run_waits_for(
    socket_harness: Harness, scenario: str, kind: AwaitedKind, words: str
) -> None:
    card = await socket_harness.run(f"builder [scenario: {scenario}] work")
    run = (await socket_harness.run_of(card)).run

    # Of its first call only the start is sure: the model hangs after it.
    seen = await socket_harness.wait_until(
        run,
        lambda seen: (
            seen.run.tool_calls == (1 if kind is AwaitedKind.MODEL else 2)
            and seen.awaited is not None
            and seen.awaited.kind is kind
        ),
    )
    await socket_harness.command(f"kill {run.run_id}")
    ended = await socket_harness.wait_until_ended(run)

    assert seen.awaited is not None
    nine_minutes_later = seen.awaited.heard_at + timedelta(minutes=9)
    assert silence_of(seen, nine_minutes_later) == timedelta(minutes=9)
    assert awaited_words(seen, PLAIN) == words
    assert ended.awaited is None


async def test_a_workspace_that_cannot_be_created_ends_the_run_with_advice(
    harness: Harness,
) -> None:
    # A file in the place of the workspaces' directory: this fails for root too.
    for name in ("workspaces", "mirrors"):
        await asyncio.to_thread(block_path, harness.home / name)

    card = await harness.run("builder work")

    advice = await card.wait_for_reply("Next:")
    run = (await harness.run_of(card)).run
    assert run.stop_reason in {StopReason.WORKSPACE_ERROR, StopReason.SETUP_ERROR}
    assert str(harness.home) not in advice
    await harness.wait_until_drawn()
    assert card.labels == ["Details"]


def block_path(path: Path) -> None:
    if path.exists():
        path.rmdir()
    path.write_text("in the way")
