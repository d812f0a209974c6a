"""Continue from Slack: by button, form, mention and reply; repeated requests start one run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from core.domain.runs.run import RunStatus, StopReason
from tests.card import Card
from tests.harness import Harness, harness, socket_harness
from tests.transports import BOTH_TRANSPORTS

__all__ = ["harness", "socket_harness"]

pytestmark = pytest.mark.sampled(4)

TASK = "builder --turns 2 [scenario: max-turns] [turns: 3] long work"


async def run_to_turn_limit(harness: Harness) -> Card:
    card = await harness.run(TASK)
    await card.wait_for_text("Stopped at its turn limit (2/2), not finished")
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


@BOTH_TRANSPORTS
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


@BOTH_TRANSPORTS
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
    left = await card.wait_for_turns_left()

    await card.press(left)

    await card.wait_until_completed()
    await card.wait_for_reply("Continued")
    newest, killed = await socket_harness.runs()
    assert killed.status is RunStatus.KILLED
    assert killed.max_turns is not None
    assert newest.max_turns == killed.max_turns - killed.turns
    assert left == f"Continue ({newest.max_turns} turns left)"


async def test_a_plain_reply_to_a_killed_run_starts_nothing_and_asks_in_private(
    harness: Harness,
) -> None:
    card = await killed_run(harness)

    await card.say("please keep the old limit")
    question = await question_of(harness, "Continue with it")
    runs_before = await harness.runs()
    label = next(one for one in harness.human.labels(question) if "Continue with it" in one)
    await harness.human.click(card.channel, str(question["ts"]), label=label)

    await card.wait_until_completed()
    assert "started nothing" in harness.human.text(question)
    assert len(runs_before) == 1
    newest, killed = await harness.runs()
    assert newest.task_input == "please keep the old limit"
    assert newest.max_turns == (killed.max_turns or 0) - killed.turns


async def test_a_reply_to_another_person_is_not_for_the_agent(socket_harness: Harness) -> None:
    card = await run_to_turn_limit(socket_harness)

    await card.say("@cleo what do you think?")
    await socket_harness.sandbox.wait_until_idle()
    await card.say("go on")

    await card.wait_for_reply("Continued")
    assert [run.task_input for run in await socket_harness.runs()][:-1] == ["go on"]


async def test_a_run_that_was_continued_before_goes_on_from_its_newest_leg(
    socket_harness: Harness,
) -> None:
    harness = socket_harness
    card = await run_to_turn_limit(harness)
    first = (await harness.run_of(card)).run
    answer = await harness.command_and_wait(f"continue {first.run_id} +20", "It continues as")
    await card.wait_until_completed()
    second = (await harness.run_of(card)).run

    later = await harness.command_and_wait(f"continue {first.run_id} and the docs", "newest leg")

    await card.wait_until_completed()
    third = (await harness.runs())[0]
    assert second.run_id in answer
    assert second.run_id in later
    assert third.parent_run_id == second.id
    assert third.task_input == "and the docs"


async def test_a_session_continued_in_its_own_channel_is_answered(socket_harness: Harness) -> None:
    harness = socket_harness
    card = await harness.run(f"--session limits {TASK}")
    await card.wait_for_button("+20 turns")

    await harness.command_and_wait("continue limits +20 and the docs", "for up to 20 turns")

    await card.wait_until_completed()


async def test_what_was_left_is_added_to_the_turns_that_are_asked_for(
    socket_harness: Harness,
) -> None:
    harness = socket_harness
    card = await killed_run(harness)
    killed = (await harness.run_of(card)).run

    await card.say("@signalbox continue +20")

    await card.wait_until_completed()
    newest = (await harness.runs())[0]
    assert newest.max_turns == (killed.max_turns or 0) - killed.turns + 20


async def test_nobody_is_asked_how_to_continue_what_they_may_not(socket_harness: Harness) -> None:
    harness = socket_harness
    card = await run_to_turn_limit(harness)

    await card.press("Continue…", user="cleo")
    refusal = await question_of(harness, "Ask an operator", "cleo")
    channel, ts = card.channel, str(refusal["ts"])
    await harness.human.click(channel, ts, label="Ask an operator", user="cleo")
    await harness.wait_for_private("Asked in the thread", user="cleo")
    await harness.human.click(channel, ts, label="Ask an operator", user="cleo")

    request = await card.wait_for_reply("may not continue this and asks you")
    await harness.sandbox.wait_until_idle()
    assert harness.human.modal("cleo") is None
    assert "or an operator can continue this" in harness.human.text(refusal)
    assert request.startswith("<@U")
    assert sum("asks you" in reply for reply in card.bot_replies()) == 1


async def killed_run(harness: Harness) -> Card:
    """A run of the default person that was killed in a tool call."""
    card = await harness.start_in_tool_call("builder [scenario: kill-me] work")
    await harness.command(f"kill {(await harness.run_of(card)).run.run_id}")
    await card.wait_for_turns_left()
    return card


async def question_of(harness: Harness, label: str, user: str | None = None) -> Mapping[str, Any]:
    """A private message with a button whose label begins so."""
    human = harness.human
    return await human.wait_for(
        lambda: next(
            (m for m in human.ephemerals(user) if any(label in one for one in human.labels(m))),
            None,
        ),
        what=f"a private question with {label!r}",
    )


async def test_only_an_operator_continues_another_persons_run(
    socket_harness: Harness,
) -> None:
    card = await socket_harness.run(TASK, user="ben")
    await card.wait_for_button("+20 turns")

    await card.press("+20 turns", user="cleo")

    await socket_harness.wait_for_private("or an operator can continue this", user="cleo")
    assert len(await socket_harness.runs()) == 1
