from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from core.domain.actor import Role
from core.domain.alerts.kinds import AlertKind
from core.store.alerts import subscriptions
from core.store.runs import run_queries
from core.store.sessions import sessions
from tests.browser.bot_page import WIDTHS
from tests.browser.conftest import ONE_LOOP
from tests.browser.dashboard.scene import set_scene
from tests.browser.dashboard.site import Site

pytestmark = ONE_LOOP

_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "look",
    [
        {**WIDTHS["phone"], "color_scheme": "light"},
        {**WIDTHS["phone"], "color_scheme": "dark"},
        {**WIDTHS["desktop"], "color_scheme": "light"},
        {**WIDTHS["desktop"], "color_scheme": "dark"},
    ],
    ids=["phone", "dark phone", "desktop", "dark desktop"],
)
async def test_every_list_can_be_used_by_everybody(site: Site, look: dict[str, Any]) -> None:
    scene = await set_scene(site, role=Role.ADMIN)
    alert = await scene.world.only(AlertKind.FAILED)
    await site.api.token("deploy")
    page = await site.open(role=Role.ADMIN, **look)

    for path, words in {
        "/": scene.waiting.task_input,
        "/sessions": scene.running.task_input,
        f"/sessions/{scene.limit.session_id}": scene.limit.run_id,
        "/alerts": "Run failed",
        f"/alerts/{alert.id}": "What happened",
        "/subscriptions": "C0123ABCD",
        "/subscriptions/new": "What to tell",
        "/workers": scene.queued.run_id,
        "/workflows": "implement",
        "/workflows/implement": "Instructions",
        "/audit": "Decisions",
        "/settings": "deploy",
    }.items():
        await page.goto(f"{site.url}{path}")
        await expect(page.locator("#main")).to_contain_text(words)
        assert await page.evaluate(_OVERFLOW) <= 0, path
        assert await site.examine(page) == [], path


async def test_alerts_are_acknowledged_and_snoozed_several_at_once(
    site: Site,
) -> None:
    scene = await set_scene(site)
    page = await site.open("/alerts")
    await expect(page.locator("body")).to_have_attribute("data-live-state", "current")
    failed = page.locator("#open tbody tr").filter(has_text="Run failed")
    silent = page.locator("#open tbody tr").filter(has_text=scene.running.task_input)
    await failed.get_by_role("checkbox").check()
    await silent.get_by_role("checkbox").check()

    await page.get_by_role("button", name="Still fine…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_text("is not about silence")).to_be_visible()
    await dialog.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="Acknowledge…").click()
    await dialog.get_by_role("button", name="Acknowledge 2").click()
    await expect(dialog.get_by_text("2 of 2 done.")).to_be_visible()
    await dialog.get_by_role("button", name="Close").click()
    # The page says so without being loaded again.
    await expect(failed).to_contain_text("acknowledged by Ada")

    await failed.get_by_role("link", name="Run failed").click()
    await page.get_by_role("button", name="Snooze…").click()
    await page.get_by_label("For", exact=True).select_option("4h")
    await page.get_by_role("button", name="Snooze", exact=True).click()
    await expect(page.locator("#alert")).to_contain_text("Snoozed by Ada")
    await page.goto(f"{site.url}/alerts?kind=failed&open=true")
    await expect(page.locator("#open tbody tr")).to_have_count(1)


