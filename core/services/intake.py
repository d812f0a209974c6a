"""Deliveries from outside, each handled once, none lost with the process that took it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from core.services.work import Work
from core.store.slack import deliveries

# A bot says every 2 s of what it handles that it still does; one that has said nothing for
# this long is dead or stands still.  With a look every 2 s, a kill that it had acknowledged
# is taken up within the 10 s that a kill may take.
ABANDONED_AFTER = timedelta(seconds=6)
RENEWED_EVERY = timedelta(seconds=2)
# Slack's response URLs live 30 minutes; an answer later than that reaches nobody.
WORTH_REPLAYING = timedelta(minutes=30)
_BATCH = 50


@dataclass(frozen=True)
class IntakeService:
    """The durable inbox."""

    work: Work

    async def receive(self, key: str, body: Mapping[str, Any]) -> bool:
        """Keep a delivery until it is done; `False` if it was received before.

        Raises:
            Unavailable: If the database cannot be reached: the delivery is not taken.
        """
        async with self.work.transaction() as session:
            return await deliveries.receive(session, key, body, now=self.work.clock())

    async def done(self, key: str) -> None:
        """Forget the body of a handled delivery; its key stays, to know it again."""
        async with self.work.transaction() as session:
            await deliveries.done(session, key, now=self.work.clock())

    async def renew(self, keys: Collection[str]) -> None:
        """Say that these are still being handled here.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        async with self.work.transaction() as session:
            await deliveries.renew(session, keys, now=self.work.clock())

    async def claim_unfinished(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Deliveries whose bot died before they were done; nobody else gets these."""
        now = self.work.clock()
        async with self.work.transaction() as session:
            return await deliveries.claim_unfinished(
                session,
                older_than=now - ABANDONED_AFTER,
                newer_than=now - WORTH_REPLAYING,
                now=now,
                limit=_BATCH,
            )
