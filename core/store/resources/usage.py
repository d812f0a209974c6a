"""Peaks and totals of what runs have used."""

from __future__ import annotations

from functools import reduce
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.resources.sample import Usage, joined
from core.store.tables.resources.samples import UsageRow


async def of_run(session: AsyncSession, run: UUID) -> Usage | None:
    """What all attempts of a run have used together; `None` if no sample was ever taken."""
    rows = await session.scalars(
        select(UsageRow).where(UsageRow.run_id == run).order_by(UsageRow.attempt)
    )
    found = [row.to_usage() for row in rows]
    return reduce(joined, found) if found else None
