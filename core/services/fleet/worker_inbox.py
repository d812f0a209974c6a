"""Messages to the worker that executes a run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.worker_message import WorkerMessageKind
from core.domain.runs.run import Run, RunStatus
from core.store.fleet import worker_messages


async def send_to_worker(
    session: AsyncSession,
    run: Run,
    kind: WorkerMessageKind,
    *,
    now: datetime,
    payload: Mapping[str, Any] | None = None,
) -> bool:
    """Send a message to the worker that executes the run's present attempt.

    Call it in the transaction of the change, with the run's row locked, so that the row names the
    worker that executes the attempt.

    Returns:
        Whether a worker executes the run; if none does, nothing is sent.
    """
    if run.status is not RunStatus.RUNNING or run.worker_id is None:
        return False
    await worker_messages.send(
        session,
        worker_id=run.worker_id,
        run=run.id,
        attempt=run.attempt,
        kind=kind,
        now=now,
        payload=payload,
    )
    return True
