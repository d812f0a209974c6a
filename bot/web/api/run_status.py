"""The route of a run's status, which can wait for a change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic_core import to_json

from bot.web.api.status_answer import StatusAnswer, StatusQuery, status_fields
from bot.web.api.values import RunPath
from bot.web.route import AnyRoute, Call, CheckedAnswer, Method, NoParameters, Route
from core.domain.actor import Action, Actor, Role
from core.domain.runs.run import Run
from core.services.runs.recent_runs import KeptAnswer
from core.services.runs.status import StatusReport


class StatusReader(Protocol):
    """Reads statuses; see `StatusService`."""

    async def status(
        self, target: str, *, by: Actor, is_enhanced: bool = True, has_logs: bool = False
    ) -> StatusReport:
        """The status of a run."""
        ...

    async def kept(self, target: str, form: str, *, by: Actor) -> KeptAnswer | None:
        """What was answered about an ended run that has not changed since."""
        ...

    def keep(self, report: StatusReport, form: str, *, written: bytes, etag: str) -> None:
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
        query, form = call.query, _form(call.query)
        # The facts of `debug` and `logs` are for people who look for a fault: nothing is kept.
        may_keep = not (query.debug or query.include_logs or query.wait)
        if may_keep:
            kept = await self.statuses.kept(call.path.run_id, form, by=call.actor)
            if kept is not None:
                return CheckedAnswer(written=kept.written, etag=kept.etag)
        report = await self._report(call)
        is_known = query.version == report.run.version or _etag(report, form) in call.known_etags
        if query.wait and is_known:
            await self.changes.wait_for_change(report.run, by=call.actor, seconds=query.wait)
            report = await self._report(call)
        written = to_json(status_fields(report, query, now=self.clock()))
        etag = _etag(report, form)
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


def _form(query: StatusQuery) -> str:
    """What an answer has, as digits."""
    chosen = (query.include_steps, query.include_logs, query.enhanced, query.debug)
    return "".join([str(int(flag)) for flag in chosen])


def _etag(report: StatusReport, form: str) -> str:
    """Changes with each write to what a status shows, but not as time passes."""
    run = report.run
    return f"{run.run_id}.{run.attempt}.{run.version}.{form}{report.is_complete:d}"
