"""A process whose parts were started, as others see it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot.assembly.backend import Backend
from bot.assembly.web.dashboard_links import DashboardLinks
from bot.web.health import Health

_POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class RunningApp:
    """A process whose parts were started.

    Attributes:
        url: The base URL of its web server.
    """

    url: str
    backend: Backend
    health: Health
    dashboard: DashboardLinks

    async def wait_until_ready(self) -> None:
        """Return when every part works; the caller sets the limit."""
        # Health has no event to wait for, so it is polled.
        while not await self.health.is_ready():  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
