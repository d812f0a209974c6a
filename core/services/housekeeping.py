"""What is kept only for a while, cleared away."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta

from core.queue import jobs
from core.services.work import Work
from core.store.database import leadership
from core.store.fleet import workers
from core.store.slack import deliveries

# Slack sends an event again for up to 24 hours; a key has to be known for longer.
DELIVERIES_KEPT = timedelta(days=7)
# The engine's own record of a job; the run's row has everything that matters.
JOBS_KEPT = timedelta(days=7)
# Workers that went; their runs have their names on for ever.
WORKERS_KEPT = timedelta(days=7)
# The key of the advisory lock of the one process that keeps the clock; any constant will do.
_CLOCK_KEEPER = 0x5167_0002


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """How many of each were deleted."""

    deliveries: int
    jobs: int
    workers: int = 0


@dataclass(frozen=True)
class HousekeepingService:
    """Clears away."""

    work: Work

    async def clear(self) -> Cleared:
        """Delete what is past its time.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.work.clock()
        async with self.work.transaction() as session:
            return Cleared(
                deliveries=await deliveries.forget(session, before=now - DELIVERIES_KEPT),
                jobs=await jobs.forget(session, before=now - JOBS_KEPT),
                workers=await workers.forget(session, before=now - WORKERS_KEPT),
            )

    def leadership(self) -> AbstractAsyncContextManager[leadership.Leadership]:
        """Wait to be the one that keeps the clock; its `lost` event says when that is over."""
        return leadership.leadership(self.work.database.dsn, _CLOCK_KEEPER)
