"""A real browser that opens the sandbox's page.

The browser's driver belongs to one event loop, so the tests here share a loop: each module
sets `pytestmark = ONE_LOOP`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Page,
    Playwright,
    async_playwright,
    expect,
)
from playwright.async_api import TimeoutError as PlaywrightTimeout

from bot.sandbox.page_routes import add_page
from bot.sandbox.slack.server import ACK_SECONDS, Sandbox, open_sandbox
from tests.browser.small_app import small_app
from tests.limits import patient
from tests.sandbox import connected

ONE_LOOP = pytest.mark.asyncio(loop_scope="session")
# The first one is Chromium without the parts that only a desktop needs: a new window costs it an
# eighth of the CPU time.
BROWSER_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
TIMEOUT_MS = 120_000
# The first start of a browser from a cold disk on a busy machine is slow.
START_MS = 75_000
_CONNECT_MS = 25_000
_CONNECTIONS = 4

OpenPage = Callable[..., Awaitable[Page]]

expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; without one these tests are skipped, but in CI they fail."""
    for name in BROWSER_NAMES:
        if path := shutil.which(name):
            return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"no Chromium found (looked for {', '.join(BROWSER_NAMES)})")
    pytest.skip("no Chromium found: install Debian's chromium, or run as root with apt")


@pytest.fixture(scope="session")
def endpoint(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One browser for all tests; each test has its own isolated windows."""
    flags = [
        "--headless=new",
        "--remote-debugging-port=0",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
        # Chromium's sandbox does not work for root, or in containers without user namespaces.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-first-run",
        "--no-proxy-server",
    ]
    # Debian's commands are scripts, which start the program as a child.
    with subprocess.Popen(
        [chromium, *flags], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        matches = (re.search(r"DevTools listening on (ws://\S+)", line) for line in process.stderr)
        found = next((match for match in matches if match), None)
        assert found is not None, f"{chromium} ended with {process.wait(10)}"
        drain = threading.Thread(target=deque, args=(process.stderr, 0), daemon=True)
        drain.start()
        yield found[1]
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
        drain.join(5)


async def _connected(playwright: Playwright, endpoint: str) -> Browser:
    """Connect to the browser; one that is starting sometimes answers no more, and does later."""
    for _ in range(_CONNECTIONS - 1):
        try:
            return await playwright.chromium.connect_over_cdp(endpoint, timeout=_CONNECT_MS)
        except PlaywrightTimeout:
            continue
    return await playwright.chromium.connect_over_cdp(endpoint, timeout=START_MS)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(endpoint: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await _connected(playwright, endpoint)
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Slack with its page and the small app; problems real Slack would report fail the test."""
    async with (
        open_sandbox(
            extra_routes=add_page, rate_limits=False, ack_timeout=patient(ACK_SECONDS)
        ) as opened,
        connected(small_app(opened), opened, transport="socket"),
    ):
        yield opened
        assert opened.problems == []


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, sandbox: Sandbox) -> AsyncIterator[OpenPage]:
    """Opens the page: `await open_page("builds", person="ben", viewport=…)`.

    A console error or an exception on the page fails the test.
    """
    page_errors: list[str] = []

    def on_console_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            page_errors.append(f"{message.text} ({message.location.get('url')})")

    async def opened(channel: str = "builds", *, person: str = "ada", **context: Any) -> Page:
        # Without animations: drawing them takes the processor while a test waits.
        page = await browser.new_page(**{"reduced_motion": "reduce", **context})
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", on_console_message)
        page.on("pageerror", lambda error: page_errors.append(str(error)))
        await page.goto(f"{sandbox.url}/?as={person}#/{channel}")
        await expect(page.locator("body")).to_have_attribute("data-ready", "yes")
        return page

    before = set(browser.contexts)
    yield opened
    for context in set(browser.contexts) - before:
        await context.close()
    assert page_errors == []


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: OpenPage) -> Page:
    """The page in #builds, as ada."""
    return await open_page()