async def test_subscriptions_are_made_changed_muted_and_ended(site: Site) -> None:
    # The browser tells of statuses that are not 200.
    site.expected = ("400",)
    site.api.channels.of_members["U0ADA"] = {"C0TEAM"}
    page = await site.open("/subscriptions")
    await page.get_by_role("link", name="Subscribe one").click()
    await page.get_by_label("Channel", exact=True).fill("C0TEAM")
    await page.locator("input[value=failed]").check()
    await page.get_by_label("Quiet hours").fill("late")
    await page.get_by_role("button", name="Subscribe", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("22:00-07:00")
    await page.get_by_label("Quiet hours").fill("22:00-07:00")
    await page.get_by_label("What has lasted for").select_option("900")
    await page.get_by_role("button", name="Subscribe", exact=True).click()

    await page.wait_for_url("**/subscriptions")
    row = page.get_by_role("listitem").filter(has_text="quiet 22:00-07:00")
    await expect(row).to_contain_text("what has lasted 15 min")
    await row.get_by_role("link", name="Change…").click()
    await expect(page.locator("input[value=failed]")).to_be_checked()
    await page.get_by_label("Quiet hours").fill("")
    await page.get_by_label("When an alert ends").check()
    await page.get_by_role("button", name="Save").click()
    await page.wait_for_url("**/subscriptions")
    await expect(page.locator(".subscription")).to_contain_text("ends shown in the channel")

    await page.get_by_role("button", name="Mute…").click()
    await page.get_by_role("button", name="Mute", exact=True).click()
    await expect(page.locator(".chip")).to_contain_text("muted until")
    await page.get_by_role("button", name="End the mute").click()
    await expect(page.get_by_role("button", name="Mute…")).to_be_visible()

    await page.get_by_role("button", name="End…").click()
    await page.get_by_role("button", name="End it").click()
    await expect(page.get_by_text("No channel is subscribed")).to_be_visible()
    async with site.api.database.sessions() as session:
        assert await subscriptions.active(session) == []


async def test_a_session_is_renamed_closed_opened_and_continued(site: Site) -> None:
    scene = await set_scene(site)
    page = await site.open(f"/sessions/{scene.limit.session_id}")

    await page.get_by_role("button", name="Rename…").click()
    await page.get_by_role("textbox", name="Name").fill("mailer")
    await page.get_by_role("button", name="Rename", exact=True).click()
    await expect(page.get_by_role("heading", name="mailer")).to_be_visible()
    await page.get_by_role("button", name="Close…").click()
    await page.get_by_role("button", name="Close it").click()
    await page.get_by_role("button", name="Open again").click()
    await expect(page.get_by_role("button", name="Close…")).to_be_visible()
    async with site.api.database.sessions() as session:
        found = await sessions.get(session, scene.limit.session_id)
    assert (found.name, found.is_open) == ("mailer", True)

    # The page of the run is not of this test.
    site.expected = ("404",)
    await page.get_by_role("button", name="Continue…").click()
    await page.get_by_label("More turns").fill("15")
    await page.get_by_label("Message to the agent").fill("Go on")
    await page.get_by_role("button", name="Continue", exact=True).click()
    await page.wait_for_url("**/runs/run_*")
    async with site.api.database.sessions() as session:
        legs = await run_queries.legs_of_session(session, scene.limit.session_id)
    assert [(leg.task_input, leg.max_turns) for leg in legs[1:]] == [("Go on", 15)]


async def test_the_audit_log_is_downloaded_and_a_browser_is_signed_out(site: Site) -> None:
    await set_scene(site, role=Role.ADMIN)
    page = await site.open("/audit", role=Role.ADMIN)
    await page.get_by_label("Action").select_option("subscribe")
    await page.wait_for_url("**/audit?action=subscribe")
    await expect(page.locator("#audit tbody tr")).to_have_count(1)
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Export as CSV").click()
    download = await downloading.value
    lines = (await _text_of(download.path())).splitlines()
    assert download.suggested_filename == "signalbox-audit.csv"
    assert [line.count("subscribe,allowed") for line in lines] == [0, 1]

    other = await site.open("/runs", name="U0BEN")
    await page.goto(f"{site.url}/settings")
    await expect(page.locator("#browsers tbody tr")).to_have_count(2)
    await page.locator("#browsers tbody tr").first.get_by_role("button").click()
    await expect(page.locator("#browsers tbody tr")).to_have_count(1)
    site.expected = ("401",)
    await _signed_out(other, site)


async def _text_of(path: Any) -> str:
    return (await path).read_text(encoding="utf-8-sig")  # type: ignore[no-any-return]


async def _signed_out(page: Page, site: Site) -> None:
    # What a request was admitted with counts for two seconds.
    await page.wait_for_timeout(2500)
    await page.goto(f"{site.url}/runs")
    await expect(page.get_by_text("Nobody is signed in here.")).to_be_visible()
