"""One bot's clock in a process of its own: `python -m tests.alerts.clock_process DSN NAME`."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from core.runner.alert_hints import AlertHints
from core.runner.clock import Clock, ClockJob
from core.services.alerts.evaluation import AlertEvaluation
from core.services.context import ServiceContext
from core.services.feed import FeedService
from core.services.housekeeping import HousekeepingService
from core.store.database.engine import Database, open_database

FIRING_EVERY = timedelta(seconds=0.05)
EVALUATION_EVERY = timedelta(seconds=0.4)
# A job as the clock's jobs are: what is due stands in rows, and is done in their transaction.
_FIRE = text(
    """
    UPDATE handover_firings SET times = times + 1, done_by = :name
    WHERE number = (
        SELECT number FROM handover_firings WHERE times = 0 AND due_at <= now()
        ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    """
)


def utc_now() -> datetime:
    return datetime.now(UTC)


def firing_job(database: Database, name: str) -> ClockJob:
    async def fire() -> None:
        async with database.sessions.begin() as session:
            await session.execute(_FIRE, {"name": name})

    return ClockJob(name="fire", every=FIRING_EVERY, act=fire)


async def main(dsn: str, name: str) -> None:
    async with open_database(dsn, pool_size=4) as database:
        context = ServiceContext(database, utc_now)
        evaluation = ClockJob(
            name="evaluate alerts",
            every=EVALUATION_EVERY,
            act=AlertEvaluation(context).evaluate,
            is_due_at_start=True,
            hints=AlertHints(FeedService(context)),
        )
        leadership = HousekeepingService(context).leadership
        await Clock(leadership, (evaluation, firing_job(database, name))).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
