"""The analytics page in a browser: charts that are drawn, tables, filters, the export."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, expect

from core.store import users
from tests.browser.conftest import ONE_LOOP
from tests.browser.dashboard.site import Site
from tests.history_rows import some_past_runs, store_past_runs
from tests.limits import patient

pytestmark = ONE_LOOP

# Making the program that draws takes seconds, the first time on a machine.
DRAWN_MS = patient(60) * 1000


async def a_history(site: Site) -> None:
    """Some days of runs, a few of them killed."""
    today = datetime.now(UTC).date()
    async with site.api.database.sessions.begin() as session:
        ann = await users.add(session, "Ann", now=datetime.now(UTC))
    past = some_past_runs(today, 16, [ann.id], a_day=3)
    await store_past_runs(site.api.database, past)


def chart(page: Page, title: str) -> Locator:
    """A chart that is drawn, by its title."""
    heading = page.get_by_role("heading", name=title, exact=True)
    return page.locator('[data-chart="drawn"]').filter(has=heading)


async def fills(marks: Locator) -> set[str]:
    """The colours of marks as the screen has them."""
    found: list[str] = await marks.evaluate_all("all => all.map(one => getComputedStyle(one).fill)")
    return set(found)


async def test_charts_are_drawn_in_the_colours_of_the_page_with_their_figures(
    site: Site, screen: dict[str, Any]
) -> None:
    await a_history(site)
    page = await site.open("/analytics?range=7d", **screen)
    titles = ["Spend by day", "Ended runs by day and outcome", "Failures by day", "Duration by day"]

    for title in titles:
        drawn = chart(page, title)
        await expect(drawn.locator("svg.marks")).to_be_visible(timeout=DRAWN_MS)
        # What people have who cannot see it.
        await expect(drawn.get_by_role("img")).to_have_attribute(
            "aria-label", re.compile(r"From \d{4}-\d\d-\d\d to")
        )
        await drawn.get_by_text("Figures", exact=True).click()
        await expect(drawn.locator("tbody tr")).to_have_count(7)
    bars = chart(page, "Spend by day").locator(".mark-rect.role-mark path")
    assert await bars.count() >= 7
    # The page is as wide as the screen, and each chart as its place.
    assert await page.locator("html").evaluate("one => one.scrollWidth - one.clientWidth") == 0
    place = await chart(page, "Spend by day").locator(".chart-view").bounding_box()
    svg = await chart(page, "Spend by day").locator("svg.marks").bounding_box()
    assert place is not None
    assert svg is not None
    assert abs(place["width"] - svg["width"]) < 2
    assert await site.examine(page) == []

    # The other theme is seen at once, without another drawing.
    before = await fills(bars)
    await page.evaluate(
        "document.documentElement.dataset.theme = "
        f"'{'light' if screen['color_scheme'] == 'dark' else 'dark'}'"
    )
    assert await fills(bars) != before
    assert await site.examine(page) == []


async def test_the_history_is_told_apart_ordered_narrowed_and_exported(
    site: Site, tmp_path: Path
) -> None:
    await a_history(site)
    page = await site.open("/analytics", viewport={"width": 1280, "height": 900})
    table = page.locator("table.analytics")

    # The period is remembered when somebody comes back by the navigation.
    await page.get_by_label("Period").select_option("90d")
    await page.wait_for_url(re.compile("range=90d"))
    await page.get_by_role("link", name="Overview").click()
    await page.get_by_role("link", name="Analytics").click()
    await page.wait_for_url(re.compile("range=90d"))

    await page.get_by_label("Told apart by").get_by_role("link", name="Workflow").click()
    await expect(chart(page, "Duration").locator("svg.marks")).to_be_visible(timeout=DRAWN_MS)
    assert await chart(page, "Duration").locator(".mark-symbol.role-mark path").count() >= 2
    assert await site.examine(page) == []
    await table.get_by_role("link", name="Spend").click()
    await expect(table.locator("th[aria-sort=descending]")).to_contain_text("Spend")
    names = await table.locator("tbody th").all_inner_texts()

    async with page.expect_download() as started:
        await page.get_by_role("link", name="CSV").click()
    download = await started.value
    await download.save_as(tmp_path / "export.csv")
    text = (tmp_path / "export.csv").read_text("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["workflow"] for row in rows] == names
    spent = [float(row["reported_usd"]) + float(row["estimated_usd"]) for row in rows]
    assert spent == sorted(spent, reverse=True)

    # From a workflow to its days, and from a figure to its runs.
    await table.get_by_role("link", name=names[0], exact=True).click()
    await expect(page.get_by_role("link", name=f"workflow {names[0]}")).to_be_visible()
    await expect(chart(page, "Spend by day").locator("svg.marks")).to_be_visible(timeout=DRAWN_MS)
    row = table.locator("tbody tr").first
    count = await row.locator("td").first.inner_text()
    await row.locator("td a").first.click()
    await expect(page.get_by_role("heading", name=f"{count} run", exact=False)).to_be_visible()


async def test_without_the_chart_program_the_figures_are_there(site: Site) -> None:
    site.expected = ("503", "Failed to load resource")
    await a_history(site)
    page = await site.window()
    await page.goto(await site.link())
    await page.get_by_role("button", name="Sign in as").click()
    await page.wait_for_url(f"{site.url}/")
    await page.route("**/charts/*.js", lambda route: route.fulfill(status=503))

    await page.goto(f"{site.url}/analytics")

    failed = page.locator('[data-chart="failed"]').first
    await expect(failed.get_by_text("could not be drawn")).to_be_visible()
    await expect(failed.locator("tbody tr").first).to_be_visible()
    assert await site.examine(page) == []


async def test_an_empty_history_has_no_charts(site: Site) -> None:
    days = datetime.now(UTC).date() - timedelta(days=400)
    page = await site.open(f"/analytics?from={days}&to={days}")

    await expect(page.get_by_text("No run ended in these days")).to_be_visible()
    assert await page.locator("[data-chart]").count() == 0
    assert await site.examine(page) == []
