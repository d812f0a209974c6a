"""A browser that signs in to the dashboard, as far as a test without pages needs one."""

from __future__ import annotations

import aiohttp


async def sign_in(link: str) -> str:
    """Open a link as a browser does, and press; returns the page that follows."""
    base, _, key = link.strip().partition("/sign-in?key=")
    # Browsers keep cookies of an address without a name, too.
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        async with browser.get(f"{base}/sign-in?key={key}") as asked:
            assert "Sign in as" in await asked.text()
        headers = {"Origin": base}
        async with browser.post(f"{base}/sign-in", data={"key": key}, headers=headers) as page:
            assert page.status == 200
            return await page.text()
