from __future__ import annotations

from typing import Any

from playwright.async_api import expect

from core.domain.actor import Role
from core.domain.runs.run import StopReason
from tests.browser.conftest import ONE_LOOP
from tests.browser.dashboard.scene import set_scene
from tests.browser.dashboard.site import Site

pytestmark = ONE_LOOP


async def test_what_needs_a_person_comes_first_and_is_followed(
    site: Site, screen: dict[str, Any]
) -> None:
    scene = await set_scene(site)
    page = await site.open("/", **screen)
    needs, live = page.locator("#needs li"), page.locator("#live tbody tr")
    await expect(page.locator("body")).to_have_attribute("data-live-state", "current")

    await expect(needs.first).to_contain_text("Waiting for an approval")
    # Told once, though there is an alert about it, too.
    await expect(needs.filter(has_text=scene.waiting.task_input)).to_have_count(1)
    await expect(needs.filter(has_text="Run failed")).to_have_count(1)
    await expect(needs.filter(has_text="Nothing is heard of a run")).to_have_count(2)
    await expect(live).to_have_count(4)
    await expect(page.locator("#today")).to_contain_text("$1.76")
    assert await site.examine(page) == []

    # A person answers, and a run fails, without the page being loaded again.
    await scene.world.change(scene.waiting, waiting_on=None)
    await scene.world.hear(scene.waiting)
    await scene.world.finish(scene.running, StopReason.API_ERROR)
    await scene.world.evaluate()

    await expect(needs.filter(has_text=scene.waiting.task_input)).to_have_count(0)
    await expect(needs.filter(has_text="Run failed")).to_have_count(2)
    await expect(live).to_have_count(3)


async def test_an_installation_at_rest_says_so(site: Site) -> None:
    page = await site.open("/", role=Role.VIEWER)

    await expect(page.get_by_text("Nothing needs a person")).to_be_visible()
    await expect(page.get_by_text("Nothing runs")).to_be_visible()
    await expect(page.get_by_role("link", name="Start a run…")).to_have_count(0)
    assert await site.examine(page) == []
