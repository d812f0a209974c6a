"""The page of a run's changes in a browser: lines on demand, links, filter and keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.async_api import Page, expect

from core.domain.runs.run import Run
from tests.browser.bot_page import WIDTHS
from tests.browser.conftest import ONE_LOOP
from tests.browser.dashboard.site import Site
from tests.diff_rows import LARGE_LINES, changed_run

pytestmark = ONE_LOOP


async def open_diff(site: Site, run: Run, rest: str = "", **context: Any) -> Page:
    page = await site.open(f"/runs/{run.run_id}/diff{rest}", **context)
    await expect(page.locator(".diff")).to_have_attribute("data-ready", "yes")
    return page


async def test_changes_are_shown_on_every_screen(
    site: Site, screen: dict[str, Any], tmp_path: Path
) -> None:
    run = await changed_run(site.api.database, tmp_path)
    page = await open_diff(site, run, **screen)

    await expect(page.get_by_role("heading", name="Changes")).to_be_visible()
    code = page.get_by_role("article", name="src/limits.py")
    await expect(code.locator("tr.d-add mark").first).to_have_text("70")
    assert await site.examine(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.get_by_role("link", name="Two columns").click()
    await expect(page.locator("table.split").first).to_be_visible()
    assert await site.examine(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_lines_are_loaded_when_they_are_wanted_and_links_lead_to_them(
    site: Site, tmp_path: Path
) -> None:
    run = await changed_run(site.api.database, tmp_path)
    page = await open_diff(site, run, **WIDTHS["desktop"])
    large = page.get_by_role("article", name="large.txt")
    number = await large.get_attribute("data-file")

    await large.get_by_role("link", name=re.compile("^Show")).click()
    await expect(large.get_by_text("+row 999", exact=True)).to_be_attached()
    await large.get_by_role("link", name="Show the next lines").click()
    await expect(large.get_by_text(f"+row {LARGE_LINES - 1}", exact=True)).to_be_attached()
    await large.locator(f"#f{number}n1200").click()
    await expect(page).to_have_url(re.compile(rf"#f{number}n1200$"))

    # The same address finds the line, which the page does not have at first.
    again = await open_diff(site, run, f"#f{number}n1200", **WIDTHS["desktop"])
    await expect(again.locator(f"#f{number}n1200")).to_be_in_viewport()
    await expect(again.locator("tr.is-marked")).to_contain_text("row 1199")


async def test_files_are_filtered_and_the_keyboard_moves(site: Site, tmp_path: Path) -> None:
    run = await changed_run(site.api.database, tmp_path)
    page = await open_diff(site, run, **WIDTHS["desktop"])
    files = page.locator(".df")
    hunks = page.locator("[data-hunk]")

    await page.keyboard.press("j")
    await expect(files.nth(0).locator(".dfh")).to_be_focused()
    await page.keyboard.press("j")
    await expect(files.nth(1).locator(".dfh")).to_be_focused()
    await page.keyboard.press("k")
    await expect(files.nth(0).locator(".dfh")).to_be_focused()
    await page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    await page.keyboard.press("]")
    await expect(hunks.nth(0)).to_be_focused()
    await page.keyboard.press("]")
    await page.keyboard.press("]")
    await page.keyboard.press("[")
    await expect(hunks.nth(1)).to_be_focused()
    code = page.get_by_role("article", name="src/limits.py")
    await page.keyboard.press("/")
    await page.keyboard.type("LIMITS")
    await expect(code).to_be_visible()
    await expect(page.locator(".df:visible")).to_have_count(1)
    await page.keyboard.type("nothing")
    await expect(page.get_by_text("No file has such a name.")).to_be_visible()


async def test_on_a_phone_the_files_are_behind_a_press(site: Site, tmp_path: Path) -> None:
    run = await changed_run(site.api.database, tmp_path)
    page = await open_diff(site, run, **WIDTHS["phone"])
    listed = page.locator("[data-files]").get_by_text("large.txt")

    await expect(listed).to_be_hidden()
    await page.get_by_text("Files", exact=True).click()
    await listed.click()

    await expect(page.get_by_role("article", name="large.txt")).to_be_in_viewport()
