"""Entries of the ledger, for tests whose runs had no agent."""

from __future__ import annotations

from decimal import Decimal

from core.domain.runs.run import Run
from core.domain.sessions.ledger import EntrySource, LedgerEntry
from core.store import ledger
from core.store.database.engine import Database
from tests.database import NOW


async def spent(
    database: Database,
    run: Run,
    cost: str | Decimal,
    source: EntrySource = EntrySource.REPORTED,
    *,
    attempt: int = 1,
) -> None:
    """Store what the agent of an attempt cost, in US dollars."""
    entry = LedgerEntry(
        run_id=run.id,
        session_id=run.session_id,
        attempt=attempt,
        source=source,
        cost_usd=Decimal(cost),
        usage=None,
        turns=run.turns,
        recorded_at=NOW,
    )
    async with database.sessions.begin() as session:
        await ledger.put(session, entry)
