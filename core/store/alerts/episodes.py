"""Alerts: their episodes, of which each subject has at most one open one of a kind."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, and_, delete, func, literal, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.condition import AlertKey
from core.domain.alerts.episode import OPEN_STATES, Episode
from core.domain.alerts.kinds import AlertKind, Severity, Subject, SubjectType
from core.domain.paging import COUNT_LIMIT, Page, PageKey
from core.store.database.advisory_locks import AdvisoryLock
from core.store.tables.alerts.episodes import AlertRow, alert_values
from core.store.tables.types import AwareDateTime

_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:key)")
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
_IS_OPEN = AlertRow.state.in_(sorted(OPEN_STATES))


async def try_lock_evaluation(session: AsyncSession) -> bool:
    """Take the lock of the evaluation until the transaction ends; `False` if another has it."""
    return bool(await session.scalar(_TRY_LOCK, {"key": AdvisoryLock.ALERTS.value}))


async def lock_evaluation(session: AsyncSession) -> None:
    """Wait for the lock of the evaluation, and keep it until the transaction ends."""
    await session.execute(_LOCK, {"key": AdvisoryLock.ALERTS.value})


async def open_episodes(session: AsyncSession) -> list[Episode]:
    """All open episodes, locked against what people do with them, oldest first."""
    # Locked in the order of their ids, as by everybody, so that no two wait for each other.
    rows = await session.scalars(
        select(AlertRow).where(_IS_OPEN).order_by(AlertRow.id).with_for_update()
    )
    return sorted((row.to_episode() for row in rows), key=lambda one: (one.opened_at, one.id))


async def get(session: AsyncSession, alert_id: UUID, *, locks: bool = False) -> Episode | None:
    """One episode; `None` if there is none.

    Args:
        session: An open database session.
        alert_id: The id of its row.
        locks: Whether to lock the row until the transaction ends.
    """
    query = select(AlertRow).where(AlertRow.id == alert_id)
    row = await session.scalar(query.with_for_update() if locks else query)
    return None if row is None else row.to_episode()


async def with_ids(
    session: AsyncSession, alert_ids: Collection[UUID], *, locks: bool = False
) -> list[Episode]:
    """The episodes with these ids, in the order in which they fired."""
    query = select(AlertRow).where(AlertRow.id.in_(list(alert_ids))).order_by(AlertRow.id)
    rows = await session.scalars(query.with_for_update() if locks else query)
    return sorted(
        (row.to_episode() for row in rows), key=lambda one: (one.fired_at or one.opened_at, one.id)
    )


async def add(session: AsyncSession, episodes: Sequence[Episode]) -> None:
    """Add episodes."""
    if episodes:
        await session.execute(insert(AlertRow).values([alert_values(one) for one in episodes]))


async def save(session: AsyncSession, episode: Episode) -> None:
    """Write an episode that has changed; the caller has locked its row."""
    await session.execute(
        update(AlertRow)
        .where(AlertRow.id == episode.id)
        .values(**alert_values(episode))
        .execution_options(synchronize_session=False)
    )


async def end_snooze(session: AsyncSession, alert_id: UUID) -> None:
    """Forget that an alert is snoozed, because the time is over."""
    await session.execute(
        update(AlertRow)
        .where(AlertRow.id == alert_id)
        .values(snoozed_until=None, snoozed_by=None, version=AlertRow.version + 1)
        .execution_options(synchronize_session=False)
    )


async def fired_counts(
    session: AsyncSession, keys: Collection[AlertKey], *, since: datetime
) -> Mapping[AlertKey, int]:
    """How many episodes of these subjects have fired since a time; subjects without are missing."""
    if not keys:
        return {}
    columns = (AlertRow.kind, AlertRow.subject_type, AlertRow.subject_id)
    wanted = [(kind.value, subject.type.value, subject.id) for kind, subject in keys]
    rows = await session.execute(
        select(*columns, func.count())
        .where(tuple_(*columns).in_(wanted), AlertRow.fired_at >= since)
        .group_by(*columns)
    )
    return {
        (AlertKind(kind), Subject(type=SubjectType(type_), id=subject_id)): count
        for kind, type_, subject_id, count in rows
    }


def _filters(
    kinds: Collection[AlertKind], *, is_open: bool | None, run_id: UUID | None
) -> Select[AlertRow]:
    query = select(AlertRow).where(AlertRow.fired_at.is_not(None))
    if kinds:
        query = query.where(AlertRow.kind.in_(sorted(kinds)))
    if is_open is not None:
        query = query.where(_IS_OPEN if is_open else ~_IS_OPEN)
    return query if run_id is None else query.where(AlertRow.run_id == run_id)


async def page(
    session: AsyncSession,
    *,
    kinds: Collection[AlertKind] = (),
    severities: Collection[Severity] = (),
    is_open: bool | None = None,
    run_id: UUID | None = None,
    after: PageKey | None,
    limit: int,
) -> Page[Episode]:
    """Alerts that have fired, newest first.

    Args:
        session: An open database session.
        kinds: Only these kinds; empty for all.
        severities: Only of these severities; empty for all.
        is_open: Only open ones, or only ended ones; `None` for both.
        run_id: Only those about the run with this row id.
        after: The last entry of the page before; `None` for the first page.
        limit: The length of the page.
    """
    query = _filters(kinds, is_open=is_open, run_id=run_id)
    if severities:
        query = query.where(AlertRow.severity.in_([one.value for one in severities]))
    total: int = (
        await session.scalar(
            select(func.count()).select_from(query.limit(COUNT_LIMIT + 1).subquery())
        )
        or 0
    )
    if after is not None:
        at = literal(after.at, AwareDateTime())
        query = query.where(
            or_(AlertRow.fired_at < at, and_(AlertRow.fired_at == at, AlertRow.id < after.id))
        )
    rows = await session.scalars(
        query.order_by(AlertRow.fired_at.desc(), AlertRow.id.desc()).limit(limit + 1)
    )
    found = [row.to_episode() for row in rows]
    last = found[limit - 1] if len(found) > limit else None
    return Page(
        items=found[:limit],
        next=None
        if last is None or last.fired_at is None
        else PageKey(at=last.fired_at, id=last.id),
        total=min(total, COUNT_LIMIT),
        is_total_exact=total <= COUNT_LIMIT,
    )


async def newest_of_run(session: AsyncSession, run_id: UUID, *, limit: int) -> list[Episode]:
    """The alerts about a run that have fired, the newest first.

    Args:
        session: An open database session.
        run_id: The id of the run's row.
        limit: The most of them.
    """
    rows = await session.scalars(
        _filters((), is_open=None, run_id=run_id)
        .order_by(AlertRow.fired_at.desc(), AlertRow.id.desc())
        .limit(limit)
    )
    return [row.to_episode() for row in rows]


async def delete_ended(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete episodes that ended before a time, with what is known of them; returns the number."""
    old = select(AlertRow.id).where(AlertRow.resolved_at < before).limit(limit)
    deleted = await session.scalars(
        delete(AlertRow)
        .where(AlertRow.id.in_(old))
        .returning(AlertRow.id)
        .execution_options(synchronize_session=False)
    )
    return len(deleted.all())
