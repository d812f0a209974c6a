"""The route that lists the failed attempts of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.web.api.failures.failure_answers import FailureList, failure_answer
from bot.web.api.values import RunPath
from bot.web.route import AnyRoute, Call, Method, NoParameters, Route
from core.domain.actor import Action, Actor, Role
from core.domain.failures.failed_attempt import FailedAttempt
from core.domain.runs.run import Run


class FailureReader(Protocol):
    """Reads failed attempts; see `RunRecordService`."""

    async def failures(self, target: str, *, by: Actor) -> tuple[Run, Sequence[FailedAttempt]]:
        """A run and its failed attempts, oldest first."""
        ...


@dataclass(frozen=True)
class FailureRoutes:
    """Answers the failed attempts of runs."""

    records: FailureReader

    async def failures(self, call: Call[RunPath, NoParameters, NoParameters]) -> FailureList:
        """The failed attempts of a run."""
        run, found = await self.records.failures(call.path.run_id, by=call.actor)
        return FailureList(
            run_id=run.run_id,
            attempt=run.attempt,
            failures=[failure_answer(one) for one in found],
        )

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            Route(
                method=Method.GET,
                path="/workflows/claude-code/run/{run_id}/failures",
                name="list_failures",
                summary="The failed attempts of a run, with class, evidence and advice",
                tag="Runs",
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=RunPath,
                query=NoParameters,
                body=NoParameters,
                answer=FailureList,
                handler=self.failures,
                description="Each has what was decided after it, with the numbers that decided: "
                "another attempt, a wait for the account's usage limit, or the end of the run.",
            )
        ]
