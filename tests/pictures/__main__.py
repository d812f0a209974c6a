"""Draw cards, alerts and posts into `docs/images`: phone and desktop width, light and dark.

`python -m tests.pictures [cards] [alerts] [posts]` needs Chromium; without names it draws all.  The
sandbox's page shows the messages as Slack would.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from playwright.async_api import Page, async_playwright
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.page_routes import add_page
from bot.sandbox.slack.server import Sandbox, open_sandbox
from bot.slack.views.message import Message
from bot.slack.views.thread.card import run_card
from core.domain.actor import User
from tests.pictures.alerts import ALERTS, drawn_alert
from tests.pictures.cards import CARDS
from tests.pictures.posts import POSTS
from tests.pictures.small_png import with_palette
from tests.unit.view_helpers import ADA, NOW

IMAGES = Path(__file__).parents[2] / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
# Of a common phone, and of the part of a desktop client that shows a channel.
WIDTHS = {"phone": 390, "desktop": 900}
SCHEMES = ("light", "dark")
# Each kind of messages has a channel of its own.
CHANNELS = {"cards": "builds", "alerts": "general", "posts": "random"}
_FLAGS = ("--no-sandbox", "--disable-gpu", "--no-proxy-server", "--force-color-profile=srgb")


def drawn_card(name: str, owner: User) -> Message:
    """One of the twelve cards, of this owner's run."""
    return run_card(replace(CARDS[name], owner=owner), now=NOW)


async def main(wanted: Sequence[str]) -> None:
    """Draw all messages of a channel into one picture for each width and colour scheme.

    Args:
        wanted: Names of `CHANNELS`.
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise SystemExit(f"no Chromium found (looked for {', '.join(BROWSERS)})")
    async with (
        open_sandbox(extra_routes=add_page, rate_limits=False) as sandbox,
        async_playwright() as playwright,
    ):
        owner = replace(ADA, slack_user_id=sandbox.workspace.person("ada").id)
        messages = {
            "cards": [drawn_card(name, owner) for name in CARDS],
            "alerts": [drawn_alert(name) for name in ALERTS],
            "posts": [drawn() for drawn in POSTS.values()],
        }
        await sandbox.human.invite("#random")
        for name in wanted:
            await post(sandbox, CHANNELS[name], messages[name])
        browser = await playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        for width_name, width in WIDTHS.items():
            for scheme in SCHEMES:
                page = await browser.new_page(
                    viewport={"width": width, "height": 3600},
                    color_scheme="dark" if scheme == "dark" else "light",
                    locale="en-GB",
                    timezone_id="UTC",
                )
                for name in wanted:
                    path = IMAGES / f"{name}-{width_name}-{scheme}.png"
                    await draw(page, sandbox, CHANNELS[name], len(messages[name]), path)
                await page.close()
        await browser.close()


async def post(sandbox: Sandbox, channel: str, messages: Sequence[Message]) -> None:
    """Post messages into a channel, as the bot does."""
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    for message in messages:
        await client.chat_postMessage(
            channel=f"#{channel}", text=message.text, blocks=list(message.blocks)
        )


async def draw(page: Page, sandbox: Sandbox, channel: str, number: int, path: Path) -> None:
    """Make a picture of a channel's messages, of which there are so many."""
    await page.goto(f"{sandbox.url}/?as=ada#/{channel}")
    await page.locator("body[data-ready=yes]").wait_for()
    shown = page.locator("#channel li.message", has_text="Signalbox")
    await shown.nth(number - 1).wait_for()
    first, last = await shown.first.bounding_box(), await shown.last.bounding_box()
    if first is None or last is None:
        raise SystemExit("the messages are not visible")
    bottom = last["y"] + last["height"] + 8
    clip = {
        "x": first["x"],
        "y": first["y"] - 8,
        "width": first["width"],
        "height": bottom - first["y"] + 8,
    }
    png = await page.screenshot(clip=clip)  # type: ignore[arg-type]
    await asyncio.to_thread(lambda: path.write_bytes(with_palette(png)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or list(CHANNELS)))
