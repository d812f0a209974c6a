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

CLEAN_UP_INTERVAL = timedelta(hours=1)
# How long a card can show a place in the line that is not right any more.
ADMISSION_INTERVAL = timedelta(seconds=2)
_RETRY_SECONDS = 1.0


@dataclass
class Scheduler:
    """A clock under the leader's lock.  It remembers nothing: the rows are the truth.

    Attributes:
        is_leading: Whether this process keeps the clock now.
    """

    housekeeping: HousekeepingService
    admission: AdmissionService
    clean_up_interval: timedelta = CLEAN_UP_INTERVAL
    admission_interval: timedelta = ADMISSION_INTERVAL
    is_leading: bool = False

    async def run(self) -> None:
        """Keep the clock whenever this process is the one to do it, until cancelled."""
        while True:
            try:
                async with self.housekeeping.leadership() as lead:
                    await self._run_until(lead.lost)
            except (Unavailable, OSError) as error:
                log.warning("the clock stopped: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _run_until(self, lost: asyncio.Event) -> None:
        scheduler = AsyncIOScheduler(timezone=UTC)
        scheduler.add_job(
            self._delete_expired,
            "interval",
            seconds=self.clean_up_interval.total_seconds(),
            next_run_time=datetime.now(UTC),
            # A tick that was missed is made up for once, however late.
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )
        scheduler.add_job(
            self._admit_waiting,
            "interval",
            seconds=self.admission_interval.total_seconds(),
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )
        scheduler.start()
        self.is_leading = True
        log.info("this process keeps the clock")
        try:
            await lost.wait()
        finally:
            self.is_leading = False
            scheduler.shutdown(wait=False)

    async def _admit_waiting(self) -> None:
        try:
            await self.admission.admit_waiting()
        except Unavailable as error:
            log.warning("the line of waiting runs was not looked at: %s", error)
        except asyncio.CancelledError:
            log.info("the look at the line was broken off; the next clock looks")

    async def _delete_expired(self) -> None:
        try:
            deleted = await self.housekeeping.delete_expired()
        except Unavailable as error:
            log.warning("nothing was cleared away: %s", error)
            return
        except asyncio.CancelledError:
            # The clock is shut down in mid-tick.  Here the task ends: passed on, APScheduler
            # would log it as a failure, with a traceback.
            log.info("clearing away was broken off; the next clock does it")
            return
        if deleted.deliveries or deleted.jobs:
            log.info("cleared away %s deliveries, %s jobs", deleted.deliveries, deleted.jobs)
