from __future__ import annotations

from playwright.async_api import Page, expect

from bot.sandbox.slack.server import ACK_SECONDS, Sandbox
from tests.browser.conftest import ONE_LOOP
from tests.browser.locators import feed, message, reply, thread, write

pytestmark = ONE_LOOP


async def test_a_command_is_completed_and_its_card_appears(page: Page) -> None:
    box = page.get_by_role("textbox", name="Message #builds")

    await box.press_sequentially("/wor")
    await expect(page.get_by_role("option", name="/workflow")).to_contain_text("run <workflow>")
    await box.press("Tab")
    await box.press_sequentially("run Add rate limiting")
    await box.press("Enter")

    card = message(feed(page), "Running · builder")
    await expect(card).to_contain_text("Add rate limiting")
    await expect(card.get_by_role("button", name="Kill", exact=True)).to_be_visible()


async def test_the_hint_moves_on_from_step_to_step(page: Page) -> None:
    hint = page.get_by_role("complementary", name="First steps")
    box = page.get_by_role("textbox", name="Message #builds")
    example = "/workflow run builder Add rate limiting to the API"

    await hint.get_by_role("button", name=example).click()
    await expect(box).to_have_value(example)
    await expect(box).to_be_focused()
    await box.press("Enter")
    await expect(hint).to_contain_text("press Kill")
    # Another way to start a run is as good as the one that the hint offers.
    await write(page, "/workflow run fix My own words")
    await expect(hint).to_contain_text("press Continue on the card")
    await page.reload()
    await hint.get_by_role("button", name="Next").click()
    await expect(hint).to_contain_text("tests fail")
    await hint.get_by_role("button", name="scenario: failing-tests").click()
    await box.press("Enter")

    await expect(hint).to_be_hidden()
    await page.reload()
    await expect(box).to_be_visible()
    await expect(hint).to_be_hidden()


async def test_a_dismissed_hint_stays_away(page: Page) -> None:
    hint = page.get_by_role("complementary", name="First steps")

    await hint.get_by_role("button", name="Dismiss hint").click()

    await expect(hint).to_be_hidden()
    await page.reload()
    await expect(page.get_by_role("textbox", name="Message #builds")).to_be_visible()
    await expect(hint).to_be_hidden()


async def test_a_command_in_a_thread_is_refused_in_slacks_words(page: Page) -> None:
    await write(page, "/workflow run Something")
    card = message(feed(page), "Running · builder")
    await card.get_by_role("button", name="open thread").click()

    await reply(page, "/workflow list")

    refusal = thread(page).get_by_role("alert")
    await expect(refusal).to_have_text("/workflow is not supported in threads. Sorry!")
    await expect(page.get_by_role("textbox", name="Reply in thread")).to_have_value(
        "/workflow list"
    )


async def test_an_unknown_command_is_refused(page: Page) -> None:
    await write(page, "/nonsense now")

    alert = page.get_by_role("main").get_by_role("alert")
    await expect(alert).to_contain_text("/nonsense is not a valid command.")


async def test_a_late_acknowledgement_is_reported_in_slacks_words(
    page: Page, sandbox: Sandbox
) -> None:
    # The page gives up before the patience of the other tests is over.
    sandbox.deliverer.ack_timeout = ACK_SECONDS

    await write(page, "/workflow silence")

    notice = page.get_by_role("status", name="Notices")
    await expect(notice).to_contain_text("/workflow failed with the error “operation_timeout”")
    assert sandbox.take_problems() != []


async def test_arrow_up_brings_back_the_last_line(page: Page) -> None:
    await write(page, "/workflow find")
    box = page.get_by_role("textbox", name="Message #builds")
    await expect(message(feed(page), "No runs match")).to_be_visible()

    await box.press("ArrowUp")

    await expect(box).to_have_value("/workflow find")
