"""The durable intake of Slack's deliveries: each is handled once, even if a bot dies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from core.services.context import ServiceContext
from core.store.slack import deliveries

# A bot renews the claims on its deliveries every 2 s; one that has not done so for this long is
# dead or stuck.  Other bots check every 2 s, so a kill that it had acknowledged is handled within
# the 10 s that a kill may take.
ABANDONED_AFTER = timedelta(seconds=6)
RENEWAL_INTERVAL = timedelta(seconds=2)
# Slack's response URLs expire after 30 minutes, so a later answer reaches nobody.
MAX_REPLAY_AGE = timedelta(minutes=30)
_BATCH = 50


@dataclass(frozen=True)
class IntakeService:
    """Stores deliveries, and finds those that a dead bot left."""

    context: ServiceContext

    async def receive(self, key: str, body: Mapping[str, Any]) -> bool:
        """Store a delivery until it is done; `False` if it was received before.

        Raises:
            Unavailable: If the database cannot be reached; the delivery must not be acknowledged.
        """
        async with self.context.transaction() as session:
            return await deliveries.receive(session, key, body, now=self.context.clock())

    async def mark_done(self, key: str) -> None:
        """Delete the body of a handled delivery; its key stays, to detect duplicates."""
        async with self.context.transaction() as session:
            await deliveries.mark_done(session, key, now=self.context.clock())

    async def renew_claims(self, keys: Collection[str]) -> None:
        """Renew the claims on deliveries that this bot still handles.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            await deliveries.renew_claims(session, keys, now=self.context.clock())

    async def claim_unfinished(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Claim deliveries whose bot died before they were done; no other bot gets these.

        Returns:
            Key and body of each.
        """
        now = self.context.clock()
        async with self.context.transaction() as session:
            return await deliveries.claim_unfinished(
                session,
                older_than=now - ABANDONED_AFTER,
                newer_than=now - MAX_REPLAY_AGE,
                now=now,
                limit=_BATCH,
            )
