from __future__ import annotations

import pytest
from playwright.async_api import Page, expect
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.server import Sandbox
from tests.browser.conftest import ONE_LOOP
from tests.browser.locators import feed, message, write

pytestmark = ONE_LOOP


@pytest.mark.any_speed
async def test_the_inspector_shows_calls_and_deliveries_with_their_json(page: Page) -> None:
    await write(page, "/workflow run Something")
    await expect(message(feed(page), "Running · builder")).to_be_visible()

    await page.get_by_role("button", name="Inspector").click()
    inspector = page.get_by_role("region", name="Inspector")
    await expect(inspector.get_by_role("button", name="Slack → app /workflow")).to_be_visible()
    await inspector.get_by_role("button", name="app → Slack chat.postMessage").first.click()

    details = page.get_by_role("region", name="Call details")
    await expect(details).to_contain_text('"channel": "C0BUILDS02"')
    await expect(details).to_contain_text('"ok": true')
    await inspector.get_by_role("searchbox", name="Filter calls").fill("upload")
    await expect(inspector.get_by_role("button", name="chat.postMessage")).to_have_count(0)
    await expect(inspector.get_by_role("button", name="files.completeUpload")).to_be_visible()


async def test_problems_that_slack_would_report_are_counted_and_named(
    page: Page, sandbox: Sandbox
) -> None:
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)

    with pytest.raises(SlackApiError):
        await client.chat_postMessage(channel="#builds", text="x", blocks=[{"type": "nonsense"}])

    await page.get_by_role("button", name="Inspector, 1 problem").click()
    await page.get_by_role("tab", name="Slack would have complained 1").click()
    complaint = page.get_by_role("region", name="Inspector").get_by_role("listitem")
    await expect(complaint).to_contain_text("chat.postMessage")
    await expect(complaint).to_contain_text("invalid_blocks")
    assert len(sandbox.take_problems()) == 1
