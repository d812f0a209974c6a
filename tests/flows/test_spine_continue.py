"""Continue from Slack: by button, form, mention and reply; repeated requests start one run."""

from __future__ import annotations

import asyncio

from core.domain.runs.run import RunStatus, StopReason
from tests.card import Card
from tests.harness import Harness, harness, socket_harness

__all__ = ["harness", "socket_harness"]

TASK = "builder --turns 4 [scenario: max-turns] [turns: 8] long work"


async def run_to_turn_limit(harness: Harness) -> Card:
    card = await harness.run(TASK)
    await card.wait_for_text("Stopped at its turn limit (4/4), not finished")
    await card.wait_for_button("+20 turns")
    return card


async def test_the_continue_button_continues_in_the_same_session_and_thread(
    harness: Harness,
) -> None:
    card = await run_to_turn_limit(harness)
    first = (await harness.run_of(card)).run
    before = card.screenshot()

    await asyncio.gather(card.press("+20 turns"), card.press("+20 turns"))
    await card.wait_until_completed()
    await card.press_stale(before, "+20 turns")

    await harness.wait_for_private("It continues already")
    await harness.wait_for_private("It was continued before")
    await harness.wait_until_drawn()
    second = (await harness.run_of(card)).run
    assert len(await harness.runs()) == 2
    assert first.stop_reason is StopReason.MAX_TURNS
    assert second.status is RunStatus.COMPLETED, second.error_message
    assert second.session_id == first.session_id
    assert second.parent_run_id == first.id
    assert second.max_turns == 20
    assert "leg 2 of 2" in card.text
    assert len(harness.run_cards()) == 1
    assert sum("Continued" in text for text in card.bot_replies()) == 1


async def test_the_continue_form_accepts_turns_and_a_message(harness: Harness) -> None:
    card = await run_to_turn_limit(harness)

    await card.press("Continue…")
    form = await harness.human.wait_for(harness.human.modal, what="the form")
    wrong = await harness.human.submit(form["id"], {"turns": "0"})
    right = await harness.human.submit(form["id"], {"turns": "35", "message": "Mind <the> tests"})

    await card.wait_until_completed()
    second = (await harness.run_of(card)).run
    assert wrong is not None
    assert list(wrong) == ["turns"]
    assert right is None
    assert second.max_turns == 35
    assert second.task_input == "Mind <the> tests"


async def test_a_mention_in_the_thread_continues_its_run(harness: Harness) -> None:
    card = await run_to_turn_limit(harness)

    await card.say("@signalbox continue 20")

    await card.wait_for_reply("Continued")
    await card.wait_until_completed()
    assert (await harness.run_of(card)).run.max_turns == 20


async def test_a_reply_to_an_unfinished_run_continues_it_with_its_text(
    harness: Harness,
) -> None:
    card = await run_to_turn_limit(harness)

    await card.say("go on & finish", user="ada")

    await card.wait_for_reply("Continued")
    await card.wait_until_completed()
    assert (await harness.run_of(card)).run.task_input == "go on & finish"


async def test_a_reply_to_a_finished_run_starts_nothing_and_says_how_to_continue(
    socket_harness: Harness,
) -> None:
    card = await socket_harness.run("builder [scenario: long] [turns: 1] quick")
    await card.wait_until_completed()

    await card.say("thank you!")

    await socket_harness.wait_for_private("started nothing")
    assert len(await socket_harness.runs()) == 1


async def test_a_killed_run_is_continued_from_its_card(socket_harness: Harness) -> None:
    card = await socket_harness.start_in_tool_call("builder [scenario: kill-me] work")
    await socket_harness.command(f"kill {(await socket_harness.run_of(card)).run.run_id}")
    await card.wait_for_button("+10 turns")

    await card.press("+10 turns")

    await card.wait_until_completed()
    await card.wait_for_reply("Continued")
    assert len(await socket_harness.runs()) == 2


async def test_only_an_operator_continues_another_persons_run(
    socket_harness: Harness,
) -> None:
    card = await socket_harness.run(TASK, user="ben")
    await card.wait_for_button("+20 turns")

    await card.press("+20 turns", user="cleo")

    await socket_harness.wait_for_private("may not continue", user="cleo")
    assert len(await socket_harness.runs()) == 1
