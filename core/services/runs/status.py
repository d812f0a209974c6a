"""The status of a run with its enrichment: steps, progress and result, composed from rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor
from core.domain.progress.enrichment import Enrichment, StatusRows, compose
from core.domain.progress.estimate import PastRun
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run, RunStatus
from core.services.context import ServiceContext, require_permission
from core.services.runs.recent_runs import RecentRuns
from core.services.runs.targets import find_run
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


@dataclass(frozen=True)
class StatusService:
    """Reads the status of runs."""

    context: ServiceContext
    cache: RecentRuns = field(default_factory=RecentRuns)

    async def status(self, target: str, *, by: Actor) -> tuple[Run, Enrichment]:
        """A run with its enrichment.

        Args:
            target: A run id, a unique prefix of one, or a session's name or id.
            by: The person who asks.

        Raises:
            NotAllowed: If the person may not view the run.
            RunNotFound: If no run has this id.
            AmbiguousRun: If several ids begin with the text.
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        async with self.context.transaction() as session:
            run = await find_run(session, target, by)
            require_permission(by, Action.VIEW, run)
            return run, await enrichment_of(session, run, now=now, cache=self.cache)
