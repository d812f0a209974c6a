"""Restarts in Slack: the form, the question after a mention, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from bot.sandbox.slack.server import Sandbox
from bot.slack import ids
from core.domain.runs.restarts.preview import Problem, ProblemKind
from core.domain.runs.run import StopReason
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.flows.test_slack_commands import card_of, wait_for_private
from tests.sandbox import sandbox

__all__ = ["sandbox"]


@pytest_asyncio.fixture
async def bot(sandbox: Sandbox) -> AsyncIterator[RunningBot]:
    async with open_bot(sandbox, FakeServices()) as opened:
        yield opened
        await sandbox.wait_until_idle()


async def ended_run(bot: RunningBot) -> tuple[str, str]:
    """A run that was killed, and the time stamp of its card."""
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    card = await card_of(bot)
    run_id = next(iter(bot.services.runs))
    bot.services.end(run_id, StopReason.KILLED)
    await human.wait_for(
        lambda: "Restart…" in human.labels(human.messages("#builds")[0]), what="the menu"
    )
    return run_id, str(card["ts"])


async def shown(bot: RunningBot, words: str) -> dict[str, Any]:
    """The open form, once it has these words."""

    def find() -> dict[str, Any] | None:
        view = bot.sandbox.human.modal()
        return view if view is not None and words in str(view) else None

    return await bot.sandbox.human.wait_for(find, what=words)


async def test_the_menu_opens_a_form_that_restarts_once(bot: RunningBot) -> None:
    human = bot.sandbox.human
    run_id, card = await ended_run(bot)

    await human.click("#builds", card, label="Restart…")
    form = await shown(bot, "The new run has the same first message")
    await human.submit(form["id"], {})

    await wait_for_private(bot, "Restarted from the start")
    (asked,) = bot.restarts.asked
    assert (asked.target, asked.checkpoint) == (run_id, None)
    assert asked.request_key.startswith("form:")


async def test_a_form_says_what_is_in_the_way_and_offers_nothing(bot: RunningBot) -> None:
    human = bot.sandbox.human
    run_id, _ = await ended_run(bot)
    gone = "The repository no longer has commit `abc`."
    bot.restarts.problems = (Problem(kind=ProblemKind.BASE_COMMIT_GONE, sentence=gone),)

    await human.slash("#builds", "/workflow", f"restart {run_id}")

    form = await shown(bot, gone)
    assert "submit" not in form or form["submit"] is None
    assert bot.restarts.asked == []


async def test_a_mention_in_the_thread_asks_with_buttons(bot: RunningBot) -> None:
    human = bot.sandbox.human
    run_id, card = await ended_run(bot)

    await human.say("#builds", "@signalbox restart start", thread_ts=card)
    question = await wait_for_private(bot, "Nothing has been started yet")
    assert bot.restarts.asked == []
    await human.click("#builds", str(question["ts"]), label="Restart")

    await bot.services.wait_until(lambda: bot.restarts.asked, what="the restart")
    assert bot.restarts.asked[0].target == run_id


async def test_a_live_run_is_refused_with_the_way_on(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button")
    await card_of(bot)
    run_id = next(iter(bot.services.runs))

    await human.slash("#builds", "/workflow", f"restart {run_id}")

    form = await shown(bot, "has not ended")
    assert form["callback_id"] == ids.RESTART_FORM
    assert f"/workflow kill {run_id}" in str(form)
