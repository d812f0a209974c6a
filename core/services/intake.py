"""Deliveries from outside, each handled once, none lost with the process that took it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from core.services.work import Work
from core.store import deliveries

# A delivery still unfinished after this long had its bot die under it.
ABANDONED_AFTER = timedelta(seconds=30)
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
