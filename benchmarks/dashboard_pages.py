"""The first load of every page of the dashboard, in a real Chromium, with up to a million runs.

A real `signalbox bot` serves a database with seeded runs (`benchmarks/seed`).  Each load has a new
window with empty caches, and is measured by the browser: until the first byte of the page, and
until everything is loaded.  The size of the scripts is what such a load transfers.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, async_playwright
from sqlalchemy import text

from benchmarks.api.console import Console, open_console
from benchmarks.machine import chromium_program, machine_line
from benchmarks.results import heading, line, percentile
from benchmarks.seed.load import new_database, seed, seed_server
from core.domain.actor import Role
from core.store.database.engine import open_database
from core.store.database.migrate import upgrade

SIZES = (1_000, 1_000_000)
_API = "/api/v1"
_TIMES = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const files = performance.getEntriesByType("resource");
  const scripts = files.filter((one) => new URL(one.name).pathname.endsWith(".js"));
  return {
    first_byte: page.responseStart - page.startTime,
    loaded: page.loadEventEnd - page.startTime,
    bytes: page.transferSize + files.reduce((sum, one) => sum + one.transferSize, 0),
    script_bytes: scripts.reduce((sum, one) => sum + one.decodedBodySize, 0),
    elements: document.querySelectorAll("*").length,
  };
}"""
_IS_LOADED = 'performance.getEntriesByType("navigation")[0].loadEventEnd > 0'


@dataclass
class _Loads:
    """The loads of one page: milliseconds and bytes."""

    first_byte: list[float] = field(default_factory=list)
    loaded: list[float] = field(default_factory=list)
    last: Mapping[str, Any] = field(default_factory=dict)

    def add(self, measured: Mapping[str, Any]) -> None:
        """Add one load."""
        self.first_byte.append(measured["first_byte"])
        self.loaded.append(measured["loaded"])
        self.last = measured


async def measure(*, repetitions: int = 20, runs: Sequence[int] = SIZES) -> None:
    """Measure and print the results; to seed a million runs takes about ten minutes.

    Args:
        repetitions: Loads of each page.
        runs: The numbers of runs.

    Raises:
        RuntimeError: If there is no Chromium, or if a page is not what was asked for.
    """
    heading("dashboard-pages", "the first load of each page in a browser with empty caches")
    line("machine", machine_line())
    program = chromium_program()
    async with AsyncExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="signalbox-pages-", ignore_cleanup_errors=True)
            )
        )
        server = await stack.enter_async_context(seed_server(folder / "postgres"))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        stack.push_async_callback(browser.close)
        for size in runs:
            dsn = await new_database(server, f"runs_{size}")
            await asyncio.to_thread(upgrade, dsn)
            # Without stored answers each status is composed, as that of a run which has just ended.
            await seed(
                dsn,
                runs=size,
                has_answers=False,
                report=lambda text: line("seeding", text.strip()),
            )
            home = folder / str(size)
            home.mkdir()
            async with open_console(dsn, home) as console:
                await _allow_everything(dsn)
                await _wait_for_history(dsn, size)
                await _measure(browser, console, size, repetitions)


async def _allow_everything(dsn: str) -> None:
    """Let the token see the pages of admins, too."""
    async with open_database(dsn, pool_size=1) as database, database.sessions.begin() as session:
        await session.execute(text(f"UPDATE api_tokens SET role = {int(Role.ADMIN)}"))


async def _wait_for_history(dsn: str, size: int) -> None:
    """Wait until the history of all days is computed, as it is once after an upgrade."""
    began = time.monotonic()
    async with open_database(dsn, pool_size=1) as database, database.sessions() as session:
        # The database tells nobody.
        while await session.scalar(text("SELECT EXISTS (SELECT FROM analytics_marks)")):  # noqa: ASYNC110
            await asyncio.sleep(1)
    line(f"{size:,} runs", f"history computed in {time.monotonic() - began:.0f} s")


async def _measure(browser: Browser, console: Console, size: int, repetitions: int) -> None:
    state = await sign_in(browser, console)
    found: dict[str, _Loads] = {}
    for name, path in (await _paths(console)).items():
        loads = found[name] = _Loads()
        for _ in range(repetitions):
            window = await browser.new_context(storage_state=state)
            page = await window.new_page()
            answer = await page.goto(f"{console.url}{path}")
            if answer is None or not answer.ok:
                raise RuntimeError(f"{path}: {answer and answer.status}")
            await page.wait_for_function(_IS_LOADED)
            loads.add(await page.evaluate(_TIMES))
            await window.close()
        line(
            f"{size:,} runs, {name}",
            f"loaded p50 {percentile(loads.loaded, 50):.0f} p95 {percentile(loads.loaded, 95):.0f} "
            f"ms · first byte p95 {percentile(loads.first_byte, 95):.0f} ms · "
            f"{loads.last['bytes'] / 1000:.0f} kB, of which scripts "
            f"{loads.last['script_bytes'] / 1000:.0f} kB unpacked · "
            f"{loads.last['elements']} elements",
        )
    slowest = max(found, key=lambda name: percentile(found[name].loaded, 95))
    line(
        f"{size:,} runs, slowest page",
        f"{slowest}: p95 {percentile(found[slowest].loaded, 95):.0f} ms",
    )


async def sign_in(browser: Browser, console: Console) -> Any:
    """What a browser keeps of a person who signed in by a link."""
    headers = {"Authorization": f"Bearer {console.token}"}
    async with aiohttp.ClientSession(headers=headers) as client:
        made = await client.post(f"{console.url}{_API}/dashboard/links", json={})
        path = (await made.json())["path"]
    window = await browser.new_context()
    page = await window.new_page()
    await page.goto(f"{console.url}{path}")
    await page.get_by_role("button", name="Sign in as").click()
    await page.wait_for_url(f"{console.url}/")
    state = await window.storage_state()
    await window.close()
    return state


async def _paths(console: Console) -> dict[str, str]:
    """A page of each kind, by its name."""
    headers = {"Authorization": f"Bearer {console.token}"}
    async with aiohttp.ClientSession(headers=headers) as client:

        async def get(path: str) -> Any:
            async with client.get(f"{console.url}{_API}{path}") as answer:
                answer.raise_for_status()
                return await answer.json()

        listed = await get("/workflows/claude-code/runs?status=completed&limit=1")
        (run,) = listed["runs"]
        (alert,) = (await get("/alerts?limit=1"))["alerts"] or [None]
    run_id, session_id = run["run_id"], run["session_id"]
    paths = {
        "overview": "/",
        "runs": "/runs",
        "runs, failed": "/runs?status=failed",
        "runs, mine, 30 days": "/runs?mine=true&range=30d",
        "run": f"/runs/{run_id}",
        "log": f"/runs/{run_id}/log",
        "diff": f"/runs/{run_id}/diff",
        "new run": "/runs/new",
        "sessions": "/sessions",
        "session": f"/sessions/{session_id}",
        "alerts": "/alerts",
        "workers": "/workers",
        "workflows": "/workflows",
        "workflow": f"/workflows/{run['workflow_name']}",
        "analytics": "/analytics",
        "audit": "/audit",
        "settings": "/settings",
    }
    return paths if alert is None else {**paths, "alert": f"/alerts/{alert['alert_id']}"}
