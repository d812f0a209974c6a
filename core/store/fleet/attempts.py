"""Which worker executes which attempt of a run, and when it last gave a sign of life."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.attempt import STALLED_AFTER, AttemptRecord, LiveAttempt
from core.domain.kills.termination import ProcessIdentity
from core.store.tables.attempts import AttemptRow
from core.store.tables.runs import RunRow


async def add(session: AsyncSession, record: AttemptRecord) -> None:
    """Note that a worker has taken an attempt, in the transaction that begins the run."""
    agent = record.agent
    await session.execute(
        insert(AttemptRow).values(
            id=record.id,
            run_id=record.run_id,
            attempt=record.attempt,
            worker_id=record.worker_id,
            host=record.host,
            agent_pid=agent.pid if agent else None,
            agent_started_ticks=agent.started_ticks if agent else None,
            agent_name=agent.name if agent else None,
            started_at=record.started_at,
            heartbeat_at=record.heartbeat_at,
            ended_at=record.ended_at,
            gone_at=record.gone_at,
        )
    )


async def set_agent(session: AsyncSession, run: UUID, attempt: int, agent: ProcessIdentity) -> None:
    """Note the agent's process, once it has started."""
    await session.execute(
        update(AttemptRow)
        .where(AttemptRow.run_id == run, AttemptRow.attempt == attempt)
        .values(agent_pid=agent.pid, agent_started_ticks=agent.started_ticks, agent_name=agent.name)
        .execution_options(synchronize_session=False)
    )


async def renew_heartbeats(
    session: AsyncSession,
    worker_id: str,
    *,
    now: datetime,
    executing: Collection[tuple[UUID, int]] | None = None,
) -> frozenset[tuple[UUID, int]]:
    """Renew everything this worker executes.

    Args:
        session: The session.
        worker_id: The worker.
        now: The present.
        executing: Runs and attempts that it knows it executes; `None` believes the rows.  What it
            does not know of is left to grow old, and so to be rescued, unless it is so new that
            the worker may be about to hear of it.

    Returns:
        Run and attempt of what is still its own; what was given to another is not among it.
    """
    known_only = (
        []
        if executing is None
        else [
            or_(
                tuple_(AttemptRow.run_id, AttemptRow.attempt).in_(list(executing)),
                AttemptRow.started_at > now - STALLED_AFTER,
            )
        ]
    )
    renewed = await session.execute(
        update(AttemptRow)
        .where(AttemptRow.worker_id == worker_id, AttemptRow.ended_at.is_(None), *known_only)
        .values(heartbeat_at=now)
        .returning(AttemptRow.run_id, AttemptRow.attempt)
        .execution_options(synchronize_session=False)
    )
    return frozenset((run_id, attempt) for run_id, attempt in renewed)


async def mark_ended(session: AsyncSession, run: UUID, attempt: int, *, now: datetime) -> None:
    """Note that an attempt is over; the first time stays."""
    await session.execute(
        update(AttemptRow)
        .where(
            AttemptRow.run_id == run,
            AttemptRow.attempt == attempt,
            AttemptRow.ended_at.is_(None),
        )
        .values(ended_at=now)
        .execution_options(synchronize_session=False)
    )


async def end_if_silent(
    session: AsyncSession, run: UUID, attempt: int, *, last_heartbeat_at: datetime, now: datetime
) -> bool:
    """End an attempt whose worker is silent, unless it has given a sign of life meanwhile.

    From here the worker, should it live, is no longer told that the attempt is its own.
    """
    ended_id = await session.scalar(
        update(AttemptRow)
        .where(
            AttemptRow.run_id == run,
            AttemptRow.attempt == attempt,
            AttemptRow.heartbeat_at == last_heartbeat_at,
        )
        .values(ended_at=func.coalesce(AttemptRow.ended_at, now))
        .returning(AttemptRow.id)
        .execution_options(synchronize_session=False)
    )
    return ended_id is not None


async def mark_gone(
    session: AsyncSession, run: UUID, *, host: str, node: str, max_attempt: int, now: datetime
) -> None:
    """Note that no process of a run's attempts here is left; the first time stays.

    Args:
        session: The session.
        run: The run.
        host: Where somebody looked.
        node: Who looked; its attempts on earlier hosts went with those.
        max_attempt: The newest that is meant; later ones were begun when nobody had looked for
            them.
        now: The present.
    """
    await session.execute(
        update(AttemptRow)
        .where(
            AttemptRow.run_id == run,
            or_(
                AttemptRow.host == host,
                AttemptRow.worker_id.startswith(f"{node}:", autoescape=True),
            ),
            AttemptRow.attempt <= max_attempt,
            AttemptRow.gone_at.is_(None),
        )
        .values(gone_at=now)
        .execution_options(synchronize_session=False)
    )


async def unchecked_hosts(session: AsyncSession, run: UUID) -> list[str]:
    """Machines on which attempts of a run were lost, and nobody has looked since."""
    hosts = await session.scalars(
        select(AttemptRow.host)
        .where(AttemptRow.run_id == run, AttemptRow.gone_at.is_(None))
        .distinct()
        .order_by(AttemptRow.host)
    )
    return list(hosts)


async def live(session: AsyncSession) -> list[LiveAttempt]:
    """What workers execute, on whatever machine."""
    rows = await session.execute(
        select(RunRow.run_id, AttemptRow.attempt, AttemptRow.host)
        .join(RunRow, RunRow.id == AttemptRow.run_id)
        .where(AttemptRow.ended_at.is_(None))
    )
    return [LiveAttempt(run_id=row.run_id, attempt=row.attempt, host=row.host) for row in rows]


async def of_run(session: AsyncSession, run: UUID) -> list[AttemptRecord]:
    """All attempts of a run, oldest first."""
    return await _list(session, AttemptRow.run_id == run)


async def _list(session: AsyncSession, *conditions: ColumnElement[bool]) -> list[AttemptRecord]:
    rows = await session.scalars(
        select(AttemptRow).where(*conditions).order_by(AttemptRow.started_at, AttemptRow.attempt)
    )
    return [row.to_attempt() for row in rows]
