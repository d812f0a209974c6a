"""The caps of the fleet, in a table so that every process applies the same ones."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.workers import Caps, QueueReason
from core.store.tables.fleet import CapRow


async def read(session: AsyncSession) -> Caps:
    """Read the present caps."""
    rows = await session.execute(select(CapRow.name, CapRow.runs))
    found = {row.name: row.runs for row in rows}
    return Caps(**{reason.value: found.get(reason.value) for reason in QueueReason})


async def write(session: AsyncSession, caps: Caps, *, now: datetime) -> None:
    """Replace the caps; one that is `None` is removed."""
    limits = {reason.value: caps.for_reason(reason) for reason in QueueReason}
    removed = [name for name, runs in limits.items() if runs is None]
    await session.execute(delete(CapRow).where(CapRow.name.in_(removed)))
    values = [
        {"name": name, "runs": runs, "updated_at": now}
        for name, runs in limits.items()
        if runs is not None
    ]
    if values:
        statement = insert(CapRow).values(values)
        await session.execute(
            statement.on_conflict_do_update(
                index_elements=["name"],
                set_={"runs": statement.excluded.runs, "updated_at": statement.excluded.updated_at},
            )
        )
