"""The dashboard on a real database, in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.api import open_api
from tests.browser.bot_page import WIDTHS
from tests.browser.dashboard.site import Site
from tests.database import emptied_database


@pytest_asyncio.fixture(loop_scope="session")
async def site(browser: Browser, postgres_dsn: str) -> AsyncIterator[Site]:
    """A dashboard.  Errors on its pages, and requests to other hosts, fail the test."""
    async with (
        emptied_database(postgres_dsn) as database,
        open_api(database, public_url=None) as api,
    ):
        opened = Site(api, browser)
        try:
            yield opened
        finally:
            await opened.close()
    assert opened.problems == []


_SCREENS = ("phone", "dark phone", "desktop", "dark desktop")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Use all screens; `make test` draws one for each test."""
    if "screen" in metafunc.fixturenames:
        one = pytest.mark.sampled(1)
        metafunc.parametrize(
            "screen", [pytest.param(screen, marks=one) for screen in _SCREENS], indirect=True
        )


@pytest.fixture
def screen(request: pytest.FixtureRequest) -> dict[str, Any]:
    """How large the screen is, and whether it is light or dark."""
    size = WIDTHS[str(request.param).removeprefix("dark ")]
    scheme = "dark" if str(request.param).startswith("dark") else "light"
    return {**size, "color_scheme": scheme}
