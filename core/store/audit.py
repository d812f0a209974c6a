"""The audit log: who asked for what, and whether it was allowed."""

from __future__ import annotations

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.audit import AuditEntry
from core.store.tables_outside import AuditRow


async def record(session: AsyncSession, entry: AuditEntry) -> None:
    """Add a line."""
    actor = entry.actor
    await session.execute(
        insert(AuditRow).values(
            at=entry.at,
            action=entry.action,
            allowed=entry.allowed,
            run_id=entry.run_id,
            reason=entry.reason,
            details=dict(entry.details),
            actor_role=int(actor.role),
            actor_origin=actor.origin,
            actor_user_id=actor.user_id,
            actor_external_id=actor.external_id,
            actor_team_id=actor.team_id,
            actor_name=actor.name,
        )
    )


async def recent(session: AsyncSession, limit: int) -> list[AuditEntry]:
    """The newest lines, newest first."""
    rows = await session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(limit))
    return [row.to_entry() for row in rows]
