"""The route of a run's status, which can wait for a change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Protocol

from pydantic_core import to_json

from bot.web.api.statuses.edition import answer_edition
from bot.web.api.statuses.status_answer import StatusAnswer, StatusQuery, status_fields
from bot.web.api.values import RunPath
from bot.web.route import AnyRoute, Call, CheckedAnswer, Method, NoParameters, Route
from core.domain.actor import Action, Actor, Role
from core.domain.runs.run import Run
from core.services.runs.recent_runs import AnswerForm, KeptAnswer
from core.services.runs.status import StatusReport


class StatusReader(Protocol):
    """Reads statuses; see `StatusService`."""

    async def status(
        self, target: str, *, by: Actor, is_enhanced: bool = True, has_logs: bool = False
    ) -> StatusReport:
        """The status of a run."""
        ...

    async def kept(self, target: str, form: AnswerForm, *, by: Actor) -> KeptAnswer | None:
        """What was answered about an ended run that has not changed since."""
        ...

    def keep(self, report: StatusReport, form: AnswerForm, *, written: bytes, etag: str) -> None:
        """Keep an answer."""
        ...


class ChangeWaiter(Protocol):
    """Waits for changes of runs; see `RunWatchService`."""

    async def wait_for_change(self, run: Run, *, by: Actor, seconds: float) -> None:
        """Wait until a run has another version, at most for `seconds`."""
        ...


@dataclass(frozen=True)
class RunStatuses:
    """Answers statuses."""

    statuses: StatusReader
    changes: ChangeWaiter
    clock: Callable[[], datetime]

    async def status(self, call: Call[RunPath, StatusQuery, NoParameters]) -> CheckedAnswer:
        """The status of a run, now or when it changes."""
        query, form = call.query, form_of(call.query)
        # The facts of `debug` and `logs` are for people who look for a fault: nothing is kept.
        may_keep = not (query.debug or query.include_logs or query.wait)
        if may_keep:
            kept = await self.statuses.kept(call.path.run_id, form, by=call.actor)
            if kept is not None:
                return CheckedAnswer(written=kept.written, etag=kept.etag)
        report = await self._report(call)
        is_known = query.version == report.run.version or etag_of(report, form) in call.known_etags
        if query.wait and is_known:
            await self.changes.wait_for_change(report.run, by=call.actor, seconds=query.wait)
            report = await self._report(call)
        written = to_json(status_fields(report, query, now=self.clock()))
        etag = etag_of(report, form)
        if may_keep:
            self.statuses.keep(report, form, written=written, etag=etag)
        return CheckedAnswer(written=written, etag=etag)

    async def _report(self, call: Call[RunPath, StatusQuery, NoParameters]) -> StatusReport:
        return await self.statuses.status(
            call.path.run_id,
            by=call.actor,
            is_enhanced=call.query.enhanced,
            has_logs=call.query.include_logs,
        )

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            Route(
                method=Method.GET,
                path="/workflows/claude-code/run/{run_id}/status",
                name="get_run_status",
                summary="The status of a run",
                tag="Runs",
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=RunPath,
                query=StatusQuery,
                body=NoParameters,
                answer=StatusAnswer,
                handler=self.status,
                has_etag=True,
                waits=lambda query: query.wait > 0,
                omits_unset=True,
                description="While it runs there are `workflow_steps` and `progress_summary`, once "
                "it has ended `final_result`, `workflow_summary` and `step_by_step_results`. "
                "`null` means unknown. With `If-None-Match` the answer is 304 until the run "
                "changes; that time passes is no change. With `wait` the answer comes when the "
                "run changes, or after that time.",
            )
        ]


def form_of(query: StatusQuery) -> AnswerForm:
    """What an answer has, as digits.  Only answers in the usual form are worth a row."""
    return _form(query.include_steps, query.include_logs, query.enhanced, query.debug)


@cache
def _form(*chosen: bool) -> AnswerForm:
    is_usual = chosen == _USUAL
    name = "".join([str(int(flag)) for flag in chosen])
    return AnswerForm(name, answer_edition() if is_usual else None)


_USUAL = (True, False, True, False)
USUAL_QUERY = StatusQuery()


def etag_of(report: StatusReport, form: AnswerForm) -> str:
    """Changes with each write to what a status shows, but not as time passes."""
    run = report.run
    return f"{run.run_id}.{run.attempt}.{run.version}.{form.name}{report.is_complete:d}"
