"""Continue from Slack: buttons, form, mention and reply; one leg however often one asks."""

from __future__ import annotations

import asyncio

from core.domain.runs.run import RunStatus, StopReason
from tests.console import Card, Console, console, socket_console

__all__ = ["console", "socket_console"]

TASK = "builder --turns 4 [scenario: max-turns] [turns: 8] long work"


async def stopped_at_its_limit(console: Console) -> Card:
    card = await console.run(TASK)
    await card.says("Stopped at its turn limit (4/4), not finished")
    await card.offers("+20 turns")
    return card


async def test_the_continue_button_goes_on_in_the_same_session_and_thread(
    console: Console,
) -> None:
    card = await stopped_at_its_limit(console)
    first = (await console.run_of(card)).run
    before = card.screenshot()

    await asyncio.gather(card.press("+20 turns"), card.press("+20 turns"))
    await card.says("Completed · implement")
    await card.press_old(before, "+20 turns")

    await console.told("It goes on already")
    await console.told("It was continued before")
    await console.drawn()
    second = (await console.run_of(card)).run
    assert len(await console.runs()) == 2
    assert first.stop_reason is StopReason.MAX_TURNS
    assert second.status is RunStatus.COMPLETED, second.error_message
    assert second.session_id == first.session_id
    assert second.parent_run_id == first.id
    assert second.max_turns == 20
    assert "leg 2 of 2" in card.text
    assert len(console.cards()) == 1
    assert sum("Continued" in text for text in card.of_bot()) == 1


async def test_the_continue_form_takes_turns_and_words(console: Console) -> None:
    card = await stopped_at_its_limit(console)

    await card.press("Continue…")
    form = await console.human.wait_for(console.human.modal, what="the form")
    wrong = await console.human.submit(form["id"], {"turns": "0"})
    right = await console.human.submit(form["id"], {"turns": "35", "message": "Mind <the> tests"})

    await card.says("Completed")
    second = (await console.run_of(card)).run
    assert wrong is not None
    assert list(wrong) == ["turns"]
    assert right is None
    assert second.max_turns == 35
    assert second.task_input == "Mind <the> tests"


async def test_a_mention_in_the_thread_continues_its_run(console: Console) -> None:
    card = await stopped_at_its_limit(console)

    await card.say("@signalbox continue 20")

    await card.reply("Continued")
    await card.says("Completed")
    assert (await console.run_of(card)).run.max_turns == 20


async def test_a_reply_to_an_unfinished_run_continues_it_with_these_words(
    console: Console,
) -> None:
    card = await stopped_at_its_limit(console)

    await card.say("go on & finish", user="ada")

    await card.reply("Continued")
    await card.says("Completed")
    assert (await console.run_of(card)).run.task_input == "go on & finish"


async def test_a_reply_to_a_finished_run_starts_nothing_and_says_how(
    socket_console: Console,
) -> None:
    card = await socket_console.run("builder [scenario: long] [turns: 1] quick")
    await card.says("Completed")

    await card.say("thank you!")

    await socket_console.told("started nothing")
    assert len(await socket_console.runs()) == 1


async def test_a_killed_run_goes_on_from_its_card(socket_console: Console) -> None:
    card = await socket_console.in_mid_tool("builder [scenario: kill-me] work")
    await socket_console.command(f"kill {(await socket_console.run_of(card)).run.run_id}")
    await card.offers("+10 turns")

    await card.press("+10 turns")

    await card.says("Completed")
    await card.reply("Continued")
    assert len(await socket_console.runs()) == 2


async def test_somebody_elses_run_is_continued_by_an_operator_only(
    socket_console: Console,
) -> None:
    card = await socket_console.run(TASK, user="ben")
    await card.offers("+20 turns")

    await card.press("+20 turns", user="cleo")

    await socket_console.told("may not continue", user="cleo")
    assert len(await socket_console.runs()) == 1
