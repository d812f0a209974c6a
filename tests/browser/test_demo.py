"""The demo as a newcomer sees it: one command, then the page."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import ONE_LOOP, TIMEOUT_MS
from tests.limits import limit

pytestmark = [ONE_LOOP, pytest.mark.timeout(1200)]

# Starting an agent and a dozen turns at the demo's speed, on a machine busy with tests.
RUN_MS = 90_000
START_SECONDS = 60


@pytest_asyncio.fixture(loop_scope="session")
async def demo_url() -> AsyncIterator[str]:
    """`python -m bot demo` in its own process, ended with the signal of Ctrl-C."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "demo", "--port", "0",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "SIGNALBOX_PORT": "0", "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with limit(START_SECONDS):
            while (line := (await process.stdout.readline()).decode()) != "":
                if found := re.search(r"http://\S+", line):
                    yield found[0]
                    break
            else:
                pytest.fail("the demo ended before it printed its address")
    finally:
        process.send_signal(signal.SIGINT)
        async with limit(30):
            await process.communicate()
    assert process.returncode == 0


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, demo_url: str) -> AsyncIterator[Page]:
    opened = await browser.new_page()
    opened.set_default_timeout(TIMEOUT_MS)
    await opened.goto(f"{demo_url}/#/builds")
    await expect(opened.locator("body[data-ready=yes]")).to_be_attached()
    yield opened
    await opened.close()


async def test_a_newcomer_runs_kills_and_continues_a_workflow(page: Page) -> None:
    composer = page.get_by_role("textbox", name="Message #builds")

    await composer.fill("/workflow run builder Add rate limiting to the API")
    await composer.press("Enter")
    first = page.get_by_role("article").filter(has_text="Add rate limiting").first
    await expect(first).to_contain_text("Completed", timeout=RUN_MS)
    await (
        first.get_by_role("button", name=re.compile("1 reply"))
        .or_(page.get_by_role("button", name=re.compile("1 reply, open thread")))
        .first.click()
    )
    thread = page.get_by_role("complementary", name="Thread")
    await expect(thread).to_contain_text("Summary")
    await expect(thread).to_contain_text("1 commit")

    await composer.fill("/workflow run fix [scenario: kill-stubborn] Work for a long while")
    await composer.press("Enter")
    second = page.get_by_role("article").filter(has_text="Work for a long while").first
    await second.get_by_role("button", name="Kill", exact=True).click(timeout=RUN_MS)
    await page.get_by_role("alertdialog").get_by_role("button", name="Kill it").click()
    await expect(second).to_contain_text("nothing left running", timeout=RUN_MS)

    await second.get_by_role("button", name="More options").click()
    await page.get_by_role("menuitem", name="Continue…").click()
    form = page.get_by_role("dialog")
    await form.get_by_role("textbox").first.fill("[scenario: work] Something quick instead")
    await form.get_by_role("button", name=re.compile("Continue|Run")).click()
    await expect(second).to_contain_text("Completed", timeout=RUN_MS)

    await page.get_by_role("button", name=re.compile("^Inspector")).click()
    await expect(page.get_by_role("button", name=re.compile("problem"))).to_have_count(0)
