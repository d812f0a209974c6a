"""The next leg of a run that its turn limit ended, without a person, if its workflow says so.

It is part of the transaction that ends the run, so there is either none or one.  After anything
else than the turn limit, and after a kill, none is started.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import SYSTEM
from core.domain.failures.automatic_leg import (
    AUTOMATIC_LEG_KEY,
    AutomaticLeg,
    LegRefusal,
    next_leg,
    refusal_metadata,
)
from core.domain.runs.request import ContinueRequest
from core.domain.runs.run import Run, StopReason
from core.domain.runs.session import MessageType
from core.domain.workflow import WorkflowDefinition
from core.services.runs import new_runs
from core.store.alerts import progress_posts
from core.store.runs import run_queries, runs

log = logging.getLogger(__name__)

_LEAST_BUDGET_USD = Decimal("0.0001")


async def continue_automatically(
    session: AsyncSession, ended: Run, definition: WorkflowDefinition, *, now: datetime
) -> Run | None:
    """Start the next leg of a run that has just ended, if that is allowed.

    This may admit runs, so call it last in a transaction.

    Args:
        session: The transaction that ends the run.
        ended: The run as it ended.
        definition: Its workflow's definition.
        now: The present time.

    Returns:
        The new run; `None` if there is none.
    """
    limits = definition.auto_continue
    is_limit = ended.stop_reason is StopReason.MAX_TURNS
    if limits is None or not is_limit or ended.kill_requested_at is not None:
        return None
    totals = await run_queries.totals_of_sessions(session, {ended.session_id})
    leg = next_leg(ended, limits, totals[ended.session_id])
    if isinstance(leg, LegRefusal):
        await runs.merge_metadata(session, ended.run_id, refusal_metadata(leg), now=now)
        return None
    run = new_runs.run_for_continue(
        ContinueRequest(target=ended.run_id, request_key=f"auto:{ended.run_id}"),
        definition,
        previous=ended,
        place=None,
        by=SYSTEM,
        now=now,
        default_on_worker_lost=ended.on_worker_lost,
    )
    made = await new_runs.create_run(
        session,
        replace(
            run,
            # The person who may stop it is the one who started the session.
            user_id=ended.user_id,
            budget_usd=_budget(run, leg),
            metadata={**run.metadata, AUTOMATIC_LEG_KEY: leg.to_json()},
        ),
        MessageType.INTERVENTION,
        by=SYSTEM,
        progress_every=await progress_posts.interval_of(session, ended.id),
    )
    log.info(
        "%s is continued automatically as %s",
        ended.run_id,
        made.run.run_id,
        extra={
            "event": "run.auto_continued",
            "run_id": ended.run_id,
            "next_run_id": made.run.run_id,
        },
    )
    return made.run


def _budget(run: Run, leg: AutomaticLeg) -> Decimal:
    """A leg's own budget, and at most what is left for the session."""
    left = max(leg.budget_usd - leg.spent_usd, _LEAST_BUDGET_USD)
    return left if run.budget_usd is None else min(run.budget_usd, left)
