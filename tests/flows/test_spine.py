"""From `/workflow run` to the result in the thread, through all real parts."""

from __future__ import annotations

import time
from statistics import median

from bot.slack.drawing.update_gaps import UPDATE_GAP
from core.domain.runs.run import CostSource, RunStatus
from tests.harness import Harness, harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.limits import patient
from tests.transports import BOTH_TRANSPORTS

__all__ = ["harness"]


@BOTH_TRANSPORTS
async def test_a_command_becomes_a_card_that_ends_with_the_result(harness: Harness) -> None:
    card = await harness.run("builder Add rate limiting")

    await card.wait_until_completed()
    result = await card.wait_for_reply("Summary")
    await harness.wait_until_drawn()
    seen = await harness.run_of(card)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.workflow_name == "implement"
    assert seen.run.cost_source is CostSource.REPORTED
    assert "$" in card.text
    assert "not reported" not in card.text
    assert f"{len(seen.steps)} of {len(seen.steps)} done" in card.text
    assert seen.run.diff is not None
    assert f"+{seen.run.diff.added_lines}\u00a0−" in card.text
    for change in seen.run.diff.files:
        assert change.path in result
    assert len(harness.run_cards()) == 1
    assert len(card.replies) <= 2


async def test_the_card_is_updated_while_the_run_works(harness: Harness) -> None:
    began = time.monotonic()
    lasting = LastingWork(harness.model)
    card = await harness.run(f"builder --turns {MANY_TURNS} {LASTING}")

    await card.wait_for_text("Running")
    await card.wait_for_button("Kill")
    # The card can be posted so late that it shows the run at work already.
    await harness.sandbox.human.wait_for(
        lambda: harness.calls("chat.update"), timeout=patient(60), what="an update"
    )
    lasting.finish()
    await card.wait_until_completed()
    await harness.wait_until_drawn()

    assert "Kill" not in card.labels
    most = 3 + (time.monotonic() - began) / UPDATE_GAP.total_seconds()
    assert 2 <= harness.calls("chat.update") <= most
    assert harness.calls("chat.postMessage") == 1 + len(card.replies)


async def test_the_task_reaches_the_agent_unchanged(harness: Harness) -> None:
    harness.model.logs_bodies = True
    task = (
        'Mind  <b>&amp; "quotes"</b> & a <tag> 🚦 `code`\n\n  - a list\n\t- ünïcode *bold* :smile:'
    )

    card = await harness.run(f"builder --turns 30 {task}")
    run = (await harness.run_of(card)).run
    await harness.wait_until_ended(run)

    assert run.task_input == task
    said = [
        block.get("text")
        for request in harness.model.requests
        if request.body
        for message in request.body["messages"][:1]
        for block in (
            message["content"]
            if isinstance(message["content"], list)
            else [{"text": message["content"]}]
        )
    ]
    assert task in said


@BOTH_TRANSPORTS
async def test_a_command_is_acknowledged_at_once_while_runs_are_live(harness: Harness) -> None:
    await harness.start_in_tool_call("builder [scenario: kill-me] one")

    for _ in range(5):
        await harness.command("status")

    # The median, because other tests share the processor.  The benchmarks measure the slowest.
    assert median(harness.ack_times_ms) < 1000, harness.ack_times_ms
    await harness.run_cards()[0].press("Kill")
    await harness.run_cards()[0].wait_for_text("Killed")
