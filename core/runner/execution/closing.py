"""Close the rows of an attempt that no worker executes any more."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.steps import end_steps
from core.domain.runs.run import Run, StopReason
from core.runner.execution.recount import recount
from core.store import steps
from core.store.fleet import attempts


async def close_attempt(
    session: AsyncSession,
    run: Run,
    stop_reason: StopReason,
    *,
    now: datetime,
    error: str | None = None,
) -> None:
    """Close the attempt and the open steps of a run that ends without its worker."""
    await recount(session, run, now=now)
    await attempts.mark_ended(session, run.id, run.attempt, now=now)
    plan = tuple(await steps.of_run(session, run.id))
    ended = end_steps(plan, stop_reason=stop_reason, now=now, error=error)
    await steps.replace(session, run.id, ended)
