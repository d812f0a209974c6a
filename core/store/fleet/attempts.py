"""Attempts of runs: which worker executes each, and its last heartbeat."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.attempt import STALLED_AFTER, AttemptRecord, LiveAttempt
from core.domain.kills.termination import ProcessIdentity
from core.store.tables.attempts import AttemptRow
from core.store.tables.runs import RunRow


async def add(session: AsyncSession, record: AttemptRecord) -> None:
    """Add an attempt; belongs in the transaction that sets the run to `running`."""
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
    """Store the agent program's process after its start."""
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
    """Renew the heartbeats of the attempts that a worker executes.

    Args:
        session: An open session.
        worker_id: The worker.
        now: The present time.
        executing: The attempts (run, attempt) that the worker process knows of; `None` renews
            every open row of the worker.  An open row that the process does not know of gets no
            heartbeat, so that it will be rescued.  Rows newer than `STALLED_AFTER` are renewed in
            any case, because the process may not have read the answer to its insert yet.

    Returns:
        The attempts (run, attempt) that are still the worker's own.  An attempt that was taken
        from it is missing.
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
    """Record the end of an attempt; an end that was recorded before stays."""
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
    """End an attempt whose worker is silent, unless a heartbeat has arrived meanwhile.

    From then on `renew_heartbeats` no longer returns the attempt to the worker, in case it lives.

    Args:
        session: An open session.
        run: The run.
        attempt: Its attempt.
        last_heartbeat_at: The heartbeat that the caller has read; a newer one prevents the end.
        now: The present time.

    Returns:
        Whether the attempt was ended.
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
    """Record the proof that a run's attempts have no process left; an earlier proof stays.

    Args:
        session: An open session.
        run: The run.
        host: The host that was scanned.
        node: The node that scanned it.  Its attempts on earlier hosts are gone, too: those hosts
            no longer exist.
        max_attempt: The newest attempt that the scan covers; later ones started after it.
        now: The present time.
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


async def is_open(session: AsyncSession, run: UUID, attempt: int, *, worker_id: str) -> bool:
    """Whether an attempt is this worker's and not over, as far as the database knows."""
    found = await session.scalar(
        select(AttemptRow.id).where(
            AttemptRow.run_id == run,
            AttemptRow.attempt == attempt,
            AttemptRow.worker_id == worker_id,
            AttemptRow.ended_at.is_(None),
        )
    )
    return found is not None


async def unchecked_hosts(session: AsyncSession, run: UUID) -> list[str]:
    """List the hosts of a run's attempts without a proof that their processes are gone."""
    hosts = await session.scalars(
        select(AttemptRow.host)
        .where(AttemptRow.run_id == run, AttemptRow.gone_at.is_(None))
        .distinct()
        .order_by(AttemptRow.host)
    )
    return list(hosts)


async def live(session: AsyncSession) -> list[LiveAttempt]:
    """List all attempts in progress, on all machines."""
    rows = await session.execute(
        select(RunRow.run_id, AttemptRow.attempt, AttemptRow.host)
        .join(RunRow, RunRow.id == AttemptRow.run_id)
        .where(AttemptRow.ended_at.is_(None))
    )
    return [LiveAttempt(run_id=row.run_id, attempt=row.attempt, host=row.host) for row in rows]


async def of_run(session: AsyncSession, run: UUID) -> list[AttemptRecord]:
    """List all attempts of a run, oldest first."""
    return await _list(session, AttemptRow.run_id == run)


async def of_runs(session: AsyncSession, runs: Collection[UUID]) -> list[AttemptRecord]:
    """List all attempts of these runs, oldest first."""
    return await _list(session, AttemptRow.run_id.in_(list(runs)))


async def newest_hosts(session: AsyncSession, runs: Collection[UUID]) -> dict[UUID, str]:
    """The machine of the newest attempt of each of these runs that has any."""
    rows = await session.execute(
        select(AttemptRow.run_id, AttemptRow.host)
        .where(AttemptRow.run_id.in_(list(runs)))
        .order_by(AttemptRow.run_id, AttemptRow.started_at.desc(), AttemptRow.attempt.desc())
        .ext(distinct_on(AttemptRow.run_id))
    )
    return {row.run_id: row.host for row in rows}


async def _list(session: AsyncSession, *conditions: ColumnElement[bool]) -> list[AttemptRecord]:
    rows = await session.scalars(
        select(AttemptRow).where(*conditions).order_by(AttemptRow.started_at, AttemptRow.attempt)
    )
    return [row.to_attempt() for row in rows]
