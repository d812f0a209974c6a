"""The route that lists the checkpoints of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from bot.web.api.values import RunPath, money
from bot.web.route import Answer, AnyRoute, Call, Method, NoParameters, Route
from core.domain.actor import Action, Actor, Role
from core.domain.runs.checkpoint import PROBLEM_KEY, Checkpoint, CheckpointReason, NotStored
from core.domain.runs.run import Run

TAG = "Runs"


class CheckpointAnswer(Answer):
    """A point from which a run can restart.

    Attributes:
        number: What people type as `@N`; it rises along the session and its forks.
        step_id: The step that had ended, or that was in progress; `null` if there was none.
        message_uuid: The last entry of the transcript that belongs to it; `null` if the agent had
            not answered yet.
        is_call_open: Whether a tool call had begun after that message, so that the files may have
            a part of what it did.
        commit: The files, as a commit.
        head_commit: The commit that was checked out; `null` if there was none yet.
        base_commit: The repository has this commit and its ancestors; `null` if it has nothing.
        branch: The branch that was checked out; `null` if HEAD was detached.
        turns: Of the run so far, and so are `cost` and `tool_calls`.
        cost: US dollars; `null` if unknown.
        files_changed: Files that differ from the commit at which the run started; `null` if
            unknown.
        size_bytes: What the database stores of it.
        is_restorable_anywhere: Whether every machine can restore it, or only its worker.
        not_stored: Why only its worker can; `null` if every machine can.
    """

    checkpoint_id: UUID
    number: int
    taken_at: datetime
    reason: CheckpointReason
    step_id: int | None
    step_name: str | None
    message_uuid: UUID | None
    is_call_open: bool
    commit: str
    head_commit: str | None
    base_commit: str | None
    branch: str | None
    turns: int
    cost: float | None
    tool_calls: int
    files_changed: int | None
    lines_added: int | None
    lines_removed: int | None
    size_bytes: int
    is_restorable_anywhere: bool
    not_stored: NotStored | None


class CheckpointList(Answer):
    """The checkpoints that a run took, oldest first.

    Attributes:
        problem: What keeps the run from having more, for people; `null` if nothing does.
    """

    run_id: str
    checkpoints: list[CheckpointAnswer]
    problem: str | None


class CheckpointReader(Protocol):
    """Reads checkpoints; see `RunRecordService`."""

    async def checkpoints(self, target: str, *, by: Actor) -> tuple[Run, Sequence[Checkpoint]]:
        """A run and its checkpoints, oldest first."""
        ...


@dataclass(frozen=True)
class RunCheckpoints:
    """Lists the checkpoints of runs."""

    records: CheckpointReader

    async def checkpoints(self, call: Call[RunPath, NoParameters, NoParameters]) -> CheckpointList:
        """The checkpoints of a run."""
        run, found = await self.records.checkpoints(call.path.run_id, by=call.actor)
        problem = run.metadata.get(PROBLEM_KEY)
        return CheckpointList(
            run_id=run.run_id,
            checkpoints=[checkpoint_answer(one) for one in found],
            problem=problem if isinstance(problem, str) else None,
        )

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            Route(
                method=Method.GET,
                path="/workflows/claude-code/run/{run_id}/checkpoints",
                name="list_checkpoints",
                summary="The checkpoints of a run, from which it can restart",
                tag=TAG,
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=RunPath,
                query=NoParameters,
                body=NoParameters,
                answer=CheckpointList,
                handler=self.checkpoints,
            ),
        ]


def checkpoint_answer(one: Checkpoint) -> CheckpointAnswer:
    """A checkpoint as JSON."""
    diff = one.diff
    return CheckpointAnswer(
        checkpoint_id=one.id,
        number=one.number,
        taken_at=one.taken_at,
        reason=one.reason,
        step_id=one.step_id,
        step_name=one.step_name,
        message_uuid=one.message_uuid,
        is_call_open=one.is_call_open,
        commit=one.commit,
        head_commit=one.head_commit,
        base_commit=one.base_commit,
        branch=one.branch,
        turns=one.turns,
        cost=money(one.cost_usd),
        tool_calls=one.tool_calls,
        files_changed=None if diff is None else diff.files,
        lines_added=None if diff is None else diff.added,
        lines_removed=None if diff is None else diff.removed,
        size_bytes=one.size_bytes,
        is_restorable_anywhere=one.is_restorable_anywhere,
        not_stored=one.not_stored,
    )
