"""What happens by the clock: in one process of the fleet at a time, whoever leads."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.domain.errors import Unavailable
from core.services.admission import AdmissionService
from core.services.housekeeping import HousekeepingService

log = logging.getLogger(__name__)

CLEAR_EVERY = timedelta(hours=1)
# How long a card can show a place in the line that is not right any more.
LINE_EVERY = timedelta(seconds=2)
_AFTER_LOSS = 1.0


@dataclass
class Scheduler:
    """A clock under the leader's lock.  It remembers nothing: the rows are the truth.

    Attributes:
        is_leading: Whether this process keeps the clock now.
    """

    housekeeping: HousekeepingService
    admission: AdmissionService
    clear_every: timedelta = CLEAR_EVERY
    line_every: timedelta = LINE_EVERY
    is_leading: bool = False

    async def run(self) -> None:
        """Keep the clock whenever this process is the one to do it, until cancelled."""
        while True:
            try:
                async with self.housekeeping.leadership() as lead:
                    await self._tick_until(lead.lost)
            except (Unavailable, OSError) as error:
                log.warning("the clock stopped: %s", error)
            await asyncio.sleep(_AFTER_LOSS)

    async def _tick_until(self, lost: asyncio.Event) -> None:
        clock = AsyncIOScheduler(timezone=UTC)
        clock.add_job(
            self._clear,
            "interval",
            seconds=self.clear_every.total_seconds(),
            next_run_time=datetime.now(UTC),
            # A tick that was missed is made up for once, however late.
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )
        clock.add_job(
            self._keep_line,
            "interval",
            seconds=self.line_every.total_seconds(),
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )
        clock.start()
        self.is_leading = True
        log.info("this process keeps the clock")
        try:
            await lost.wait()
        finally:
            self.is_leading = False
            clock.shutdown(wait=False)

    async def _keep_line(self) -> None:
        try:
            await self.admission.keep()
        except Unavailable as error:
            log.warning("the line of waiting runs was not looked at: %s", error)
        except asyncio.CancelledError:
            log.info("the look at the line was broken off; the next clock looks")

    async def _clear(self) -> None:
        try:
            cleared = await self.housekeeping.clear()
        except Unavailable as error:
            log.warning("nothing was cleared away: %s", error)
            return
        except asyncio.CancelledError:
            # The clock is shut down in mid-tick.  Here the task ends: passed on, APScheduler
            # would log it as a failure, with a traceback.
            log.info("clearing away was broken off; the next clock does it")
            return
        if cleared.deliveries or cleared.jobs:
            log.info("cleared away %s deliveries, %s jobs", cleared.deliveries, cleared.jobs)
