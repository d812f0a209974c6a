"""The fleet as it stands, for whoever may look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from core.domain.actor import Action, Actor
from core.domain.fleet.workers import FleetView
from core.services.work import Work, demand
from core.store.fleet import workers

# A worker that went is listed for so long: who looks wants to know what became of it.
GONE_SHOWN = timedelta(hours=1)


@dataclass(frozen=True)
class FleetService:
    """Who executes runs."""

    work: Work

    async def workers(self, *, by: Actor) -> FleetView:
        """The workers there are, and those that went a while ago.

        Raises:
            Refused: If the person may not look.
            Unavailable: If the database cannot be reached.
        """
        now = self.work.clock()
        async with self.work.transaction() as session:
            demand(by, Action.VIEW)
            return FleetView(
                at=now,
                workers=tuple(await workers.listed(session, gone_since=now - GONE_SHOWN)),
                waiting=await workers.waiting(session),
            )
