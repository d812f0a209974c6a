"""From `/workflow run` to the result in the thread, through every real part."""

from __future__ import annotations

import time
from statistics import median

from bot.slack.drawing.drawing import UPDATE_GAP
from core.domain.runs.run import CostSource, RunStatus
from tests.console import Console, console

__all__ = ["console"]


async def test_a_command_becomes_a_card_that_ends_with_the_result(console: Console) -> None:
    card = await console.run("builder Add rate limiting")

    await card.says("Completed")
    result = await card.reply("Summary")
    seen = await console.run_of(card)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.workflow_name == "implement"
    assert seen.run.cost_source is CostSource.REPORTED
    assert "$" in card.text
    assert "not reported" not in card.text
    assert f"{len(seen.steps)} of {len(seen.steps)} done" in card.text
    assert seen.run.diff is not None
    assert f"+{seen.run.diff.added_lines}" in result
    assert len(console.cards()) == 1
    assert len(card.replies) <= 2


async def test_the_card_is_edited_in_place_while_the_run_works(console: Console) -> None:
    began = time.monotonic()
    card = await console.run("builder [scenario: long] [turns: 8] [delay: 0.4s] Count")

    await card.says("Running")
    await card.offers("Kill")
    await card.says("Completed")
    await console.drawn()

    assert "Kill" not in card.labels
    most = 3 + (time.monotonic() - began) / UPDATE_GAP.total_seconds()
    assert 2 <= console.calls("chat.update") <= most
    assert console.calls("chat.postMessage") == 1 + len(card.replies)


async def test_the_task_reaches_the_agent_word_for_word(console: Console) -> None:
    console.model.keeps_bodies = True
    task = (
        'Mind  <b>&amp; "quotes"</b> & a <tag> 🚦 `code`\n\n  - a list\n\t- ünïcode *bold* :smile:'
    )

    card = await console.run(f"builder --turns 30 {task}")
    run = (await console.run_of(card)).run
    await console.ended(run)

    assert run.task_input == task
    said = [
        block.get("text")
        for asked in console.model.requests
        if asked.body
        for message in asked.body["messages"][:1]
        for block in (
            message["content"]
            if isinstance(message["content"], list)
            else [{"text": message["content"]}]
        )
    ]
    assert task in said


async def test_a_command_is_acknowledged_at_once_while_runs_are_live(console: Console) -> None:
    await console.in_mid_tool("builder [scenario: kill-me] one")

    for _ in range(5):
        await console.command("status")

    # The median: other tests share the processor.  The benchmarks look at the slowest.
    assert median(console.acks) < 1000, console.acks
    await console.cards()[0].press("Kill")
    await console.cards()[0].says("Killed")
