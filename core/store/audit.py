"""The audit log of requests and the decisions on them."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from sqlalchemy import exists, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.audit import AuditEntry, StoredAuditEntry
from core.store.tables.audit import AuditRow


async def record(session: AsyncSession, entry: AuditEntry) -> None:
    """Add an entry; if the actor came with an API token, `details` names it as `token`."""
    actor = entry.actor
    token = {} if actor.token is None else {"token": actor.token}
    await session.execute(
        insert(AuditRow).values(
            at=entry.at,
            action=entry.action,
            allowed=entry.allowed,
            run_id=entry.run_id,
            reason=entry.reason,
            details={**entry.details, **token},
            actor_role=int(actor.role),
            actor_origin=actor.origin,
            actor_user_id=actor.user_id,
            actor_external_id=actor.external_id,
            actor_team_id=actor.team_id,
            actor_name=actor.name,
        )
    )


async def record_once(session: AsyncSession, entry: AuditEntry, *, request_key: str | None) -> None:
    """Add an entry, unless the same request has one with this action on this run.

    After a bot has died, another one may handle the same request again.  The caller must have
    locked the run's row, so that two of them do not check at the same time.
    """
    if request_key is None:
        await record(session, entry)
        return
    is_recorded = await session.scalar(
        select(
            exists().where(
                AuditRow.run_id == entry.run_id,
                AuditRow.action == entry.action,
                AuditRow.details["request"].astext == request_key,
            )
        )
    )
    if not is_recorded:
        details = {**entry.details, "request": request_key}
        await record(session, replace(entry, details=details))


async def recent(session: AsyncSession, limit: int) -> list[AuditEntry]:
    """List the newest entries, newest first."""
    rows = await session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(limit))
    return [row.to_entry() for row in rows]


async def page(
    session: AsyncSession, *, before_id: int | None, run_id: UUID | None, limit: int
) -> list[StoredAuditEntry]:
    """List the newest entries with an id below `before_id`, about one run if one is given."""
    query = select(AuditRow)
    if before_id is not None:
        query = query.where(AuditRow.id < before_id)
    if run_id is not None:
        query = query.where(AuditRow.run_id == run_id)
    rows = await session.scalars(query.order_by(AuditRow.id.desc()).limit(limit))
    return [StoredAuditEntry(id=row.id, entry=row.to_entry()) for row in rows]
