"""The present state of the fleet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from core.domain.actor import Action, Actor
from core.domain.fleet.workers import FleetSnapshot
from core.services.context import ServiceContext, require_permission
from core.store.fleet import workers

# A stopped worker stays in the list for so long, so that people can see what became of it.
GONE_WORKERS_SHOWN_FOR = timedelta(hours=1)


@dataclass(frozen=True)
class FleetService:
    """Reads the workers of the fleet."""

    context: ServiceContext

    async def workers(self, *, by: Actor) -> FleetSnapshot:
        """The present workers, and those that stopped a while ago.

        Raises:
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            return FleetSnapshot(
                at=now,
                workers=tuple(
                    await workers.list_recent(session, gone_since=now - GONE_WORKERS_SHOWN_FOR)
                ),
                pending_runs=await workers.count_pending_runs(session),
            )
