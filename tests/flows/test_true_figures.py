"""The last words, turns, tokens and cost of runs of the real program, as it once reported them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bot.sandbox.model.script import (
    Conversation,
    Failure,
    Play,
    Script,
    Tokens,
    ToolCall,
    Turn,
    bash,
    play_in_order,
)
from core.domain.runs.run import CostSource, RunStatus, StopReason, Usage
from core.domain.runs.snapshot import RunSnapshot
from tests.core_harness import CoreHarness, core_harness
from tests.truth.surfaces import card_text, dollars_in, list_text

__all__ = ["core_harness"]

HELPER = ToolCall(
    "Task",
    {
        "description": "Look",
        "prompt": "[helper: 1] Look.",
        "subagent_type": "general-purpose",
    },
)


def tokens(given: int, written: int) -> Tokens:
    return Tokens(input=given, output=written, cache_read=0, cache_creation=0)


async def ended(
    core_harness: CoreHarness, play: Play, *, helper: Play | None = None, **start: Any
) -> RunSnapshot:
    """A run with this script, after its end."""

    def choose(conversation: Conversation) -> Turn:
        is_helper = helper is not None and "helper" in conversation.directives
        return helper(conversation) if is_helper and helper is not None else play(conversation)

    core_harness.model.script = Script(name="figures", description="", play=choose)
    async with core_harness.worker():
        run = await core_harness.start("Work.", **start)
        return await core_harness.wait_until_ended(run)


async def test_the_last_words_stand_whatever_was_said_before_them(
    core_harness: CoreHarness,
) -> None:
    report = "**What I did so far**\n\nI wrote the migration."
    last = "I could not run the migration. The task is NOT done."

    seen = await ended(
        core_harness,
        play_in_order(Turn(text=report, calls=(HELPER,)), Turn(text=last)),
        helper=play_in_order(Turn(text="## Summary\n\nEverything is done.")),
    )

    assert seen.run.result == f"{report}\n\n---\n\n{last}"


async def test_a_success_that_speaks_of_limits_is_one(core_harness: CoreHarness) -> None:
    words = "Session limit reached errors are now shown as a banner; tests pass."

    seen = await ended(core_harness, play_in_order(Turn(text=words)))

    assert (seen.run.status, seen.run.result) == (RunStatus.COMPLETED, words)


async def test_an_answer_of_six_calls_is_one_turn(core_harness: CoreHarness) -> None:
    calls = tuple(bash(f"echo {number}", "Echo") for number in range(6))

    seen = await ended(core_harness, play_in_order(Turn(calls=calls), Turn(text="Done.")))

    assert (seen.run.turns, seen.run.tool_calls) == (2, 6)


async def test_the_tokens_of_subagents_of_subagents_count(core_harness: CoreHarness) -> None:
    inner = ToolCall("Task", {**HELPER.input, "prompt": "[helper: 2] Look closely."})
    work = Turn(calls=(bash("echo", "Look"),), tokens=tokens(1_000, 50))
    outer = play_in_order(Turn(calls=(inner,), tokens=tokens(1_000, 50)), Turn(text="Seen."))
    innermost = play_in_order(work, Turn(text="Seen closely.", tokens=tokens(1_000, 50)))

    def helper(conversation: Conversation) -> Turn:
        is_inner = conversation.directives["helper"] == "2"
        turn = innermost(conversation) if is_inner else outer(conversation)
        return Turn(text=turn.text, calls=turn.calls, tokens=tokens(1_000, 50))

    seen = await ended(
        core_harness,
        play_in_order(
            Turn(calls=(HELPER,), tokens=tokens(1_000, 50)),
            Turn(text="Done.", tokens=tokens(1_000, 50)),
        ),
        helper=helper,
    )

    assert seen.run.usage == Usage(input_tokens=6_000, output_tokens=300)
    assert (seen.run.turns, seen.run.tool_calls) == (2, 3)
    assert seen.run.cost_source is CostSource.REPORTED


async def test_a_run_of_which_nothing_was_answered_has_no_cost(core_harness: CoreHarness) -> None:
    limit = Failure(
        status=429,
        error_type="rate_limit_error",
        message="This request would exceed your account's usage limit",
        times=None,
        should_retry=False,
    )

    seen = await ended(core_harness, play_in_order(Turn(failure=limit)))

    assert seen.run.stop_reason is StopReason.USAGE_LIMIT
    assert (seen.run.cost_usd, seen.run.cost_source, seen.run.turns) == (None, None, 0)
    now = datetime.now(UTC)
    shown = dollars_in(card_text(seen, now=now)) | dollars_in(list_text(seen, now=now))
    assert shown == set()


async def test_a_model_without_a_price_has_no_cost(core_harness: CoreHarness) -> None:
    script = play_in_order(Turn(text="Done.", tokens=tokens(1_000_000, 10)))

    seen = await ended(core_harness, script, model="claude-unknown-9")

    assert (seen.run.cost_usd, seen.run.cost_source) == (None, None)
    assert seen.run.usage == Usage(input_tokens=1_000_000, output_tokens=10)


async def test_absurd_tokens_are_unknown(core_harness: CoreHarness) -> None:
    script = play_in_order(Turn(text="Done.", tokens=tokens(10**15, 10)))

    seen = await ended(core_harness, script)

    assert (seen.run.status, seen.run.turns) == (RunStatus.COMPLETED, 1)
    assert (seen.run.usage, seen.run.cost_usd) == (Usage(), None)
