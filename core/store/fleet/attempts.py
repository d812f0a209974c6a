"""Which worker executes which attempt of a run, and when it last gave a sign of life."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.attempt import STALLED_AFTER, LiveAttempt, RunProcess
from core.domain.kills.termination import ProcessIdentity
from core.store.tables.runs import RunRow
from core.store.tables.work import ProcessRow


async def start(session: AsyncSession, process: RunProcess) -> None:
    """Note that a worker has taken an attempt, in the transaction that begins the run."""
    agent = process.agent
    await session.execute(
        insert(ProcessRow).values(
            id=process.id,
            run_id=process.run_id,
            attempt=process.attempt,
            worker_id=process.worker_id,
            host=process.host,
            agent_pid=agent.pid if agent else None,
            agent_started_ticks=agent.started_ticks if agent else None,
            agent_name=agent.name if agent else None,
            started_at=process.started_at,
            heartbeat_at=process.heartbeat_at,
            ended_at=process.ended_at,
            gone_at=process.gone_at,
        )
    )


async def set_agent(session: AsyncSession, run: UUID, attempt: int, agent: ProcessIdentity) -> None:
    """Note the agent's process, once it has started."""
    await session.execute(
        update(ProcessRow)
        .where(ProcessRow.run_id == run, ProcessRow.attempt == attempt)
        .values(agent_pid=agent.pid, agent_started_ticks=agent.started_ticks, agent_name=agent.name)
        .execution_options(synchronize_session=False)
    )


async def beat(
    session: AsyncSession,
    worker_id: str,
    *,
    now: datetime,
    held: Collection[tuple[UUID, int]] | None = None,
) -> frozenset[tuple[UUID, int]]:
    """Renew everything this worker executes.

    Args:
        session: The session.
        worker_id: The worker.
        now: The present.
        held: Runs and attempts that it knows it executes; `None` believes the rows.  What it
            does not know of is left to grow old, and so to be rescued, unless it is so new that
            the worker may be about to hear of it.

    Returns:
        Run and attempt of what is still its own; what was given to another is not among it.
    """
    known = (
        []
        if held is None
        else [
            or_(
                tuple_(ProcessRow.run_id, ProcessRow.attempt).in_(list(held)),
                ProcessRow.started_at > now - STALLED_AFTER,
            )
        ]
    )
    beaten = await session.execute(
        update(ProcessRow)
        .where(ProcessRow.worker_id == worker_id, ProcessRow.ended_at.is_(None), *known)
        .values(heartbeat_at=now)
        .returning(ProcessRow.run_id, ProcessRow.attempt)
        .execution_options(synchronize_session=False)
    )
    return frozenset((run_id, attempt) for run_id, attempt in beaten)


async def end(session: AsyncSession, run: UUID, attempt: int, *, now: datetime) -> None:
    """Note that an attempt is over; the first time stays."""
    await session.execute(
        update(ProcessRow)
        .where(
            ProcessRow.run_id == run,
            ProcessRow.attempt == attempt,
            ProcessRow.ended_at.is_(None),
        )
        .values(ended_at=now)
        .execution_options(synchronize_session=False)
    )


async def give_up(
    session: AsyncSession, run: UUID, attempt: int, *, silent_since: datetime, now: datetime
) -> bool:
    """End an attempt whose worker is silent, unless it has given a sign of life meanwhile.

    From here the worker, should it live, is no longer told that the attempt is its own.
    """
    given_up = await session.scalar(
        update(ProcessRow)
        .where(
            ProcessRow.run_id == run,
            ProcessRow.attempt == attempt,
            ProcessRow.heartbeat_at == silent_since,
        )
        .values(ended_at=func.coalesce(ProcessRow.ended_at, now))
        .returning(ProcessRow.id)
        .execution_options(synchronize_session=False)
    )
    return given_up is not None


async def gone(
    session: AsyncSession, run: UUID, *, host: str, node: str, up_to: int, now: datetime
) -> None:
    """Note that no process of a run's attempts here is left; the first time stays.

    Args:
        session: The session.
        run: The run.
        host: Where somebody looked.
        node: Who looked; its attempts on earlier hosts went with those.
        up_to: The newest that is meant; later ones were begun when nobody had looked for them.
        now: The present.
    """
    await session.execute(
        update(ProcessRow)
        .where(
            ProcessRow.run_id == run,
            or_(
                ProcessRow.host == host,
                ProcessRow.worker_id.startswith(f"{node}:", autoescape=True),
            ),
            ProcessRow.attempt <= up_to,
            ProcessRow.gone_at.is_(None),
        )
        .values(gone_at=now)
        .execution_options(synchronize_session=False)
    )


async def unseen_hosts(session: AsyncSession, run: UUID) -> list[str]:
    """Machines on which attempts of a run were lost, and nobody has looked since."""
    hosts = await session.scalars(
        select(ProcessRow.host)
        .where(ProcessRow.run_id == run, ProcessRow.gone_at.is_(None))
        .distinct()
        .order_by(ProcessRow.host)
    )
    return list(hosts)


async def live(session: AsyncSession) -> list[LiveAttempt]:
    """What workers execute, on whatever machine."""
    rows = await session.execute(
        select(RunRow.run_id, ProcessRow.attempt, ProcessRow.host)
        .join(RunRow, RunRow.id == ProcessRow.run_id)
        .where(ProcessRow.ended_at.is_(None))
    )
    return [LiveAttempt(run_id=row.run_id, attempt=row.attempt, host=row.host) for row in rows]


async def of_run(session: AsyncSession, run: UUID) -> list[RunProcess]:
    """All attempts of a run, oldest first."""
    return await _list(session, ProcessRow.run_id == run)


async def live_on_host(session: AsyncSession, host: str) -> list[RunProcess]:
    """What workers of this machine execute, or did when they died."""
    return await _list(session, ProcessRow.host == host, ProcessRow.ended_at.is_(None))


async def _list(session: AsyncSession, *conditions: ColumnElement[bool]) -> list[RunProcess]:
    rows = await session.scalars(
        select(ProcessRow).where(*conditions).order_by(ProcessRow.started_at, ProcessRow.attempt)
    )
    return [row.to_process() for row in rows]
