"""Close the rows of an attempt that no worker executes any more."""

from __future__ import annotations

import logging
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.errors import Unavailable
from core.domain.runs.run import Run, StopReason
from core.domain.steps.fold import end_steps
from core.runner.execution.usage.entries import recount_entry
from core.runner.execution.usage.recount import recount
from core.runner.log_fields import log_fields
from core.store import steps
from core.store.database.engine import translate_errors
from core.store.fleet import attempts
from core.store.runs import run_queries

log = logging.getLogger(__name__)


async def recount_if_possible(session: AsyncSession, run: Run, *, now: datetime) -> Run:
    """Recount the usage of a run that ends or is requeued, which does not depend on it.

    Returns:
        The run; with the usage that was written last, if the transcript cannot be counted.

    Raises:
        Unavailable: If the database cannot be reached.
    """
    try:
        with translate_errors():
            async with session.begin_nested():
                recounted = await recount(session, run, now=now)
                await recount_entry(session, recounted, now=now)
                return recounted
    except Unavailable:
        raise
    except Exception:
        # A transcript is what the agent wrote, and may be anything.
        log.exception(
            "%s: its usage cannot be counted, it may be too low",
            run.run_id,
            extra=log_fields("usage.recount_failed", run),
        )
    return await run_queries.get(session, run.run_id)


async def close_attempt(
    session: AsyncSession,
    run: Run,
    stop_reason: StopReason,
    *,
    now: datetime,
    error: str | None = None,
) -> None:
    """Close the attempt and the open steps of a run that ends without its worker."""
    await recount_if_possible(session, run, now=now)
    await attempts.mark_ended(session, run.id, run.attempt, now=now)
    plan = tuple(await steps.of_run(session, run.id))
    ended = end_steps(plan, stop_reason=stop_reason, now=now, error=error)
    await steps.replace(session, run.id, ended)
