"""Routes that kill a run, and that read its terminations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

from pydantic import Field

from bot.web.api.values import RunPath
from bot.web.route import Answer, AnyRoute, Call, Method, NoParameters, Parameters, Route
from core.domain.actor import Action, Actor, Role
from core.domain.kills.termination import Phase, ProofMethod, Termination
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run
from core.services.runs.records import NamedRun

TAG = "Runs"


class KillBody(Parameters):
    """How to kill a run."""

    force: bool = Field(default=False, description="Whether to skip the time to stop by itself.")
    reason: Annotated[str, Field(max_length=1000)] | None = None


class ProcessAnswer(Answer):
    """A process of the run that was alive at the last scan."""

    pid: int
    started_ticks: int
    name: str


class CriticalWaitAnswer(Answer):
    """A critical tool call for which the kill waited."""

    tool: str
    summary: str
    pattern: str
    milliseconds: int
    finished: bool


class TerminationAnswer(Answer):
    """The record of a kill.

    Attributes:
        task: What the run works on, its first words; of a later leg the task of the first one.
        leg: Its number among the runs of its session on that task.
        phases: When each phase began, in milliseconds after `requested_at`, in order.
        is_confirmed: Whether it is proven that nothing of the run is alive.
        elapsed_milliseconds: From the request to the proof; `null` until then.
    """

    termination_id: UUID
    run_id: str
    task: str
    leg: int
    phase: Phase
    is_confirmed: bool
    requested_at: datetime
    requested_by: str | None
    requested_from: str
    reason: str | None
    force: bool
    phases: dict[Phase, int]
    processes_seen: int
    survivors: list[ProcessAnswer]
    proof_by: ProofMethod | None
    work_saved: dict[str, Any]
    waited_for: list[CriticalWaitAnswer]
    cleanup: dict[str, Any]
    completed_at: datetime | None
    elapsed_milliseconds: int | None


class TerminationList(Answer):
    """The kills of a run, newest first."""

    run_id: str
    terminations: list[TerminationAnswer]


class Killer(Protocol):
    """Kills runs; see `RunService`."""

    async def kill(self, request: KillRequest, *, by: Actor) -> Termination:
        """Request the kill of a run."""
        ...


class TerminationReader(Protocol):
    """Reads kills; see `RunRecordService`."""

    async def terminations(self, target: str, *, by: Actor) -> tuple[Run, Sequence[Termination]]:
        """A run and its kills, newest first."""
        ...

    async def named(self, uuid: UUID) -> NamedRun:
        """What people call the run whose row has this id."""
        ...


@dataclass(frozen=True)
class RunKills:
    """Kills runs, and reads the records of kills."""

    runs: Killer
    records: TerminationReader

    async def kill(self, call: Call[RunPath, NoParameters, KillBody]) -> TerminationAnswer:
        """Kill a run."""
        request = KillRequest(
            target=call.path.run_id,
            force=call.body.force,
            reason=call.body.reason,
            request_key=call.request_key,
        )
        kill = await self.runs.kill(request, by=call.actor)
        return termination_answer(kill, await self.records.named(kill.run_id))

    async def terminations(
        self, call: Call[RunPath, NoParameters, NoParameters]
    ) -> TerminationList:
        """The kills of a run."""
        run, found = await self.records.terminations(call.path.run_id, by=call.actor)
        return TerminationList(
            run_id=run.run_id,
            terminations=[
                termination_answer(one, await self.records.named(run.id)) for one in found
            ],
        )

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            Route(
                method=Method.POST,
                path="/workflows/claude-code/run/{run_id}/kill",
                name="kill_run",
                summary="Kill a run, and answer the record of the kill",
                tag=TAG,
                role=Role.RUNNER,
                action=Action.KILL,
                path_parameters=RunPath,
                query=NoParameters,
                body=KillBody,
                answer=TerminationAnswer,
                handler=self.kill,
                description="The kill goes on after the answer; the terminations of the run show "
                "each phase and the proof. Needs at least 4 digits of the run's id.",
            ),
            Route(
                method=Method.GET,
                path="/workflows/claude-code/run/{run_id}/terminations",
                name="list_terminations",
                summary="The kills of a run, with their phases and proofs",
                tag=TAG,
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=RunPath,
                query=NoParameters,
                body=NoParameters,
                answer=TerminationList,
                handler=self.terminations,
            ),
        ]


def termination_answer(kill: Termination, named: NamedRun) -> TerminationAnswer:
    """A termination as JSON."""
    elapsed = kill.elapsed
    return TerminationAnswer(
        termination_id=kill.id,
        run_id=named.run_id,
        task=named.task,
        leg=named.leg,
        phase=kill.phase,
        is_confirmed=kill.phase is Phase.CONFIRMED,
        requested_at=kill.requested_at,
        requested_by=kill.requested_by_name,
        requested_from=kill.requested_from,
        reason=kill.reason,
        force=kill.force,
        phases=dict(kill.phases),
        processes_seen=kill.processes_seen,
        survivors=[
            ProcessAnswer(pid=one.pid, started_ticks=one.started_ticks, name=one.name)
            for one in kill.survivors
        ],
        proof_by=kill.proof_by,
        work_saved=dict(kill.work_saved),
        waited_for=[
            CriticalWaitAnswer(
                tool=one.tool,
                summary=one.summary,
                pattern=one.pattern,
                milliseconds=one.milliseconds,
                finished=one.finished,
            )
            for one in kill.waited_for
        ],
        cleanup=dict(kill.cleanup),
        completed_at=kill.completed_at,
        elapsed_milliseconds=None if elapsed is None else round(elapsed.total_seconds() * 1000),
    )
