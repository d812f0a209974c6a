"""The card's menu and details, and the marks on mentions, in the sandbox with the fake services."""

from __future__ import annotations

from collections.abc import Mapping

from bot.slack import ids
from core.domain.runs.run import StopReason
from tests.fakes.bot import RunningBot
from tests.flows.test_slack_commands import bot, card_of
from tests.sandbox import sandbox

__all__ = ["bot", "sandbox"]


def marks_on(bot: RunningBot, said: Mapping[str, object]) -> list[str]:
    """The names of the bot's reactions to a message, oldest first."""
    message = next(one for one in bot.sandbox.human.messages("#builds") if one["ts"] == said["ts"])
    return [reaction["name"] for reaction in message.get("reactions", [])]


async def test_a_mention_is_marked_as_seen_and_then_as_answered(bot: RunningBot) -> None:
    bot.services.start_delay = 1
    human = bot.sandbox.human

    said = await human.say("#builds", "@signalbox run builder Add a button")

    await human.wait_for(lambda: marks_on(bot, said) == ["eyes"], what="the first mark")
    assert not bot.services.runs
    await human.wait_for(
        lambda: marks_on(bot, said) == ["eyes", "white_check_mark"], what="the second mark"
    )
    assert bot.services.runs


async def test_a_refused_mention_is_not_marked_as_answered(bot: RunningBot) -> None:
    human = bot.sandbox.human

    said = await human.say("#builds", "@signalbox status run_ffffffffffff")

    await human.wait_for(lambda: len(marks_on(bot, said)) == 2, what="both marks")
    assert marks_on(bot, said) == ["eyes", "warning"]


async def test_the_details_button_opens_all_figures(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    card = await card_of(bot)
    run_id = next(iter(bot.services.runs))

    await human.click("#builds", str(card["ts"]), label="Details")

    view = await human.wait_for(human.modal, what="the details")
    assert run_id in str(view["blocks"])
    assert "not reported yet" in str(view["blocks"])


async def test_an_option_of_the_menu_does_what_its_button_would_do(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    card = await card_of(bot)
    bot.services.end(next(iter(bot.services.runs)), StopReason.MAX_TURNS)
    await human.wait_for(
        lambda: "Continue…" in human.labels(human.messages("#builds")[0]), what="the buttons"
    )

    await human.click("#builds", str(card["ts"]), label="+50 turns")

    await bot.services.wait_until(lambda: bot.services.continue_requests, what="the click")
    assert bot.services.continue_requests[0].additional_turns == 50


async def test_a_killed_run_is_continued_with_other_turns_from_the_menu(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    card = await card_of(bot)
    bot.services.end(next(iter(bot.services.runs)), StopReason.KILLED)
    await human.wait_for(
        lambda: "Continue…" in human.labels(human.messages("#builds")[0]), what="the menu"
    )

    await human.click("#builds", str(card["ts"]), label="Continue…")

    view = await human.wait_for(human.modal, what="the form")
    assert view["callback_id"] == ids.CONTINUE_FORM


async def test_details_in_the_menu_open_the_same_modal(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    card = await card_of(bot)
    bot.services.end(next(iter(bot.services.runs)), StopReason.MAX_TURNS)
    await human.wait_for(
        lambda: "Continue…" in human.labels(human.messages("#builds")[0]), what="the buttons"
    )

    await human.click("#builds", str(card["ts"]), label="Details")

    view = await human.wait_for(human.modal, what="the details")
    assert view["title"]["text"] == "Details of a run"
