"""Routes that start and continue runs, with the fields of the older API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Protocol
from uuid import UUID

from pydantic import Field

from bot.web.request_errors import KeyReused
from bot.web.route import (
    Answer,
    AnyRoute,
    Call,
    LenientParameters,
    Method,
    NoParameters,
    Parameters,
    Route,
)
from bot.words import counts
from bot.words.runs.recovery import RECOVERY_BEGUN
from core.domain.actor import Action, Actor, Role
from core.domain.runs.request import (
    MAX_MODEL_CHARS,
    MAX_PROGRESS,
    MAX_TASK_CHARS,
    MIN_PROGRESS,
    PRIORITY_RANGE,
    ContinueRequest,
    Place,
    StartRequest,
    StartResult,
)
from core.domain.runs.run import Run, RunStatus
from core.domain.sessions.names import MAX_SESSION_NAME_CHARS
from core.domain.sessions.recovery import is_recovery
from core.domain.workflow import MAX_BUDGET_USD, MAX_TIMEOUT, MAX_TURNS_LIMIT

TAG = "Runs"
FindPlace = Callable[[], Place | None]
_MAX_INT = 2**63 - 1

Turns = Annotated[int, Field(strict=True, ge=1, le=MAX_TURNS_LIMIT)]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TASK_CHARS)]


class WorkflowPath(Parameters):
    """The workflow of a route."""

    workflow_name: Annotated[str, Field(min_length=1, max_length=100)]


class StartBody(LenientParameters):
    """What to start.  A limit or model that is left out is the workflow's own."""

    message: Annotated[Text, Field(description="The task.")]
    session_id: UUID | None = Field(
        default=None, description="An existing session, in which the run works."
    )
    session_name: Annotated[str, Field(min_length=1, max_length=MAX_SESSION_NAME_CHARS)] | None = (
        Field(default=None, description="A session of this name, which is made if there is none.")
    )
    new_session: bool = Field(
        default=False,
        description="Whether `session_name` names a new session, also if an open one has the name.",
    )
    repository_url: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    git_branch: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    max_turns: Turns | None = None
    timeout: (
        Annotated[int, Field(strict=True, ge=10, le=int(MAX_TIMEOUT.total_seconds()))] | None
    ) = Field(default=None, description="Seconds.")
    model: Annotated[str, Field(min_length=1, max_length=MAX_MODEL_CHARS)] | None = None
    budget_usd: Annotated[Decimal, Field(ge=Decimal("0.0001"), le=MAX_BUDGET_USD)] | None = None
    priority: (
        Annotated[int, Field(strict=True, ge=PRIORITY_RANGE[0], le=PRIORITY_RANGE[-1])] | None
    ) = Field(default=None, description="Higher starts earlier; 0 is normal.")
    progress_every: (
        Annotated[
            int,
            Field(
                strict=True,
                ge=int(MIN_PROGRESS.total_seconds()),
                le=int(MAX_PROGRESS.total_seconds()),
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="Seconds between two looks at its progress, which its Slack thread shows.",
    )
    user_id: (
        Annotated[str, Field(max_length=100)]
        | Annotated[int, Field(strict=True, ge=-_MAX_INT, le=_MAX_INT)]
        | None
    ) = Field(
        default=None,
        description="For whom the caller asks, kept with the run; its owner is the token's.",
    )


class ContinueBody(LenientParameters):
    """How to continue a session."""

    session_id: UUID
    additional_turns: Turns | None = Field(
        default=None, description="In addition to those that were left of the limit."
    )
    message: Text | None = None
    budget_usd: Annotated[Decimal, Field(ge=Decimal("0.0001"), le=MAX_BUDGET_USD)] | None = Field(
        default=None, description="The cost limit of the new run; left out, that of the last one."
    )
    model: Annotated[str, Field(min_length=1, max_length=MAX_MODEL_CHARS)] | None = Field(
        default=None, description="The model of the new run; left out, that of the last one."
    )
    recovery: bool = Field(
        default=False,
        description="Whether a conversation that cannot be restored is left behind: the run begins "
        "a new one with a summary of it, and works on the files as they are.",
    )


class StartAnswer(Answer):
    """The run that was started, now or by the same request before.

    Attributes:
        message: What happened, for people.
        started_at: When it began; until it begins, when it was requested.
    """

    run_id: str
    status: RunStatus
    message: str
    session_id: UUID
    workflow_name: str
    started_at: datetime
    queue_position: int | None = None
    max_turns: int | None = None
    continued_run_id: str | None = None
    is_recovery: bool = False
    is_new: bool = True


class Starter(Protocol):
    """Starts and continues runs; see `RunService`."""

    async def start(self, request: StartRequest, *, by: Actor) -> StartResult:
        """Start a workflow."""
        ...

    async def continue_run(
        self, request: ContinueRequest, *, by: Actor, place: Place | None = None
    ) -> StartResult:
        """Continue the session of an ended run."""
        ...


@dataclass(frozen=True)
class RunStarts:
    """Starts and continues runs.

    Attributes:
        place: Where a run that has no thread gets one; `None` for nowhere.
    """

    runs: Starter
    place: FindPlace

    async def start(self, call: Call[WorkflowPath, NoParameters, StartBody]) -> StartAnswer:
        """Start a run.

        Raises:
            KeyReused: If the request's key has started a run with another task.
        """
        body = call.body
        request = StartRequest(
            workflow=call.path.workflow_name,
            task=body.message,
            request_key=call.request_key,
            place=self.place(),
            repo=body.repository_url,
            branch=body.git_branch,
            model=body.model,
            max_turns=body.max_turns,
            budget_usd=body.budget_usd,
            timeout=None if body.timeout is None else timedelta(seconds=body.timeout),
            session_name=body.session_name,
            session_id=body.session_id,
            new_session=body.new_session,
            priority=body.priority or 0,
            progress_every=(
                None if body.progress_every is None else timedelta(seconds=body.progress_every)
            ),
            requested_for=None if body.user_id is None else str(body.user_id),
        )
        started = await self.runs.start(request, by=call.actor)
        if not started.is_new and started.run.task_input != body.message:
            raise KeyReused(started.run.run_id)
        return _answer(started)

    async def continue_run(
        self, call: Call[WorkflowPath, NoParameters, ContinueBody]
    ) -> StartAnswer:
        """Continue a session."""
        request = ContinueRequest(
            target=str(call.body.session_id),
            request_key=call.request_key,
            additional_turns=call.body.additional_turns,
            message=call.body.message,
            budget_usd=call.body.budget_usd,
            model=call.body.model,
            recovers=call.body.recovery,
            workflow=call.path.workflow_name,
        )
        return _answer(await self.runs.continue_run(request, by=call.actor, place=self.place()))

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            Route(
                method=Method.POST,
                path="/workflows/claude-code/run/{workflow_name}",
                name="start_run",
                summary="Start a run of a workflow",
                tag=TAG,
                role=Role.RUNNER,
                action=Action.START,
                path_parameters=WorkflowPath,
                query=NoParameters,
                body=StartBody,
                answer=StartAnswer,
                handler=self.start,
                description="With the header `Idempotency-Key`, a repeated request starts no "
                "second run.",
            ),
            Route(
                method=Method.POST,
                path="/workflows/claude-code/run/{workflow_name}/continue",
                name="continue_run",
                summary="Continue a session in a new run, past its turn limit",
                tag=TAG,
                role=Role.RUNNER,
                action=Action.CONTINUE,
                path_parameters=WorkflowPath,
                query=NoParameters,
                body=ContinueBody,
                answer=StartAnswer,
                handler=self.continue_run,
                description="The new run has the same conversation and the same workspace.",
            ),
        ]


def _answer(started: StartResult) -> StartAnswer:
    run = started.run
    return StartAnswer(
        run_id=run.run_id,
        status=run.status,
        message=_words(started),
        session_id=run.session_id,
        workflow_name=run.workflow_name,
        started_at=begun_at(run),
        queue_position=started.queue_position,
        max_turns=run.max_turns,
        continued_run_id=started.continued,
        is_recovery=is_recovery(run),
        is_new=started.is_new,
    )


def begun_at(run: Run) -> datetime:
    """When a run began; until it begins, when it was requested."""
    return run.started_at or run.created_at


def _words(started: StartResult) -> str:
    run = started.run
    if not started.is_new:
        return f"This request has already started {run.run_id}."
    words = (
        f"{run.run_id} continues {started.continued}"
        if started.continued
        else f"Started {run.run_id}"
    )
    if run.max_turns is not None:
        words += f" with up to {counts.plural(run.max_turns, 'turn')}"
    return f"{words}. {RECOVERY_BEGUN}" if is_recovery(run) else f"{words}."
