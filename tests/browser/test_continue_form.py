"""The form of a continuation in a real browser, at the width of a desk and of a phone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from playwright.async_api import expect

from core.domain.failure_cause import FailureCause
from core.domain.runs.failure_analysis import FAILURE_KEY, FailureAnalysis
from core.domain.runs.run import StopReason
from tests.browser.bot_page import bot, ended_run, sandbox, width
from tests.browser.conftest import ONE_LOOP, OpenPage
from tests.fakes.bot import RunningBot

__all__ = ["bot", "sandbox", "width"]

pytestmark = ONE_LOOP


async def test_the_form_continues_with_a_message_a_budget_and_a_model(
    bot: RunningBot, open_page: OpenPage, width: dict[str, Any]
) -> None:
    page = await open_page(**width)
    card = await ended_run(bot, page, StopReason.KILLED)
    await card.get_by_role("button", name="More options").click()
    await page.get_by_role("menuitem", name="Continue…").click()
    form = page.get_by_role("dialog", name="Continue run")
    await expect(form.get_by_text("On top of the 57 that it has left")).to_be_visible()

    await form.get_by_role("textbox", name="What shall I tell it?").fill("Mind the <docs>")
    await form.get_by_role("spinbutton", name="How many turns more?").fill("20")
    await form.get_by_role("textbox", name="Cost limit of this leg").fill("much")
    await form.get_by_role("textbox", name="Model").fill("two words")
    await form.get_by_role("button", name="Continue", exact=True).click()
    await expect(form.get_by_role("alert")).to_have_count(2)
    await expect(form.get_by_role("alert").first).to_contain_text("for example 2.50")
    await form.get_by_role("textbox", name="Cost limit of this leg").fill("$2.50")
    await form.get_by_role("textbox", name="Model").fill("opus")
    await form.get_by_role("button", name="Continue", exact=True).dblclick()

    await expect(form).to_be_hidden()
    await bot.services.wait_until(lambda: bot.services.continue_requests)
    await bot.services.wait_until_handled()
    request = bot.services.continue_requests[0]
    # However often it is sent, one form starts one leg.
    assert {one.request_key for one in bot.services.continue_requests} == {request.request_key}
    assert len(bot.services.runs) == 2
    assert (request.message, request.additional_turns) == ("Mind the <docs>", 20)
    assert (request.budget_usd, request.model) == (Decimal("2.50"), "opus")
    assert not request.recovers


async def test_a_lost_conversation_is_said_before_a_recovery_leg_begins(
    bot: RunningBot, open_page: OpenPage, width: dict[str, Any]
) -> None:
    page = await open_page(**width)
    failure = FailureAnalysis(cause=FailureCause.CONVERSATION_MISSING).to_json()
    card = await ended_run(bot, page, StopReason.AGENT_ERROR, metadata={FAILURE_KEY: failure})
    await expect(card).to_contain_text("The conversation is gone")
    await card.get_by_role("button", name="Recovery leg…").click()
    form = page.get_by_role("dialog", name="Recovery leg")
    await expect(form.get_by_text("cannot be restored")).to_be_visible()

    await form.get_by_role("button", name="Start it", exact=True).click()

    await expect(form).to_be_hidden()
    await bot.services.wait_until(lambda: bot.services.continue_requests)
    (request,) = bot.services.continue_requests
    assert request.recovers
