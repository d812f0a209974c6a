"""Entries of the audit log before a time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.store.partitions.partitions import allow_deleting

_DELETE = text(
    """
    WITH old AS (
        SELECT id, at FROM audit_log WHERE at < :before ORDER BY at LIMIT :limit
    )
    DELETE FROM audit_log a USING old WHERE a.id = old.id AND a.at = old.at
    """
)


async def delete_before(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete the oldest entries before a time, at most so many; return how many."""
    await allow_deleting(session)
    deleted = await session.execute(_DELETE, {"before": before, "limit": limit})
    return int(getattr(deleted, "rowcount", 0))
