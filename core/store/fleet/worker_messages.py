"""Messages to workers: sent in the transaction of the act, read by the worker they name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.worker_message import MessageOutcome, WorkerMessage, WorkerMessageKind
from core.store.tables.fleet import WorkerMessageRow
from core.store.tables.runs import RunRow

# One delivery handles so many; the rest follows with the next one.
_MAX_READ = 100


def channel_of(worker_id: str) -> str:
    """The channel that this worker alone listens to.

    A channel's name has at most 63 bytes, a worker's can have more.
    """
    return f"signalbox_worker_{hashlib.sha256(worker_id.encode()).hexdigest()[:32]}"


async def send(
    session: AsyncSession,
    *,
    worker_id: str,
    run: UUID,
    attempt: int,
    kind: WorkerMessageKind,
    now: datetime,
    payload: Mapping[str, Any] | None = None,
) -> None:
    """Write a message, and notify its worker when the caller's transaction commits."""
    await session.execute(
        insert(WorkerMessageRow)
        .values(
            worker_id=worker_id,
            run_id=run,
            attempt=attempt,
            kind=kind,
            payload=dict(payload or {}),
            created_at=now,
        )
        .returning(func.pg_notify(channel_of(worker_id), cast(WorkerMessageRow.id, Text)))
    )


async def unhandled(session: AsyncSession, worker_id: str) -> list[WorkerMessage]:
    """The oldest messages that a worker has not handled, in the order of sending."""
    rows = await session.execute(
        select(WorkerMessageRow, RunRow.attempt)
        .join(RunRow, RunRow.id == WorkerMessageRow.run_id)
        .where(WorkerMessageRow.worker_id == worker_id, WorkerMessageRow.handled_at.is_(None))
        .order_by(WorkerMessageRow.id)
        .limit(_MAX_READ)
    )
    return [row.to_message(run_attempt=attempt) for row, attempt in rows]


async def has_unhandled(session: AsyncSession, worker_id: str) -> bool:
    """Whether a worker has messages that it has not handled."""
    found = await session.scalar(
        select(WorkerMessageRow.id)
        .where(WorkerMessageRow.worker_id == worker_id, WorkerMessageRow.handled_at.is_(None))
        .limit(1)
    )
    return found is not None


async def mark_handled(
    session: AsyncSession, outcomes: Mapping[int, MessageOutcome], *, now: datetime
) -> None:
    """Note what became of messages, by their ids; the first outcome stays."""
    for outcome in sorted(set(outcomes.values())):
        ids = [message_id for message_id, one in outcomes.items() if one is outcome]
        await session.execute(
            update(WorkerMessageRow)
            .where(WorkerMessageRow.id.in_(ids), WorkerMessageRow.handled_at.is_(None))
            .values(handled_at=now, outcome=outcome)
            .execution_options(synchronize_session=False)
        )


async def delete_sent_before(session: AsyncSession, *, before: datetime) -> int:
    """Delete old messages, also those that their worker never read: it is gone.

    Returns:
        How many were deleted.
    """
    deleted = await session.scalars(
        delete(WorkerMessageRow)
        .where(WorkerMessageRow.created_at < before)
        .returning(WorkerMessageRow.id)
        .execution_options(synchronize_session=False)
    )
    return len(deleted.all())
