"""The lines that runs changed, compressed."""

from __future__ import annotations

import zlib
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.work.patch import WorkPatch
from core.store.tables.work.patches import RunPatchRow

_LEVEL = 6


async def put(session: AsyncSession, run: UUID, patch: WorkPatch, *, now: datetime) -> None:
    """Keep the changed lines of a run, instead of those that were kept before."""
    written = patch.text.encode("utf-8", "replace")
    values = {
        "content": zlib.compress(written, _LEVEL),
        "size": len(written),
        "is_cut": patch.is_cut,
        "created_at": now,
    }
    await session.execute(
        insert(RunPatchRow)
        .values(run_id=run, **values)
        .on_conflict_do_update(index_elements=["run_id"], set_=values)
    )


async def of_run(session: AsyncSession, run: UUID) -> WorkPatch | None:
    """The changed lines of a run; `None` if none were kept."""
    row = await session.get(RunPatchRow, run)
    if row is None:
        return None
    text = zlib.decompress(row.content).decode("utf-8", "replace")
    return WorkPatch(text=text, is_cut=row.is_cut)


async def delete_before(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete the oldest ones that were kept before a time, at most so many; return how many."""
    old = (
        select(RunPatchRow.run_id)
        .where(RunPatchRow.created_at < before)
        .order_by(RunPatchRow.created_at)
        .limit(limit)
    )
    deleted = await session.execute(delete(RunPatchRow).where(RunPatchRow.run_id.in_(old)))
    return int(getattr(deleted, "rowcount", 0))
