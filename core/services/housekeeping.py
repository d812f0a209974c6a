"""Housekeeping: deletion of expired rows."""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.retention import DEFAULT_RETENTION, RetentionPolicy
from core.queue import jobs
from core.services.context import ServiceContext
from core.services.feed import RETENTION as FEED_RETENTION
from core.store import changes, sign_ins
from core.store.alerts import episodes, expired
from core.store.database import leadership
from core.store.database.advisory_locks import AdvisoryLock
from core.store.fleet import home_disks, worker_messages, workers, workspaces
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
# Long enough to see later which browsers were signed in.
SIGN_IN_RETENTION = timedelta(days=30)
# Rows of workspaces that are gone, and of disks that no worker has any more.
WORKSPACE_RETENTION = timedelta(days=30)

# The trends look back eight weeks; a year later one can still compare with the year before.
RUN_DAY_RETENTION = timedelta(days=400)
# So many rows are deleted in one transaction, which takes milliseconds.
_BATCH = 500


class DeleteBatch(Protocol):
    """Deletes a limited number of rows that are older than a time, and returns how many."""

    async def __call__(self, session: AsyncSession, *, before: datetime, limit: int) -> int:
        """Delete some."""
        ...


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
    workspaces: int = 0
    home_disks: int = 0
    sign_ins: int = 0


@dataclass(frozen=True)
class HousekeepingService:
    """Deletes expired rows.

    Attributes:
        batch: How many rows about alerts one transaction deletes at most.
        retention: How long alerts and digests are kept.
    """

    context: ServiceContext
    batch: int = _BATCH
    retention: RetentionPolicy = DEFAULT_RETENTION

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
                workspaces=await workspaces.delete_gone(session, before=now - WORKSPACE_RETENTION),
                home_disks=await home_disks.delete_unreported(
                    session, before=now - WORKSPACE_RETENTION
                ),
                sign_ins=await sign_ins.delete_old(session, now=now, keep=SIGN_IN_RETENTION),
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
        deleted = DeletedAlertCounts(
            alerts=await self._delete_old(now, self.retention.alerts, episodes.delete_ended),
            groups=await self._delete_old(now, self.retention.alerts, expired.delete_empty_groups),
            digests=await self._delete_old(now, self.retention.digests, expired.delete_digests),
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

    async def _delete_old(
        self, now: datetime, length: timedelta | None, delete: DeleteBatch
    ) -> int:
        """Delete batches, each in a transaction of its own, until one is not full."""
        if length is None:
            return 0
        total = 0
        while True:
            async with self.context.transaction() as session:
                deleted = await delete(session, before=now - length, limit=self.batch)
            total += deleted
            if deleted < self.batch:
                return total

    async def _delete_days(self, before: date) -> int:
        async with self.context.transaction() as session:
            return await expired.delete_run_days(session, before=before)

    def leadership(self) -> AbstractAsyncContextManager[leadership.Leadership]:
        """Wait until this process leads the clock jobs; the `lost` event says when that ends."""
        return leadership.leadership(self.context.database.dsn, AdvisoryLock.SCHEDULER)
