"""The page of a run in a browser: how it reads, and how it follows the run."""

from __future__ import annotations

import re
from typing import Any

from playwright.async_api import expect

from core.domain.runs.run import StopReason
from tests.browser.conftest import ONE_LOOP
from tests.browser.dashboard.site import Site
from tests.run_story import RunStory, recently

pytestmark = ONE_LOOP

_PLAN = ("Read the code", "Write the bucket", "Cover it with tests")
_HOSTILE = '<img src=x onerror="document.title=1"> \u202e</textarea><script>alert(1)</script>'


async def test_a_page_with_everything_reads_well(site: Site, screen: dict[str, Any]) -> None:
    told = RunStory(site.api.database, recently(hours=5), task=_HOSTILE)
    for number, message in enumerate([None, _HOSTILE * 20, _HOSTILE], start=1):
        leg = await told.leg(message)
        await told.calls(leg, 120)
        await told.plan(leg, [*_PLAN, _HOSTILE, "x" * 400], done=number)
        await told.checkpoint(leg, _HOSTILE)
        if number < 3:
            await told.end(leg, StopReason.MAX_TURNS, result=_HOSTILE)
            told.wait(hours=1)
    run = await told.newest()
    await told.kill(run, _HOSTILE)
    await told.end(run, StopReason.KILLED, result=_HOSTILE, error_message=_HOSTILE)

    page = await site.open(f"/runs/{run.run_id}", **screen)

    await expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x")
    await page.get_by_text("The same as tables").click()
    await expect(page.get_by_role("table", name="Legs, attempts and steps")).to_be_visible()
    await expect(page.get_by_role("row", name=re.compile("^Bash .*120"))).to_be_visible()
    assert await site.examine(page) == []
    width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0
    # The bar of the page leads to its parts.
    await page.get_by_role("navigation", name="Parts of this page").get_by_text("Kills").click()
    await expect(page.locator("#terminations")).to_be_in_viewport()
    assert page.url.endswith("#terminations")


async def test_a_page_follows_its_run_and_leaves_alone_what_a_person_does(site: Site) -> None:
    told = RunStory(site.api.database, recently(minutes=4), user_id=(await site.member()).user_id)
    run = await told.leg()
    await told.plan(run, _PLAN, done=0)
    page = await site.open(f"/runs/{run.run_id}")
    await page.get_by_role("button", name="Kill…").click()
    await page.get_by_label("Why?").fill("half a reas")

    await told.calls(run, 8)
    await told.plan(run, _PLAN, done=1)

    head = page.locator("#head")
    await expect(head).to_contain_text("4/60")
    await expect(page.locator("#timeline")).to_contain_text("Commands")
    # The dialog is open still, and has what was typed.
    await expect(page.get_by_label("Why?")).to_have_value("half a reas")
    await page.get_by_role("button", name="Let it run").click()
    await told.end(run, StopReason.SUCCESS, result="## Done\n- all of it")

    await expect(head).to_contain_text("Took")
    await expect(page.locator("#overview").get_by_role("listitem")).to_have_text("all of it")
    await expect(page.get_by_role("button", name="Kill…")).to_have_count(0)
    await expect(page).to_have_title("Completed: Add rate limiting to the API · Signalbox")
    # What has ended is followed, too: it can go on.
    again = await site.open(f"/runs/{run.run_id}")
    await again.get_by_role("button", name="Continue…").click()
    await again.get_by_role("dialog").get_by_role("button", name="Continue").click()
    await again.wait_for_url(lambda url: run.run_id not in url)


async def test_a_page_connects_again_and_shows_what_happened_meanwhile(site: Site) -> None:
    site.expected = ("ERR_INTERNET_DISCONNECTED", "net::ERR")
    told = RunStory(site.api.database, recently(minutes=4))
    run = await told.leg()
    page = await site.open(f"/runs/{run.run_id}")
    await expect(page.locator("body")).to_have_attribute("data-live-state", "current")

    await page.context.set_offline(True)
    # A connection that is open outlasts that.
    for place in list(site.api.gate._places):
        place.stop()
    await expect(page.locator("#connection")).to_contain_text("The connection was lost")
    await told.calls(run, 8)
    await page.context.set_offline(False)

    await expect(page.locator("#head")).to_contain_text("4/60")
    await expect(page.locator("#connection")).to_be_hidden()
