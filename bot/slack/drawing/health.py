"""Tells the core how far what is shown in Slack is behind, so that somebody can be told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.slack.drawing.lag import DrawingLag
from bot.slack.drawing.notices import Notices
from bot.slack.ports import HealthStore
from core.domain.drawables import SlackHealth
from core.domain.errors import Unavailable

log = logging.getLogger(__name__)

# What is outdated for less is work in progress.
BEHIND_AFTER = timedelta(seconds=15)
_CHECK_EVERY = timedelta(seconds=5)
# While something is behind, it is written this often: silence means that nobody draws.
_WRITE_EVERY = timedelta(seconds=10)


@dataclass
class HealthReports:
    """Writes the row of this workspace while this process draws.

    Attributes:
        clock: The current time, in UTC.
    """

    store: HealthStore
    lag: DrawingLag
    notices: Notices
    team_id: str
    clock: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    # What an earlier process that drew has written is unknown.
    _was_behind: bool = True
    _written_at: datetime | None = None

    async def keep_reporting(self) -> None:
        """Write while something is behind, and once when nothing is any more; until cancelled."""
        self._was_behind, self._written_at = True, None
        # By then a backlog of an earlier process counts as one.
        await self.sleep(BEHIND_AFTER.total_seconds())
        while True:
            try:
                await self.report()
            except Unavailable as error:
                log.warning(
                    "how far Slack is behind cannot be stored: %s",
                    error,
                    extra={"event": "slack_health.write_failed"},
                )
            await self.sleep(_CHECK_EVERY.total_seconds())

    async def report(self) -> None:
        """Write what is to be known now, if anything is.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.clock()
        behind = timedelta(seconds=self.lag.oldest_seconds)
        is_behind = behind > BEHIND_AFTER
        if not is_behind and not self._was_behind:
            return
        is_fresh = self._written_at is not None and now - self._written_at < _WRITE_EVERY
        if is_behind and self._was_behind and is_fresh:
            return
        await self.store.record_health(
            SlackHealth(
                team_id=self.team_id,
                at=now,
                outdated=self.lag.outdated if is_behind else 0,
                oldest_at=now - behind if is_behind else None,
                refused=self.notices.given_up_count(),
                limited=tuple(sorted({limit.method for limit in self.notices.limits.current()})),
            )
        )
        self._was_behind, self._written_at = is_behind, now
