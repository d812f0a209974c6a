"""Finds what a person sees, by role and label."""

from __future__ import annotations

from playwright.async_api import Locator, Page


def feed(page: Page, channel: str = "builds") -> Locator:
    return page.get_by_role("list", name=f"Messages in #{channel}")


def thread(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Thread")


def message(where: Page | Locator, text: str) -> Locator:
    return where.get_by_role("article").filter(has_text=text)


async def write(page: Page, text: str, *, channel: str = "builds") -> None:
    box = page.get_by_role("textbox", name=f"Message #{channel}")
    await box.fill(text)
    await box.press("Enter")


async def reply(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="Reply in thread")
    await box.fill(text)
    await box.press("Enter")
