"""The enrichment of a status: steps, progress and result, composed from rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.progress.enrichment import Enrichment, StatusRows, compose
from core.domain.progress.estimate import PastRun
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run, RunStatus
from core.services.runs.recent_runs import RecentRuns
from core.store import events, steps
from core.store.runs import past_runs

# Enough for the last texts of an agent that called many tools after them.
_MAX_EVENTS = 40
_MAX_LOOKED_AT = 1_000
_ACTIVITY_KINDS = frozenset({EventKind.TOOL_STARTED, EventKind.AGENT_TEXT})
_TEXT_KINDS = frozenset({EventKind.AGENT_TEXT})
# Subagents' texts are among them.
_MAX_TEXTS = 60


async def enrichment_of(
    session: AsyncSession, run: Run, *, now: datetime, cache: RecentRuns
) -> Enrichment:
    """What the status of a run says beyond its row, composed from what is stored.

    Only what the run's status needs is read: nothing for a run that has not begun, and nothing
    for an ended run that the cache knows.

    Args:
        session: An open database session, in which the run was read.
        run: The run.
        now: The present time.
        cache: May be switched off; the answer is the same.
    """
    kept = cache.get(run)
    if kept is not None:
        return kept
    if run.started_at is None and not run.status.is_final:
        return compose(StatusRows(run=run), now=now)
    is_ended = run.status.is_final
    found = await events.newest(
        session,
        run.id,
        kinds=_TEXT_KINDS if is_ended else _ACTIVITY_KINDS,
        limit=_MAX_TEXTS if is_ended else _MAX_EVENTS,
        within=_MAX_LOOKED_AT,
    )
    rows = StatusRows(
        run=run,
        steps=tuple(await steps.of_run(session, run.id)),
        events=tuple(found),
        past=tuple(await _past(session, run, cache)),
    )
    enrichment = compose(rows, now=now)
    cache.put(run, enrichment)
    return enrichment


async def _past(session: AsyncSession, run: Run, cache: RecentRuns) -> Sequence[PastRun]:
    if run.status is not RunStatus.RUNNING:
        return ()
    kept = cache.past(run.workflow_name)
    if kept is not None:
        return kept
    found = await past_runs.of_workflow(session, run.workflow_name)
    cache.put_past(run.workflow_name, found)
    return found
