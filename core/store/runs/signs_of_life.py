"""Signs of life of a run: changes of its row that change nothing which is drawn or streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.run import RunStatus
from core.store.runs.columns import changed_columns
from core.store.runs.compare_and_set import raise_refused
from core.store.tables.runs import RunRow


async def record(
    session: AsyncSession, run_id: str, *, attempt: int, metadata: Mapping[str, Any]
) -> None:
    """Set keys of the metadata of a run whose worker goes on as before.

    The version stays, so nothing is drawn because of it, and the feed has no change; the next
    refresh of a card shows it.

    Raises:
        RunNotFound: If no run has this id.
        StaleAttempt: If `attempt` is not the running one.
    """
    found = await session.scalar(
        update(RunRow)
        .where(
            RunRow.run_id == run_id,
            RunRow.attempt == attempt,
            RunRow.status == RunStatus.RUNNING,
        )
        .values(**changed_columns({"metadata": metadata}))
        .returning(RunRow.id)
        .execution_options(synchronize_session=False)
    )
    if found is None:
        await raise_refused(session, run_id, attempt, None)
