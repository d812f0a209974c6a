"""Draw pages of the dashboard into `docs/images`: `python -m tests.pictures.dashboard`."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from playwright.async_api import Page, ViewportSize, async_playwright

from core.domain.runs.run import StopReason
from core.store import users
from core.store.database import migrate
from core.store.database.embedded.server import EmbeddedServer
from core.store.database.engine import Database, open_database
from tests.api import open_api
from tests.browser.dashboard.scene import set_scene
from tests.browser.dashboard.site import Site
from tests.diff_rows import changed_run
from tests.history_rows import some_past_runs, store_past_runs
from tests.pictures.__main__ import BROWSERS, IMAGES
from tests.pictures.small_png import with_palette
from tests.run_story import RunStory, recently

_SIZES: Mapping[str, ViewportSize] = MappingProxyType(
    {
        "desktop": ViewportSize(width=1280, height=860),
        "phone": ViewportSize(width=390, height=844),
    }
)
_FLAGS = ("--no-sandbox", "--disable-gpu", "--no-proxy-server", "--force-color-profile=srgb")
_STEPS = ("Read the code", "Write the bucket", "Cover it with tests", "Commit the work")


async def main() -> None:
    """Draw each page at both widths, light and dark.

    Raises:
        SystemExit: If there is no Chromium.
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise SystemExit(f"no Chromium found (looked for {', '.join(BROWSERS)})")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sbpic-")))
        server = EmbeddedServer(folder / "pg", {})
        dsn = await asyncio.to_thread(server.acquire)
        stack.push_async_callback(asyncio.to_thread, server.release)
        await asyncio.to_thread(migrate.upgrade, dsn)
        database = await stack.enter_async_context(open_database(dsn))
        api = await stack.enter_async_context(open_api(database, public_url=None))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        stack.push_async_callback(browser.close)
        site = Site(api, browser)
        pages = await _fill(site, folder)
        for size_name, viewport in _SIZES.items():
            for scheme in ("light", "dark"):
                page = await site.open(viewport=viewport, color_scheme=scheme, timezone_id="UTC")
                for name, path in pages.items():
                    picture = IMAGES / f"dashboard-{name}-{size_name}-{scheme}.png"
                    await _draw(page, f"{site.url}{path}", picture)
        await site.close()


async def _fill(site: Site, folder: Path) -> dict[str, str]:
    """Fill the database; returns the address of each page by its name."""
    database = site.api.database
    await set_scene(site)
    # Afterwards, so that nobody is alerted of what is long past.
    await _history(database)
    changed = await changed_run(database, folder)
    ada = await site.member()
    told = RunStory(database, recently(minutes=30), user_id=ada.user_id)
    for number, message in enumerate([None, "Go on, and add a test for bursts"]):
        leg = await told.leg(message)
        await told.calls(leg, 40)
        await told.plan(leg, list(_STEPS), done=2 + 2 * number)
        await told.checkpoint(leg, _STEPS[2 * number])
        reason = StopReason.SUCCESS if number else StopReason.MAX_TURNS
        await told.end(leg, reason, result="## Summary\n\n- `limits.py`: a token bucket\n- 4 tests")
        told.wait(minutes=5)
    run = await told.newest()
    return {
        "overview": "/",
        "runs": "/runs",
        "run": f"/runs/{run.run_id}",
        "log": f"/runs/{run.run_id}/log",
        "diff": f"/runs/{changed.run_id}/diff",
        "analytics": "/analytics?range=30d",
    }


async def _history(database: Database) -> None:
    today = datetime.now(UTC).date()
    async with database.sessions.begin() as session:
        ann = await users.add(session, "Ann", now=datetime.now(UTC))
    past = some_past_runs(today - timedelta(days=1), 60, [ann.id])
    await store_past_runs(database, past)


async def _draw(page: Page, url: str, path: Path) -> None:
    await page.goto(url)
    await page.locator("h1").first.wait_for()
    for kind in ("log", "diff"):
        if url.partition("?")[0].endswith(f"/{kind}"):
            await page.locator(f".{kind}[data-ready=yes]").wait_for()
    if "/analytics" in url:
        await page.locator('[data-chart="drawn"]').first.wait_for()
    png = await page.screenshot()
    await asyncio.to_thread(lambda: path.write_bytes(with_palette(png)))


if __name__ == "__main__":
    asyncio.run(main())
