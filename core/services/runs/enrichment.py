"""The enrichment of a status: steps, progress and result, composed from rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.progress.enrichment import Enrichment, StatusRows, compose
from core.domain.progress.estimate import PastRun
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run, RunStatus
from core.services.context import ServiceContext
from core.services.runs.recent_runs import RecentRuns
from core.store import events, steps
from core.store.runs import past_runs
from core.store.runs.status_read import EventWindow, StatusRead

EVENTS = EventWindow(
    kinds=frozenset({EventKind.TOOL_STARTED, EventKind.AGENT_TEXT}),
    limit=40,
    ended_kinds=frozenset({EventKind.AGENT_TEXT}),
    # Subagents' texts are among them.
    ended_limit=60,
    # Enough for the last texts of an agent that called many tools after them.
    within=1_000,
)


async def enrichment_of(
    session: AsyncSession, run: Run, *, now: datetime, cache: RecentRuns
) -> Enrichment:
    """What the status of a run says beyond its row, composed from what is stored.

    Only what the run's status needs is read: nothing for a run that has not begun.

    Args:
        session: An open database session, in which the run was read.
        run: The run.
        now: The present time.
        cache: May be switched off; the answer is the same.
    """
    if run.started_at is None and not run.status.is_final:
        return compose(StatusRows(run=run), now=now)
    is_ended = run.status.is_final
    found = await events.newest(
        session,
        run.id,
        kinds=EVENTS.ended_kinds if is_ended else EVENTS.kinds,
        limit=EVENTS.ended_limit if is_ended else EVENTS.limit,
        within=EVENTS.within,
    )
    rows = StatusRows(
        run=run,
        steps=tuple(await steps.of_run(session, run.id)),
        events=tuple(found),
        past=tuple(await _past(session, run, cache)),
    )
    return compose(rows, now=now)


async def enrichment_of_read(
    context: ServiceContext, found: StatusRead, *, cache: RecentRuns
) -> Enrichment:
    """The same from what was read at once, with the window `EVENTS`."""
    run = found.run
    past: Sequence[PastRun] = ()
    if run.status is RunStatus.RUNNING:
        known = cache.past(run.workflow_name)
        if known is None:
            async with context.transaction() as session:
                known = await _past(session, run, cache)
        past = known
    rows = StatusRows(
        run=run, steps=tuple(found.steps), events=tuple(found.events), past=tuple(past)
    )
    return compose(rows, now=context.clock())


async def _past(session: AsyncSession, run: Run, cache: RecentRuns) -> Sequence[PastRun]:
    if run.status is not RunStatus.RUNNING:
        return ()
    kept = cache.past(run.workflow_name)
    if kept is not None:
        return kept
    found = await past_runs.of_workflow(session, run.workflow_name)
    cache.put_past(run.workflow_name, found)
    return found
