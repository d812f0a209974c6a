from __future__ import annotations

from typing import Any

from playwright.async_api import Page, expect

from core.domain.actor import Role
from core.domain.runs.run import StopReason
from core.store.runs import run_queries
from tests.browser.conftest import ONE_LOOP
from tests.browser.dashboard.scene import set_scene
from tests.browser.dashboard.site import Site

pytestmark = ONE_LOOP


def rows(page: Page) -> Any:
    return page.locator("#runs tbody tr")


async def test_filters_are_kept_over_navigation(site: Site, screen: dict[str, Any]) -> None:
    scene = await set_scene(site)
    page = await site.open("/runs", **screen)
    await expect(rows(page)).to_have_count(7)
    assert await site.examine(page) == []

    # Failed ones with one press, the range from a choice, and a text.
    await page.get_by_role("link", name="Failed", exact=True).click()
    await expect(rows(page)).to_have_count(2)
    await page.get_by_label("Requested in the last").select_option("7d")
    await page.wait_for_url("**/runs?**range=7d**")
    await page.get_by_label("Task or run id").fill("SETTINGS of")
    await page.keyboard.press("Enter")
    await expect(rows(page)).to_have_count(1)
    filtered = page.url
    assert await site.examine(page) == []

    # From the page of a run back to them.
    await rows(page).first.get_by_role("link", name=scene.limit.task_input).click()
    await page.locator(".crumbs").get_by_role("link", name="Runs").click()
    await expect(rows(page)).to_have_count(1)
    assert page.url == filtered

    # Elsewhere, the navigation leads back to them, and says so.
    await page.goto(f"{site.url}/")
    if await page.locator("#menu").is_visible():
        await page.locator("#menu").click()
    link = page.locator('.nav a[data-key="r"]')
    await expect(link).to_contain_text("filtered")
    await link.click()
    await expect(rows(page)).to_have_count(1)
    assert page.url == filtered
    await expect(rows(page).first).to_contain_text(scene.limit.run_id)

    await page.get_by_role("link", name="last 7d").click()
    await expect(page.get_by_role("link", name="last 7d")).to_have_count(0)
    await page.get_by_role("link", name="Reset all filters").click()
    await expect(rows(page)).to_have_count(7)
    await expect(page.locator(".nav .filtered")).to_have_count(0)


async def test_a_list_says_why_runs_are_late_and_follows_them(site: Site) -> None:
    scene = await set_scene(site)
    page = await site.open("/runs?status=pending&status=running")
    await expect(rows(page)).to_have_count(4)
    await expect(page.get_by_role("link", name="Live", exact=True)).to_have_attribute(
        "aria-current", "true"
    )
    queued = rows(page).filter(has_text=scene.queued.run_id)
    await expect(queued).to_contain_text("Waits for a free worker slot.")
    silent = rows(page).filter(has_text=scene.running.run_id)
    await expect(silent).to_contain_text("the model has not answered yet")

    # It is gone from the list of live runs when it ends, without loading the page again.
    await expect(page.locator("body")).to_have_attribute("data-live-state", "current")
    await scene.world.finish(scene.running, StopReason.NO_RESULT)

    await expect(rows(page)).to_have_count(3)


async def test_views_have_names_in_this_browser(site: Site) -> None:
    await set_scene(site)
    page = await site.open("/runs?status=failed&workflow=implement")
    await expect(rows(page)).to_have_count(2)

    await page.get_by_role("button", name="Save this view…").click()
    await page.get_by_label("Name").fill("Broken <i>features</i>")
    await page.get_by_role("button", name="Save", exact=True).click()
    saved = page.get_by_role("link", name="Broken <i>features</i>")
    await expect(saved).to_have_attribute("aria-current", "true")
    await page.goto(f"{site.url}/runs")
    await saved.click()
    await expect(rows(page)).to_have_count(2)
    assert await site.examine(page) == []

    await page.get_by_role("button", name="Delete the view Broken").click()
    await expect(saved).to_have_count(0)


async def test_several_runs_are_killed_after_one_confirmation(
    site: Site, screen: dict[str, Any]
) -> None:
    scene = await set_scene(site, role=Role.RUNNER)
    page = await site.open("/runs", role=Role.RUNNER, **screen)
    for run in (scene.running, scene.failed, scene.others):
        await page.get_by_label(f"Mark {run.run_id}").check()

    await page.get_by_role("button", name="Kill…").click()
    dialog = page.get_by_role("dialog")
    items = dialog.get_by_role("listitem")
    await expect(items.filter(has_text="tests & pages")).to_contain_text("It is killed.")
    await expect(items.filter(has_text="billing")).to_contain_text("has ended already")
    await expect(items.filter(has_text="release notes")).to_contain_text("somebody else's")
    assert await site.examine(page) == []
    await dialog.get_by_label("Reason").fill("wrong branch")
    await dialog.get_by_role("button", name="Kill 1").click()

    await expect(dialog.get_by_text("1 of 1 done.")).to_be_visible()
    await expect(items.filter(has_text="tests & pages")).to_contain_text("Kill requested")
    async with site.api.database.sessions() as session:
        wished = [
            (await run_queries.get(session, run.run_id)).kill_requested_at is not None
            for run in (scene.running, scene.failed, scene.others)
        ]
    assert wished == [True, False, False]
    await dialog.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="Clear marks").click()
    await expect(page.locator("#bulk")).to_be_hidden()


async def test_several_runs_are_continued_and_refusals_are_told(site: Site) -> None:
    # The browser tells of statuses that are not 200.
    site.expected = ("409", "403", "404", "400")
    scene = await set_scene(site)
    page = await site.open("/runs")
    await page.get_by_label(f"Mark {scene.limit.run_id}").check()
    await page.get_by_label(f"Mark {scene.failed.run_id}").check()
    await page.get_by_role("button", name="Continue…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_text("It continues in a new run.")).to_have_count(2)

    # One of them is continued by somebody else meanwhile.
    token = await site.api.token()
    path = "/workflows/claude-code/run/implement/continue"
    taken = await site.api.post(path, token, {"session_id": str(scene.failed.session_id)})
    assert taken.status == 200
    await dialog.get_by_role("button", name="Continue 2").click()

    await expect(dialog.get_by_text("1 of 2 done.")).to_be_visible()
    items = dialog.get_by_role("listitem")
    await expect(items.filter(has_text="mailer")).to_contain_text("Continues as run_")
    await expect(items.filter(has_text="billing").locator(".tone-failed")).to_contain_text(
        taken.body["run_id"]
    )
    async with site.api.database.sessions() as session:
        legs = await run_queries.legs_of_session(session, scene.limit.session_id)
    assert [leg.max_turns for leg in legs] == [60, 20]


async def test_older_pages_keep_filters_and_lead_back(site: Site) -> None:
    world = (await set_scene(site)).world
    for number in range(60):
        await world.ended_run(task_input=f"Task {number}", user_id=None)
    page = await site.open("/runs?q=Task&range=24h")
    await expect(rows(page)).to_have_count(50)

    await page.get_by_role("link", name="Older runs").click()
    await expect(rows(page)).to_have_count(10)
    await expect(page.get_by_label("Requested in the last")).to_have_value("24h")
    await page.get_by_role("link", name="Back").click()
    await expect(rows(page)).to_have_count(50)
    # By the keyboard.
    await page.locator("#main").focus()
    await page.keyboard.press("/")
    await expect(page.get_by_label("Task or run id")).to_be_focused()
