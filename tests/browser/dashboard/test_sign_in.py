from __future__ import annotations

import asyncio
from typing import Any

from playwright.async_api import expect

from core.domain.actor import Role
from tests.browser.conftest import ONE_LOOP
from tests.browser.dashboard.site import Site
from tests.limits import patient

pytestmark = ONE_LOOP


async def test_a_link_signs_a_browser_in_after_a_press(site: Site, screen: dict[str, Any]) -> None:
    page = await site.window(**screen)
    link = await site.link()

    await page.goto(link)
    # Looking at it signs nobody in.
    await page.goto(link)
    assert await site.examine(page) == []
    await page.get_by_role("button", name="Sign in as Ada").click()

    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    (cookie,) = await page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")


async def test_a_used_link_and_no_link_say_how_to_get_one(site: Site) -> None:
    # The browser tells of statuses that are not 200.
    site.expected = ("401",)
    page = await site.open()
    used = await site.link()
    await page.goto(used)
    await page.get_by_role("button", name="Sign in as").click()
    stranger = await site.window()

    await stranger.goto(used)
    await expect(stranger.get_by_text("used already")).to_be_visible()
    await stranger.goto(f"{site.url}/runs")
    await expect(stranger.get_by_text("/workflow dashboard")).to_be_visible()
    assert await site.examine(stranger) == []


async def test_signing_out_ends_the_session(site: Site) -> None:
    site.expected = ("401",)
    page = await site.open()
    (signed_in,) = await site.api.sign_ins.list_sessions(by=await site.member())

    await page.get_by_role("button", name="Sign out").click()

    await expect(page.get_by_text("Nobody is signed in here.")).to_be_visible()
    names = {cookie.get("name", "") for cookie in await page.context.cookies()}
    # It remembers the page to which a new link leads back.
    assert names <= {"signalbox_page"}
    assert await site.api.sign_ins.list_sessions(by=await site.member()) == []
    assert signed_in.browser.startswith("Mozilla/")


async def test_a_member_who_lost_their_role_is_told_so(site: Site) -> None:
    site.expected = ("403",)
    page = await site.open()
    site.api.members.roles["U0ADA"] = Role.NONE

    # What a request was admitted with counts for two seconds.
    async with asyncio.timeout(patient(30)):
        while (await page.goto(f"{site.url}/runs")).status != 403:  # type: ignore[union-attr]
            pass

    await expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()
