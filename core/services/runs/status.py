"""The status of a run: its row, and as much beyond it as can be read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.actor import Action, Actor
from core.domain.runs.enrichment import Enrichment
from core.domain.runs.event import EventRecord
from core.domain.runs.run import Run
from core.domain.runs.step import Step
from core.services.context import ServiceContext, require_permission
from core.services.runs.enrichment import enrich
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
        steps: The plan as last reported.
        enrichment: `None` if it was not asked for.
        log_events: The newest events, oldest first; `None` if they were not asked for.
    """

    run: Run
    is_complete: bool = True
    steps: Sequence[Step] = ()
    enrichment: Enrichment | None = None
    log_events: Sequence[EventRecord] | None = None


@dataclass(frozen=True)
class StatusService:
    """Reads statuses, of rows only."""

    context: ServiceContext

    async def status(
        self, target: str, *, by: Actor, is_enhanced: bool = True, has_logs: bool = False
    ) -> StatusReport:
        """The status of a run.

        Args:
            target: A run id, a unique prefix of one, or a session's name or id.
            by: The person who asks.
            is_enhanced: Whether to add what is not in the row of the run.
            has_logs: Whether to add the newest events.

        Raises:
            RunNotFound: If no run has this id.
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        report: StatusReport | None = None
        try:
            async with self.context.transaction() as session:
                require_permission(by, Action.VIEW)
                run = await find_run(session, target, by)
                report = StatusReport(run=run, is_complete=False)
                found = await steps.of_run(session, run.id)
                return StatusReport(
                    run=run,
                    steps=found,
                    log_events=await events.newest_of_run(session, run.id, limit=_MAX_LOG_EVENTS)
                    if has_logs
                    else None,
                    enrichment=await enrich(session, run, found, now=self.context.clock())
                    if is_enhanced
                    else None,
                )
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
