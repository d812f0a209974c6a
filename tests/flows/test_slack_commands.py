"""Commands, buttons, forms and mentions, from a person's action to the service calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bot.sandbox.slack.people import BUILDS
from bot.sandbox.slack.server import Sandbox
from core.domain.runs.run import StopReason
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.sandbox import sandbox

__all__ = ["sandbox"]


@pytest_asyncio.fixture(params=["socket", "http"])
async def bot(request: pytest.FixtureRequest, sandbox: Sandbox) -> AsyncIterator[RunningBot]:
    async with open_bot(sandbox, FakeServices(), transport=str(request.param)) as opened:
        yield opened
        await sandbox.wait_until_idle()


async def card_of(bot: RunningBot, channel: str = "#builds") -> dict[str, object]:
    """The newest card in a channel, once it exists."""
    return await bot.sandbox.human.wait_for(
        lambda: next(
            (m for m in reversed(bot.sandbox.human.messages(channel)) if m.get("bot_id")), None
        ),
        what="a card",
    )


async def wait_for_private(
    bot: RunningBot, words: str, user: str | None = None
) -> dict[str, object]:
    """A private answer with these words, once it exists."""
    human = bot.sandbox.human
    return await human.wait_for(
        lambda: next((m for m in human.ephemerals(user) if words in human.text(m)), None),
        what=words,
    )


async def test_a_command_starts_one_run_with_its_exact_task(bot: RunningBot) -> None:
    task = 'Add <rate> limiting & "tests"\n\n  - keep  spaces'

    await bot.sandbox.human.slash("#builds", "/workflow", f"run builder --turns 5 {task}")

    await card_of(bot)
    assert [start.task for start in bot.services.start_requests] == [task]
    assert bot.services.start_requests[0].max_turns == 5
    assert bot.services.start_requests[0].place is not None
    assert bot.services.start_requests[0].place.channel_id == BUILDS


async def test_a_command_is_acknowledged_before_the_work_is_done(bot: RunningBot) -> None:
    bot.services.start_delay = 3

    answer = await bot.sandbox.human.slash("#builds", "/workflow", "run builder slow start")

    assert answer.ok
    assert not bot.services.start_requests
    await bot.services.wait_until(lambda: bot.services.start_requests, what="the start")


async def test_the_card_shows_the_run_and_changes_with_it(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    card = await card_of(bot)
    run_id = next(iter(bot.services.runs))

    bot.services.end(run_id, result="All is done and well.")

    await human.wait_for(
        lambda: "Completed" in human.text(human.thread("#builds", str(card["ts"]))[0]),
        what="the final card",
    )
    await human.wait_for(lambda: human.find("All is done and well."), what="the result")
    assert len(human.messages("#builds")) == 1


async def test_the_kill_button_asks_for_confirmation_and_kills_the_run(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    card = await card_of(bot)

    await human.click("#builds", str(card["ts"]), label="Kill")

    await bot.services.wait_until(lambda: bot.services.kills, what="the kill")
    assert human.confirmed_dialogs


async def test_two_clicks_on_continue_start_one_run(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    card = await card_of(bot)
    bot.services.end(next(iter(bot.services.runs)), StopReason.MAX_TURNS)
    await human.wait_for(
        lambda: any("20" in label for label in human.labels(human.messages("#builds")[0])),
        what="the continue buttons",
    )

    clicks = [
        human.click("#builds", str(card["ts"]), action_id="run_continue_20") for _ in range(2)
    ]
    await asyncio.gather(*clicks)

    await bot.services.wait_until(
        lambda: len(bot.services.continue_requests) == 2, what="both clicks"
    )
    assert [request.additional_turns for request in bot.services.continue_requests] == [20, 20]
    assert len(bot.services.runs) == 2
    await wait_for_private(bot, "continues already")


async def test_the_continue_form_asks_for_turns_and_a_message(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    card = await card_of(bot)
    bot.services.end(next(iter(bot.services.runs)), StopReason.MAX_TURNS)
    await human.wait_for(
        lambda: "Continue…" in human.labels(human.messages("#builds")[0]) or None,
        what="the continue button",
    )

    await human.click("#builds", str(card["ts"]), label="Continue…")
    form = await human.wait_for(human.modal, what="the form")
    errors = await human.submit(form["id"], {"turns": "35", "message": "Mind the tests"})

    assert errors is None
    await bot.services.wait_until(
        lambda: bot.services.continue_requests, what="the continue request"
    )
    assert bot.services.continue_requests[0].additional_turns == 35
    assert bot.services.continue_requests[0].message == "Mind the tests"


async def test_a_form_shows_its_errors_and_then_starts(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run")
    form = await human.wait_for(human.modal, what="the form")

    wrong = await human.submit(
        form["id"], {"workflow": "implement", "task": "Build it", "timeout": "soon"}
    )
    right = await human.submit(
        form["id"], {"workflow": "implement", "task": "Build it", "timeout": "20m"}
    )

    assert wrong is not None
    assert list(wrong) == ["timeout"]
    assert right is None
    await card_of(bot)
    assert [start.task for start in bot.services.start_requests] == ["Build it"]


async def test_a_failed_start_leaves_the_form_open_with_the_reason(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run")
    form = await human.wait_for(human.modal, what="the form")
    bot.services.is_unreachable = True

    errors = await human.submit(form["id"], {"workflow": "implement", "task": "Build it"})

    assert errors is not None
    assert "nothing was started" in next(iter(errors.values()))
    bot.services.is_unreachable = False


async def test_the_message_shortcut_opens_the_form_with_the_message_as_task(
    bot: RunningBot,
) -> None:
    human = bot.sandbox.human
    said = await human.say("#builds", "The <login> page is broken & slow", user="ben")

    await human.shortcut("run_on_message", "#builds", str(said["ts"]))

    form = await human.wait_for(human.modal, what="the form")
    assert "The <login> page is broken & slow" in str(form["blocks"])


async def test_a_mention_in_the_thread_kills_the_threads_own_run(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    card = await card_of(bot)

    await human.say("#builds", "@signalbox kill wrong branch", thread_ts=str(card["ts"]))

    await wait_for_private(bot, "Its card shows")
    assert len(bot.services.kills) == 1


async def test_a_reply_in_an_unfinished_runs_thread_continues_it_with_its_text(
    bot: RunningBot,
) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    card = await card_of(bot)
    bot.services.end(next(iter(bot.services.runs)), StopReason.MAX_TURNS)

    await human.say("#builds", "please also run the tests", thread_ts=str(card["ts"]))

    await bot.services.wait_until(
        lambda: bot.services.continue_requests, what="the continue request"
    )
    assert bot.services.continue_requests[0].message == "please also run the tests"


async def test_a_reply_to_a_live_run_is_answered_once_in_private(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    card = await card_of(bot)

    await human.say("#builds", "how is it going?", thread_ts=str(card["ts"]))
    hint = await wait_for_private(bot, "did not reach the agent")
    await human.say("#builds", "hello?", thread_ts=str(card["ts"]))
    await bot.sandbox.wait_until_idle()
    await bot.services.wait_until_handled()

    assert hint["thread_ts"] == card["ts"]
    assert sum("did not reach" in human.text(m) for m in human.ephemerals()) == 1


async def test_messages_in_other_threads_are_neither_stored_nor_answered(bot: RunningBot) -> None:
    human = bot.sandbox.human
    root = await human.say("#builds", "lunch?", user="ben")

    await human.say("#builds", "yes", thread_ts=str(root["ts"]), user="cleo")
    await bot.sandbox.wait_until_idle()
    await bot.services.wait_until_handled()

    assert not human.ephemerals("cleo")
    assert not bot.services.refusals
    assert len(bot.services.inbox) == 1


async def test_the_home_tab_shows_the_persons_own_runs(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    await card_of(bot)

    await human.open_home()

    await human.wait_for(
        lambda: human.home() and "Add a button" in str(human.home()), what="the home tab"
    )


@pytest.mark.parametrize("text", ["help", "workflows", "list", "status", "status run_nonsense"])
async def test_every_query_is_answered_in_private(bot: RunningBot, text: str) -> None:
    await bot.sandbox.human.slash("#general", "/workflow", text)

    answer = await bot.sandbox.human.wait_for(bot.sandbox.human.ephemerals, what="an answer")
    assert answer
    assert not bot.sandbox.human.messages("#general")


async def test_without_its_database_a_command_is_answered_that_nothing_started(
    bot: RunningBot,
) -> None:
    bot.services.is_unreachable = True

    await bot.sandbox.human.slash("#general", "/workflow", "run builder x")

    await wait_for_private(bot, "nothing was started")
    bot.services.is_unreachable = False
    assert not bot.services.start_requests


async def test_a_direct_message_is_a_command(bot: RunningBot) -> None:
    human = bot.sandbox.human

    await human.say("@ada", "help")

    await human.wait_for(
        lambda: any(m.get("bot_id") for m in human.messages("@ada")) or None, what="the answer"
    )
