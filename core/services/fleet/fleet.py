"""The present state of the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from core.domain.actor import Action, Actor
from core.domain.fleet.workers import Caps, FleetSnapshot
from core.domain.runs.snapshot import RunSnapshot
from core.services.context import ServiceContext, require_permission
from core.services.runs import snapshots
from core.store.fleet import caps, pending, workers
from core.store.runs import run_queries

# A stopped worker stays in the list for so long, so that people can see what became of it.
GONE_WORKERS_SHOWN_FOR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class FleetQueue:
    """The runs that wait to start, in the order in which they will, as far as they were read.

    Attributes:
        caps: The caps of the fleet, which can hold runs back.
        is_whole: Whether all of them were read.
    """

    waiting: Sequence[RunSnapshot]
    caps: Caps
    is_whole: bool


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

    async def queue(self, *, by: Actor, limit: int) -> FleetQueue:
        """The first runs of the queue, each with what holds it back.

        A run that waits for the time of its next attempt is not in it.

        Raises:
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            positions = list(await pending.positions(session, limit=limit + 1))
            found = await run_queries.by_run_ids(session, positions[:limit])
            in_order = [found[run_id] for run_id in positions[:limit] if run_id in found]
            return FleetQueue(
                waiting=await snapshots.of_queued_page(session, in_order),
                caps=await caps.read(session),
                is_whole=len(positions) <= limit,
            )
