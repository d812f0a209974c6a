"""Signalbox on a page of the sandbox, at the width of a desk and of a phone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from bot.sandbox.page_routes import add_page
from bot.sandbox.slack.server import ACK_SECONDS, Sandbox, open_sandbox
from core.domain.runs.run import StopReason
from tests.browser.locators import write
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.limits import patient

WIDTHS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}


@pytest_asyncio.fixture(loop_scope="session")
async def bot() -> AsyncIterator[RunningBot]:
    """Signalbox on a Slack with its page; problems real Slack would report fail the test."""
    async with (
        open_sandbox(
            extra_routes=add_page, rate_limits=False, ack_timeout=patient(ACK_SECONDS)
        ) as opened,
        open_bot(opened, FakeServices()) as running,
    ):
        yield running
        await opened.wait_until_idle()
        assert opened.problems == []


@pytest.fixture
def sandbox(bot: RunningBot) -> Sandbox:
    """Where the page comes from."""
    return bot.sandbox


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest) -> dict[str, Any]:
    """How large the screen is."""
    return WIDTHS[request.param]


async def ended_run(bot: RunningBot, page: Page, reason: StopReason, **columns: Any) -> Locator:
    """The card of a run that has ended."""
    await write(page, "/workflow run builder --turns 60 Count the pieces")
    card = page.get_by_role("article").filter(has_text="Count the pieces").first
    await expect(card).to_be_visible()
    (run,) = bot.services.runs.values()
    bot.services.end(run.run_id, reason, turns=3, max_turns=60, **columns)
    return card
