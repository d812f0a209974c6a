"""Housekeeping: deletion of expired rows."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from datetime import date, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from core.queue import jobs
from core.services.context import ServiceContext
from core.services.feed import RETENTION as FEED_RETENTION
from core.store import changes
from core.store.alerts import episodes, expired
from core.store.database import leadership
from core.store.database.advisory_locks import AdvisoryLock
from core.store.fleet import worker_messages, workers
from core.store.slack import deliveries

log = logging.getLogger(__name__)

# Longer than the 24 hours for which Slack may send an event again.
DELIVERY_RETENTION = timedelta(days=7)
# Finished jobs of the engine; the run's row has everything that matters later.
JOB_RETENTION = timedelta(days=7)
# Stopped workers; their runs keep the worker's id for ever.
WORKER_RETENTION = timedelta(days=7)
# Workers read their messages within seconds; later they only help to investigate a kill.
MESSAGE_RETENTION = timedelta(days=1)


ALERT_RETENTION = timedelta(days=90)
DIGEST_RETENTION = timedelta(days=365)
# The trends look back eight weeks; a year later one can still compare with the year before.
RUN_DAY_RETENTION = timedelta(days=400)
# So many rows are deleted in one transaction, which takes milliseconds.
_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class DeletedAlertCounts:
    """The numbers of deleted rows about alerts."""

    alerts: int
    groups: int
    digests: int
    run_days: int


@dataclass(frozen=True, kw_only=True)
class DeletedCounts:
    """The numbers of deleted rows."""

    deliveries: int
    jobs: int
    workers: int = 0
    worker_messages: int = 0
    changes: int = 0


@dataclass(frozen=True)
class HousekeepingService:
    """Deletes expired rows.

    Attributes:
        batch: How many rows about alerts one transaction deletes at most.
    """

    context: ServiceContext
    batch: int = _BATCH

    async def delete_expired(self) -> DeletedCounts:
        """Delete all rows that have expired.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        async with self.context.transaction() as session:
            deleted = DeletedCounts(
                deliveries=await deliveries.delete_received_before(
                    session, before=now - DELIVERY_RETENTION
                ),
                jobs=await jobs.delete_finished(session, before=now - JOB_RETENTION),
                workers=await workers.delete_gone(session, before=now - WORKER_RETENTION),
                worker_messages=await worker_messages.delete_sent_before(
                    session, before=now - MESSAGE_RETENTION
                ),
                changes=await changes.delete_older(session, age=FEED_RETENTION),
            )
        if deleted.deliveries or deleted.jobs:
            log.info(
                "deleted %s old deliveries, %s old jobs",
                deleted.deliveries,
                deleted.jobs,
                extra={"event": "expired_rows.deleted", **asdict(deleted)},
            )
        return deleted

    async def delete_old_alerts(self) -> DeletedAlertCounts:
        """Delete what alerts and digests have left behind, in many short transactions.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        old = now - ALERT_RETENTION
        deleted = DeletedAlertCounts(
            alerts=await self._delete(
                lambda session: episodes.delete_ended(session, before=old, limit=self.batch)
            ),
            groups=await self._delete(
                lambda session: expired.delete_empty_groups(session, before=old, limit=self.batch)
            ),
            digests=await self._delete(
                lambda session: expired.delete_digests(
                    session, before=now - DIGEST_RETENTION, limit=self.batch
                )
            ),
            run_days=await self._delete_days((now - RUN_DAY_RETENTION).date()),
        )
        if any(asdict(deleted).values()):
            log.info(
                "deleted %s old alerts, %s digests",
                deleted.alerts,
                deleted.digests,
                extra={"event": "old_alerts.deleted", **asdict(deleted)},
            )
        return deleted

    async def _delete(self, batch: Callable[[AsyncSession], Awaitable[int]]) -> int:
        """Delete batches, each in a transaction of its own, until one is not full."""
        total = 0
        while True:
            async with self.context.transaction() as session:
                deleted = await batch(session)
            total += deleted
            if deleted < self.batch:
                return total

    async def _delete_days(self, before: date) -> int:
        async with self.context.transaction() as session:
            return await expired.delete_run_days(session, before=before)

    def leadership(self) -> AbstractAsyncContextManager[leadership.Leadership]:
        """Wait until this process leads the clock jobs; the `lost` event says when that ends."""
        return leadership.leadership(self.context.database.dsn, AdvisoryLock.SCHEDULER)
