from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Dialog, Page, expect
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.server import Sandbox
from tests.browser.conftest import ONE_LOOP
from tests.browser.locators import feed

pytestmark = ONE_LOOP

IMAGE = '<img src=x onerror="window.hurt = 1">'
SCRIPT = "<script>window.hurt = 1</script>"
LINK = "[press me](javascript:window.hurt=1)"
SLACK_LINK = "<javascript:window.hurt=1|press me>"
DATA_LINK = "<data:text/html,x|press me> [press](data:text/html,x) [x](  JaVaScRiPt:1)"
ALL = f"{IMAGE} {SCRIPT} {LINK} {SLACK_LINK} {DATA_LINK} mark"


@pytest.mark.parametrize("kind", ["mrkdwn", "markdown", "plain", "rich", "said", "file"])
async def test_hostile_text_stays_text(page: Page, sandbox: Sandbox, kind: str) -> None:
    opened: list[Dialog] = []
    page.on("dialog", lambda dialog: opened.append(dialog))  # noqa: PLW0108 (a builtin is no handler)
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    plain = {"type": "plain_text", "text": ALL}
    rich = {
        "type": "rich_text_section",
        "elements": [
            {"type": "text", "text": ALL},
            {"type": "link", "url": "javascript:window.hurt=1", "text": "press me"},
        ],
    }
    blocks: dict[str, dict[str, Any]] = {
        "mrkdwn": {"type": "section", "text": {"type": "mrkdwn", "text": ALL}},
        "markdown": {"type": "markdown", "text": ALL},
        "plain": {"type": "section", "text": plain},
        "rich": {"type": "rich_text", "elements": [rich]},
    }

    if kind in blocks:
        await client.chat_postMessage(channel="#builds", text="x", blocks=[blocks[kind]])
    elif kind == "said":
        await sandbox.human.say("#builds", ALL)
    else:
        await client.files_upload_v2(
            channel="C0BUILDS02", filename=f"{IMAGE}.txt", title=f"mark {IMAGE}", content=ALL
        )

    drawn = feed(page).get_by_role("article").filter(has_text="mark")
    await expect(drawn).to_contain_text("onerror")
    assert await drawn.locator("img, script, iframe").count() == 0
    links = await drawn.locator("a").evaluate_all("all => all.map(a => a.protocol)")
    assert set(links) <= {"http:", "https:", "mailto:"}
    assert await page.evaluate("window.hurt") is None
    assert opened == []


async def test_a_hostile_button_address_opens_nothing(page: Page, sandbox: Sandbox) -> None:
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    button = {
        "type": "button",
        "action_id": "kill",
        "text": {"type": "plain_text", "text": IMAGE},
        "url": "javascript:window.hurt=1",
    }
    blocks = [{"type": "actions", "elements": [button]}]
    posted = await client.chat_postMessage(channel="#builds", text="x", blocks=blocks)
    assert posted["ok"]

    await feed(page).get_by_role("button", name=IMAGE).click()

    await expect(feed(page)).to_contain_text("Killed · builder")
    assert await page.evaluate("window.hurt") is None
    assert len(page.context.pages) == 1


async def test_the_page_forbids_what_it_does_not_need(page: Page, sandbox: Sandbox) -> None:
    response = await page.request.get(f"{sandbox.url}/")

    policy = response.headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    outside = await page.request.get(f"{sandbox.url}/page/..%2fpage_routes.py")
    assert outside.status == 404


async def test_a_text_that_is_slow_to_parse_does_not_block_the_page(
    page: Page, sandbox: Sandbox
) -> None:
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    shown = feed(page).get_by_role("article").filter(has_text="mark")
    pieces = (" *a", "*_~", "`*", "<a *", "[a](", "**a ", "> *_")

    for number, piece in enumerate(pieces, start=1):
        length = 11_000 // len(piece)
        await client.chat_postMessage(channel="#builds", text=f"mark {piece * (3 * length)}")
        markdown = {"type": "markdown", "text": f"mark {piece * length}"}
        await client.chat_postMessage(channel="#builds", text="x", blocks=[markdown])
        await expect(shown).to_have_count(2 * number)
