"""The status of a run: its row, and as much beyond it as can be read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor, is_allowed
from core.domain.errors import Unavailable
from core.domain.progress.enrichment import Enrichment, StepReport
from core.domain.runs.event import EventRecord
from core.domain.runs.run import Run, whole_run_id
from core.domain.runs.step import Step
from core.services.context import ServiceContext, require_permission
from core.services.runs.enrichment import EVENTS, enrichment_of, enrichment_of_read
from core.services.runs.kept_answers import KeptAnswers
from core.services.runs.recent_runs import AnswerForm, KeptAnswer, RecentRuns
from core.services.runs.targets import find_run
from core.store import events, steps
from core.store.database.engine import translate_errors
from core.store.runs import status_read, tasks
from core.store.runs.status_read import RowMark
from core.store.runs.tasks import TaskPlace

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
        mark: Of the run's row; `None` if the status was not read at once.
        place: The task that it works on; `None` for its own task, or if it was not asked for.
    """

    run: Run
    is_complete: bool = True
    begun_steps: Sequence[str] = ()
    enrichment: Enrichment | None = None
    log_events: Sequence[EventRecord] | None = None
    mark: RowMark | None = field(default=None, compare=False)
    place: TaskPlace | None = None


@dataclass
class StatusService:
    """Reads statuses, of rows only.

    Attributes:
        cache: May be switched off; the answers are the same.
        answers: What was answered about ended runs.
    """

    context: ServiceContext
    cache: RecentRuns = field(default_factory=RecentRuns)
    answers: KeptAnswers = field(init=False)

    def __post_init__(self) -> None:
        self.answers = KeptAnswers(self.context, self.cache)

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
        if not has_logs and is_allowed(by, Action.VIEW):
            direct = await self._direct(target, is_enhanced=is_enhanced)
            if direct is not None:
                return direct
        return await self._by_parts(target, by, is_enhanced=is_enhanced, has_logs=has_logs)

    async def kept(self, target: str, form: AnswerForm, *, by: Actor) -> KeptAnswer | None:
        """What was answered about an ended run, if its row is still the same; `None` if not.

        Args:
            target: Only a whole run id has an answer.
            form: What was asked for.
            by: The person who asks.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        run_id = whole_run_id(target)
        if run_id is None or not is_allowed(by, Action.VIEW):
            return None
        return await self.answers.find(run_id, form)

    def keep(self, report: StatusReport, form: AnswerForm, *, written: bytes, etag: str) -> None:
        """Keep what was answered about an ended run.

        Args:
            report: What was answered.
            form: As of `kept`.
            written: The answer, which depends on nothing but the report and the form.
            etag: The surface's mark of it.
        """
        if report.mark is not None:
            answer = KeptAnswer(mark=report.mark, written=written, etag=etag)
            self.answers.keep(report.run, form, answer)

    async def reports(self, run_ids: Sequence[str]) -> list[StatusReport]:
        """The whole statuses of several ended runs, read at once, in any order.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        with translate_errors():
            found = await status_read.read_many(self.context.database.reads, run_ids, window=EVENTS)
        reports = []
        for one in found:
            enrichment = await enrichment_of_read(self.context, one, cache=self.cache)
            reports.append(_report(one.run, enrichment.steps, enrichment, one.mark))
        return await self._with_places(reports)

    async def _with_places(self, reports: Sequence[StatusReport]) -> list[StatusReport]:
        """The same reports, those of continuations with the task that they work on."""
        later = {one.run.session_id for one in reports if tasks.begins_no_task(one.run)}
        if not later:
            return list(reports)
        async with self.context.transaction() as session:
            places = await tasks.of_sessions(session, later)
        return [
            replace(one, place=places.get(one.run.id)) if tasks.begins_no_task(one.run) else one
            for one in reports
        ]

    async def _direct(self, target: str, *, is_enhanced: bool) -> StatusReport | None:
        """The status by one statement; `None` if that does not answer.

        It does not if the run is named in another way than by its whole id, if no run has this
        id, or if anything about the run cannot be read or composed.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        run_id = whole_run_id(target)
        if run_id is None:
            return None
        try:
            with translate_errors():
                found = await status_read.read(
                    self.context.database.reads,
                    run_id,
                    window=EVENTS if is_enhanced else None,
                )
            if found is None:
                return None
            if not is_enhanced:
                return _report(found.run, found.steps, None, found.mark)
            enrichment = await enrichment_of_read(self.context, found, cache=self.cache)
            report = _report(found.run, enrichment.steps, enrichment, found.mark)
            return (await self._with_places([report]))[0]
        except Unavailable:
            raise
        except Exception as error:
            log.warning(
                "the status of %s is read by parts",
                run_id,
                exc_info=error,
                extra={"event": "status.direct_read_failed", "run_id": run_id},
            )
            return None

    async def _by_parts(
        self, target: str, by: Actor, *, is_enhanced: bool, has_logs: bool
    ) -> StatusReport:
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
        report = _report(run, found, enrichment)
        if is_enhanced and tasks.begins_no_task(run):
            report = replace(report, place=await tasks.of_run(session, run))
        if not has_logs:
            return report
        newest = await events.newest_of_run(session, run.id, limit=_MAX_LOG_EVENTS)
        return replace(report, log_events=newest)


def _report(
    run: Run,
    found: Sequence[Step | StepReport],
    enrichment: Enrichment | None,
    mark: RowMark | None = None,
) -> StatusReport:
    begun = tuple([step.name for step in found if step.started_at is not None])
    return StatusReport(run=run, begun_steps=begun, enrichment=enrichment, mark=mark)
