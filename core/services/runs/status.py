"""The status of a run: its row, and as much beyond it as can be read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor
from core.domain.progress.enrichment import Enrichment
from core.domain.runs.event import EventRecord
from core.domain.runs.run import Run
from core.services.context import ServiceContext, require_permission
from core.services.runs.enrichment import enrichment_of
from core.services.runs.recent_runs import RecentRuns
from core.services.runs.targets import find_run
from core.store import events, steps

log = logging.getLogger(__name__)

# A status is no log; the events of a run have a route of their own.
_MAX_LOG_EVENTS = 500


@dataclass(frozen=True, kw_only=True)
class StatusReport:
    """A run at one time.

    Attributes:
        is_complete: Whether everything that was asked for could be read; if not, there is nothing
            but the run.
        begun_steps: The names of the steps that were begun, in the order of the steps.
        enrichment: `None` if it was not asked for.
        log_events: The newest events, oldest first; `None` if they were not asked for.
    """

    run: Run
    is_complete: bool = True
    begun_steps: Sequence[str] = ()
    enrichment: Enrichment | None = None
    log_events: Sequence[EventRecord] | None = None


@dataclass(frozen=True)
class StatusService:
    """Reads statuses, of rows only.

    Attributes:
        cache: May be switched off; the answers are the same.
    """

    context: ServiceContext
    cache: RecentRuns = field(default_factory=RecentRuns)

    async def status(
        self, target: str, *, by: Actor, is_enhanced: bool = True, has_logs: bool = False
    ) -> StatusReport:
        """The status of a run.

        If anything beyond the run's row cannot be read, the report has the run alone.

        Args:
            target: A run id, a unique prefix of one, or a session's name or id.
            by: The person who asks.
            is_enhanced: Whether to add what is not in the row of the run.
            has_logs: Whether to add the newest events.

        Raises:
            RunNotFound: If no run has this id.
            AmbiguousRun: If several ids begin with the text.
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        report: StatusReport | None = None
        try:
            async with self.context.transaction() as session:
                require_permission(by, Action.VIEW)
                run = await find_run(session, target, by)
                report = StatusReport(run=run, is_complete=False)
                return await self._whole(session, run, is_enhanced=is_enhanced, has_logs=has_logs)
        except Exception as error:
            # What comes after the row must not cost the answer.
            if report is None:
                raise
            log.warning(
                "the status of %s stays without its enrichment",
                report.run.run_id,
                exc_info=error,
                extra={"event": "status.enrichment_failed", "run_id": report.run.run_id},
            )
            return report

    async def _whole(
        self, session: AsyncSession, run: Run, *, is_enhanced: bool, has_logs: bool
    ) -> StatusReport:
        enrichment: Enrichment | None = None
        if is_enhanced:
            enrichment = await enrichment_of(
                session, run, now=self.context.clock(), cache=self.cache
            )
        # The enrichment has the steps: then they need no second query.
        found = enrichment.steps if enrichment else await steps.of_run(session, run.id)
        return StatusReport(
            run=run,
            begun_steps=tuple(step.name for step in found if step.started_at is not None),
            enrichment=enrichment,
            log_events=await events.newest_of_run(session, run.id, limit=_MAX_LOG_EVENTS)
            if has_logs
            else None,
        )
