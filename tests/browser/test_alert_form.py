"""The form of a subscription in a real browser, at the width of a desk and of a phone."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Locator, Page, expect

from bot.sandbox.slack.people import ADA, OPERATORS
from core.domain.alerts.kinds import AlertKind
from tests.browser.bot_page import bot, sandbox, width
from tests.browser.conftest import ONE_LOOP, OpenPage
from tests.browser.locators import feed, message, write
from tests.fakes.bot import RunningBot

__all__ = ["bot", "sandbox", "width"]

pytestmark = ONE_LOOP


async def opened_form(page: Page, command: str = "/workflow alerts subscribe") -> Locator:
    await write(page, command)
    form = page.get_by_role("dialog")
    await expect(form.get_by_role("group", name="What to tell")).to_be_visible()
    return form


async def assert_fits_the_screen(page: Page, form: Locator) -> None:
    """Assert that no field reaches over the edge of the screen."""
    size = page.viewport_size
    assert size is not None
    fields = form.locator("input:visible, select:visible, textarea:visible, fieldset:visible")
    boxes = [await field.bounding_box() for field in await fields.all()]
    edges = [(box["x"], box["x"] + box["width"]) for box in boxes if box is not None]
    assert len(edges) > 15
    assert all(left >= 0 and right <= size["width"] for left, right in edges)


async def test_the_form_subscribes_a_channel(
    bot: RunningBot, open_page: OpenPage, width: dict[str, Any]
) -> None:
    page = await open_page(**width)
    form = await opened_form(page)
    await assert_fits_the_screen(page, form)
    await expect(form.get_by_text("a run stopped at its turn limit")).to_be_visible()

    await form.get_by_role("checkbox", name="failed", exact=True).check()
    await form.get_by_role("checkbox", name="max_turns", exact=True).check()
    await form.get_by_role("combobox", name="Workflow").select_option(label="implement")
    await form.get_by_role("group", name="Started by").get_by_text("ada").click()
    await form.get_by_role("combobox", name="Severity").select_option(label="Only critical")
    await form.get_by_role("textbox", name="What has lasted for").fill("15m")
    await form.get_by_role("textbox", name="Mention a user group").fill("@operators")
    await form.get_by_role("textbox", name="Quiet hours").fill("22:00-07:00")
    await form.get_by_role("textbox", name="Time zone").fill("Europe/Berlin")
    await form.get_by_role("combobox", name="Digest", exact=True).select_option(label="Every day")
    await form.get_by_role("button", name="Subscribe", exact=True).click()

    await expect(form).to_be_hidden()
    await expect(message(feed(page), "subscribed this channel to alerts")).to_be_visible()
    await expect(message(feed(page), "Subscribed (number 1)")).to_be_visible()
    (made,) = bot.subscriptions.kept.values()
    assert made.kinds == {AlertKind.FAILED, AlertKind.MAX_TURNS}
    assert (made.filter.workflow, made.filter.owner) == ("implement", ADA)
    assert made.mention == f"<!subteam^{OPERATORS}>"
    assert (str(made.quiet_hours), made.time_zone) == ("22:00-07:00", "Europe/Berlin")


async def test_the_form_shows_what_is_wrong_and_keeps_what_was_entered(
    bot: RunningBot, open_page: OpenPage, width: dict[str, Any]
) -> None:
    page = await open_page(**width)
    form = await opened_form(page)
    lasted = form.get_by_role("textbox", name="What has lasted for")

    await form.get_by_role("checkbox", name="stalled", exact=True).check()
    await lasted.fill("soon")
    await form.get_by_role("button", name="Subscribe", exact=True).click()
    await expect(form.get_by_role("alert")).to_contain_text("for example 15m")
    await expect(form.get_by_role("checkbox", name="stalled", exact=True)).to_be_checked()
    await lasted.fill("15m")
    await form.get_by_role("button", name="Subscribe", exact=True).click()

    await expect(form).to_be_hidden()
    (made,) = bot.subscriptions.kept.values()
    assert made.kinds == {AlertKind.STALLED}


async def test_the_button_of_a_row_opens_the_form_that_changes_it(
    bot: RunningBot, open_page: OpenPage, width: dict[str, Any]
) -> None:
    page = await open_page(**width)
    await write(page, "/workflow alerts subscribe failed quiet=22-7")
    await expect(message(feed(page), "Subscribed (number 1)")).to_be_visible()
    await write(page, "/workflow alerts list")
    listed = message(feed(page), "This channel has 1 subscription")

    await listed.get_by_role("button", name="Edit…").click()
    form = page.get_by_role("dialog", name="Change alerts")
    await expect(form.get_by_role("textbox", name="Quiet hours")).to_have_value("22:00-07:00")
    await form.get_by_role("checkbox", name="failed", exact=True).uncheck()
    await form.get_by_role("checkbox", name="killed", exact=True).check()
    await form.get_by_role("button", name="Save", exact=True).click()

    await expect(form).to_be_hidden()
    await expect(message(feed(page), "changed a subscription")).to_be_visible()
    (changed,) = bot.subscriptions.kept.values()
    assert changed.kinds == {AlertKind.KILLED}
