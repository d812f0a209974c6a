"""The log page in a browser: a long log in one scroll area, search, links, and new lines."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import pairwise
from typing import Any

from playwright.async_api import Page, expect

from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run, StopReason
from core.store import events
from core.store.runs import runs
from tests.browser.bot_page import WIDTHS
from tests.browser.conftest import ONE_LOOP
from tests.browser.dashboard.site import Site
from tests.database import NOW, running_run

pytestmark = ONE_LOOP

COLOURED = (
    "\x1b[31mFAILED\x1b[0m \x1b[38;5;208mtests\x1b[0m \x1b[41;97mon red\x1b[0m \x1b[7mturned\x1b[0m"
)
LONG = "\n".join(f"output {number}" for number in range(40))


def record(number: int) -> EventRecord:
    at = NOW + timedelta(seconds=number)
    match number % 4:
        case 0:
            words = " ".join(["I look at the next file"] * (1 + number % 17))
            return EventRecord(kind=EventKind.AGENT_TEXT, at=at, data={"text": f"{words} {number}"})
        case 1:
            data = {"name": "Bash", "summary": f"pytest -x {number}"}
            return EventRecord(kind=EventKind.TOOL_STARTED, at=at, data=data)
        case 2:
            output = LONG if number % 8 == 2 else COLOURED
            result = {"error": number % 8 != 2, "output": f"{output}\nneedle-{number}"}
            return EventRecord(kind=EventKind.TOOL_FINISHED, at=at, data=result)
        case _:
            return EventRecord(kind=EventKind.AGENT_TEXT, at=at, data={"text": f"Line {number}."})


async def add(site: Site, run: Run, numbers: range) -> None:
    async with site.api.database.sessions.begin() as session:
        await events.append(session, run.id, 1, [record(number) for number in numbers])
        await runs.change(session, run.run_id, attempt=1, now=NOW, turns=numbers.stop)


async def ended(site: Site, lines: int) -> Run:
    run = await running_run(site.api.database)
    await add(site, run, range(lines))
    async with site.api.database.sessions.begin() as session:
        await runs.finish(session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW)
    return run


async def open_log(site: Site, run: Run, rest: str = "", **context: Any) -> Page:
    page = await site.open(f"/runs/{run.run_id}/log{rest}", **context)
    await expect(page.locator(".log")).to_have_attribute("data-ready", "yes")
    return page


async def test_a_long_log_is_read_in_one_scroll_area(site: Site, screen: dict[str, Any]) -> None:
    run = await ended(site, 3001)
    page = await open_log(site, run, **screen)
    rows, area = page.locator(".ll[data-line]"), page.locator("[data-area]")

    await expect(page.locator('[data-line="1"]')).to_contain_text("I look at the next file")
    assert await site.examine(page) == []
    assert await rows.count() < 120
    await area.evaluate("area => { area.scrollTop = area.scrollHeight; }")
    await expect(page.locator('[data-line="3001"]')).to_be_in_viewport()
    assert await rows.count() < 120
    # Lines follow each other without gaps, however high they are.
    tops = await page.evaluate(
        """() => [...document.querySelectorAll(".ll[data-line]")].map((row) =>
            [Number(row.dataset.line), row.getBoundingClientRect().top,
             row.getBoundingClientRect().bottom])"""
    )
    for (line, _, bottom), (next_line, top, _) in pairwise(tops):
        assert (next_line, round(top)) == (line + 1, round(bottom))
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_nothing_is_new_in_the_log_of_an_ended_run(site: Site) -> None:
    page = await open_log(site, await ended(site, 400))

    await expect(page.locator("[data-line]").first).to_be_visible()
    await expect(page.locator("[data-more]")).to_be_hidden()


async def test_search_steps_through_hits_and_opens_what_is_folded(site: Site) -> None:
    run = await ended(site, 3001)
    page = await open_log(site, run, **WIDTHS["desktop"])

    await page.keyboard.press("/")
    await page.keyboard.type("NEEDLE-2")
    status = page.locator("[data-hits]")
    await expect(status).to_have_text("1 of 278")
    first = page.locator('[data-line="3"]')
    await expect(first).to_have_class(re.compile("is-hit"))
    # The word is among the lines that were folded.
    await expect(first.locator("details")).to_have_attribute("open", "")
    await page.keyboard.press("Escape")
    await page.keyboard.press("n")
    await expect(status).to_have_text("2 of 278")
    await expect(page.locator('[data-line="23"]')).to_be_in_viewport()
    await page.keyboard.press("Shift+N")
    await page.keyboard.press("Shift+N")
    await expect(status).to_have_text("278 of 278")
    await expect(page.locator('[data-line="2999"]')).to_be_in_viewport()
    assert await page.evaluate("CSS.highlights.get('log-hit').size") > 0
    await page.fill("[data-search]", "nothing of this kind")
    await expect(status).to_have_text("no hits")


async def test_links_lead_to_lines_and_filters_keep_their_numbers(site: Site) -> None:
    run = await ended(site, 3001)
    page = await open_log(site, run, "#L1503", **WIDTHS["phone"])
    target = page.locator('[data-line="1503"]')

    await expect(target).to_be_in_viewport()
    await expect(target).to_have_class(re.compile("is-marked"))
    await page.locator('[data-line="1504"] .ln').click(modifiers=["Shift"])
    await expect(page).to_have_url(re.compile(r"#L1503-L1504$"))
    await page.get_by_role("link", name="Failures").click()
    await expect(page.locator(".log")).to_have_attribute("data-show", "failed")
    await expect(page.locator('[data-line="7"]')).to_be_in_viewport()
    await expect(page.locator('[data-line="3"]')).to_have_count(0)
    # A line that the filter leaves out: the next one that it shows.
    await page.evaluate("location.hash = '#L1505'")
    await expect(page.locator('[data-line="1511"]')).to_be_in_viewport()


async def test_colours_and_times_are_drawn_without_styles_in_html(site: Site) -> None:
    run = await ended(site, 20)
    page = await open_log(site, run, **WIDTHS["desktop"], color_scheme="dark")
    line = page.locator('[data-line="7"]')

    await expect(line.get_by_text("FAILED", exact=True)).to_have_css("color", "rgb(222, 89, 89)")
    await expect(line.get_by_text("tests", exact=True)).to_have_css("color", "rgb(255, 135, 0)")
    await expect(line.get_by_text("on red")).to_have_css("background-color", "rgb(205, 0, 0)")
    await page.get_by_role("button", name="Elapsed").click()
    await expect(line.locator(".la")).to_have_text("+00:06")
    await page.reload()
    await expect(page.locator('[data-line="7"] .la')).to_have_text("+00:06")


async def test_new_lines_are_followed_until_the_person_scrolls_up(site: Site) -> None:
    run = await running_run(site.api.database)
    await add(site, run, range(300))
    page = await open_log(site, run, **WIDTHS["desktop"])
    area, more = page.locator("[data-area]"), page.locator("[data-more]")
    await expect(page.locator("body")).to_have_attribute("data-live-state", "current")
    await expect(page.locator('[data-line="300"]')).to_be_in_viewport()

    await add(site, run, range(300, 450))
    await expect(page.locator('[data-line="450"]')).to_be_in_viewport()
    await expect(more).to_be_hidden()
    await area.hover()
    await page.mouse.wheel(0, -1500)
    await expect(page.locator('[data-line="450"]')).not_to_be_in_viewport()
    await add(site, run, range(450, 457))
    await expect(more).to_have_text("↓ 7 new lines")
    await expect(page.locator('[data-line="457"]')).to_have_count(0)
    await more.click()

    await expect(page.locator('[data-line="457"]')).to_be_in_viewport()
    await expect(more).to_be_hidden()


async def test_an_opened_fold_stays_open_and_other_lines_move(site: Site) -> None:
    run = await ended(site, 600)
    page = await open_log(site, run, **WIDTHS["desktop"])
    fold = page.locator('[data-line="3"] details')

    await fold.locator("summary").click()
    await expect(fold.get_by_text("output 39")).to_be_visible()
    area = page.locator("[data-area]")
    await area.evaluate("area => { area.scrollTop = area.scrollHeight; }")
    await expect(fold).to_have_count(0)
    await area.evaluate("area => { area.scrollTop = 0; }")

    await expect(fold).to_have_attribute("open", "")


async def test_a_log_without_lines_says_so(site: Site) -> None:
    run = await running_run(site.api.database)
    page = await open_log(site, run, **WIDTHS["phone"])

    await expect(page.get_by_text("No lines yet.")).to_be_visible()
    assert await site.examine(page) == []
    await add(site, run, range(3))
    await expect(page.locator('[data-line="3"]')).to_be_visible()
    await expect(page.get_by_text("No lines yet.")).to_be_hidden()
