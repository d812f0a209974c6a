"""Deliveries from outside, each handled once, none lost with the process that took it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from core.services.context import ServiceContext
from core.store.slack import deliveries

# A bot says every 2 s of what it handles that it still does; one that has said nothing for
# this long is dead or stands still.  With a look every 2 s, a kill that it had acknowledged
# is taken up within the 10 s that a kill may take.
ABANDONED_AFTER = timedelta(seconds=6)
RENEWAL_INTERVAL = timedelta(seconds=2)
# Slack's response URLs live 30 minutes; an answer later than that reaches nobody.
MAX_REPLAY_AGE = timedelta(minutes=30)
_BATCH = 50


@dataclass(frozen=True)
class IntakeService:
    """The durable inbox."""

    context: ServiceContext

    async def receive(self, key: str, body: Mapping[str, Any]) -> bool:
        """Keep a delivery until it is done; `False` if it was received before.

        Raises:
            Unavailable: If the database cannot be reached: the delivery is not taken.
        """
        async with self.context.transaction() as session:
            return await deliveries.receive(session, key, body, now=self.context.clock())

    async def mark_done(self, key: str) -> None:
        """Forget the body of a handled delivery; its key stays, to know it again."""
        async with self.context.transaction() as session:
            await deliveries.mark_done(session, key, now=self.context.clock())

    async def renew_claims(self, keys: Collection[str]) -> None:
        """Say that these are still being handled here.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            await deliveries.renew_claims(session, keys, now=self.context.clock())

    async def claim_unfinished(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Deliveries whose bot died before they were done; nobody else gets these."""
        now = self.context.clock()
        async with self.context.transaction() as session:
            return await deliveries.claim_unfinished(
                session,
                older_than=now - ABANDONED_AFTER,
                newer_than=now - MAX_REPLAY_AGE,
                now=now,
                limit=_BATCH,
            )
