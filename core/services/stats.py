"""Statistics over a period."""

from __future__ import annotations

from dataclasses import dataclass

from core.domain.actor import Action, Actor
from core.domain.runs.stats import Period, Stats
from core.services.context import ServiceContext, require_permission
from core.store import stats


@dataclass(frozen=True)
class StatsService:
    """Reads the statistics of a period."""

    context: ServiceContext

    async def stats(self, period: Period, *, by: Actor) -> Stats:
        """Runs, spend and kills of the period that ends now.

        Raises:
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        until = self.context.clock()
        since = until - period.length
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            return Stats(
                period=period,
                since=since,
                until=until,
                runs=await stats.run_stats(session, since=since, until=until),
                kills=await stats.kill_stats(session, since=since, until=until),
            )
