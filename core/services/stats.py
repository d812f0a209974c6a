"""Figures over a period, for whoever may look."""

from __future__ import annotations

from dataclasses import dataclass

from core.domain.actor import Action, Actor
from core.domain.runs.stats import Period, Stats
from core.services.work import Work, demand
from core.store import stats


@dataclass(frozen=True)
class StatsService:
    """What the rows of a period add up to."""

    work: Work

    async def stats(self, period: Period, *, by: Actor) -> Stats:
        """Runs, spend and kills of the period that ends now.

        Raises:
            Refused: If the person may not look.
            Unavailable: If the database cannot be reached.
        """
        until = self.work.clock()
        since = until - period.length
        async with self.work.transaction() as session:
            demand(by, Action.VIEW)
            return Stats(
                period=period,
                since=since,
                until=until,
                runs=await stats.of_runs(session, since=since, until=until),
                kills=await stats.of_kills(session, since=since, until=until),
            )
