"""The audit log of requests and the decisions on them."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, insert, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.domain.audit import AuditEntry, AuditPage, AuditSearch, StoredAuditEntry
from core.store.tables.audit import AuditRow
from core.store.tables.types import AwareDateTime


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
    session: AsyncSession,
    search: AuditSearch,
    *,
    run_id: UUID | None,
    before_id: int | None,
    limit: int,
) -> AuditPage:
    """The newest entries with an id below `before_id` that match.

    Each page looks through a limited number of entries, so it can have few or none, and yet not be
    the last one.

    Args:
        session: An open database session.
        search: What they must match, but for `run`.
        run_id: The only run, if there is one.
        before_id: The place in the log; `None` begins with the newest entry.
        limit: The most entries of the page.
    """
    window = select(AuditRow).where(*_conditions(search, run_id, before_id))
    window = window.order_by(AuditRow.id.desc()).limit(search.window)
    seen = window.subquery()
    entry = aliased(AuditRow, seen)
    query = select(entry).order_by(entry.id.desc()).limit(limit + 1)
    if search.action is not None:
        query = query.where(entry.action == search.action)
    if search.allowed is not None:
        query = query.where(entry.allowed.is_(search.allowed))
    if search.person is not None:
        is_name = func.lower(entry.actor_name) == search.person.lower()
        query = query.where(or_(is_name, entry.actor_external_id == search.person))
    found = (await session.scalars(query)).all()
    shown = [StoredAuditEntry(id=row.id, entry=row.to_entry()) for row in found[:limit]]
    if len(found) > limit:
        return AuditPage(entries=shown, next=shown[-1].id)
    end = await session.scalar(
        select(AuditRow.id)
        .where(*_conditions(search, run_id, before_id))
        .order_by(AuditRow.id.desc())
        .offset(search.window - 1)
        .limit(1)
    )
    return AuditPage(entries=shown, next=end)


def _conditions(
    search: AuditSearch, run_id: UUID | None, before_id: int | None
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if before_id is not None:
        conditions.append(AuditRow.id < before_id)
    if run_id is not None:
        conditions.append(AuditRow.run_id == run_id)
    if search.since is not None:
        conditions.append(AuditRow.at >= literal(search.since, AwareDateTime()))
    if search.until is not None:
        conditions.append(AuditRow.at < literal(search.until, AwareDateTime()))
    return conditions
