"""The route that restarts a run, or only shows what that would do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Protocol
from uuid import UUID

from pydantic import Field

from bot.web.api.restarts.answers import PreviewAnswer, preview_answer
from bot.web.api.run_starts import TAG, FindPlace, Text, Turns, begun_at
from bot.web.api.values import RunPath
from bot.web.request_errors import KeyReused
from bot.web.route import Answer, AnyRoute, Call, Method, NoParameters, Parameters, Route
from bot.words.markup import PLAIN
from bot.words.restarts import restarted_words
from core.domain.actor import Action, Actor, Role
from core.domain.runs.request import Place, StartResult
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.restarts.preview import RestartPreview
from core.domain.runs.restarts.request import (
    MAX_CHECKPOINT_NUMBER,
    DefinitionChoice,
    RestartMode,
    RestartRequest,
)
from core.domain.runs.run import RunStatus
from core.domain.workflow import MAX_BUDGET_USD


class RestartBody(Parameters):
    """From where to restart, and how."""

    checkpoint: Annotated[int, Field(strict=True, ge=1, le=MAX_CHECKPOINT_NUMBER)] | None = Field(
        default=None, description="Its number; without one, the start."
    )
    mode: RestartMode = Field(
        default=RestartMode.FORK,
        description="`fork` is a new session with conversation and files as they were; `files` "
        "puts only the files back and continues the same conversation.",
    )
    preview: bool = Field(
        default=False, description="Only show what it would do; nothing is started."
    )
    message: Text | None = Field(
        default=None, description="What to tell the agent at a checkpoint."
    )
    definition: DefinitionChoice | None = Field(
        default=None,
        description="Whether to follow the workflow as it is now, or the instructions that the old "
        "run had.",
    )
    max_turns: Turns | None = None
    budget_usd: Annotated[Decimal, Field(ge=Decimal("0.0001"), le=MAX_BUDGET_USD)] | None = None


class RestartAnswer(Answer):
    """The run that was started, now or by the same request before, or only the preview.

    Attributes:
        message: What happened, for people.
        run_id: `null` if nothing was started, as are the fields after it.
        preview: What it would do; only if that was asked for.
    """

    message: str
    restarted_run_id: str
    run_id: str | None = None
    status: RunStatus | None = None
    session_id: UUID | None = None
    workflow_name: str | None = None
    started_at: datetime | None = None
    queue_position: int | None = None
    max_turns: int | None = None
    is_new: bool = False
    preview: PreviewAnswer | None = None


class Restarter(Protocol):
    """Restarts runs; see `RestartService`."""

    async def preview(self, request: RestartRequest, *, by: Actor) -> RestartPreview:
        """What a restart would do."""
        ...

    async def restart(
        self, request: RestartRequest, *, by: Actor, place: Place | None = None
    ) -> StartResult:
        """Restart an ended run in a new one."""
        ...


@dataclass(frozen=True)
class RestartRoutes:
    """Restarts runs.

    Attributes:
        place: Where a run that has no thread gets one; `None` for nowhere.
    """

    restarts: Restarter
    place: FindPlace

    async def restart(self, call: Call[RunPath, NoParameters, RestartBody]) -> RestartAnswer:
        """Restart a run, or show what that would do.

        Raises:
            KeyReused: If the request's key has started another run.
        """
        body = call.body
        request = RestartRequest(
            target=call.path.run_id,
            request_key=call.request_key,
            checkpoint=body.checkpoint,
            mode=body.mode,
            message=body.message,
            definition=body.definition,
            max_turns=body.max_turns,
            budget_usd=body.budget_usd,
        )
        if body.preview:
            preview = await self.restarts.preview(request, by=call.actor)
            return RestartAnswer(
                message="Nothing was started: this is what a restart would do.",
                restarted_run_id=preview.run.run_id,
                preview=preview_answer(preview),
            )
        started = await self.restarts.restart(request, by=call.actor, place=self.place())
        origin = RestartOrigin.of(started.run)
        if origin is None or origin.checkpoint != body.checkpoint:
            raise KeyReused(started.run.run_id)
        return _answer(started, origin)

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            Route(
                method=Method.POST,
                path="/workflows/claude-code/run/{run_id}/restart",
                name="restart_run",
                summary="Restart an ended run from its start or from a checkpoint",
                tag=TAG,
                role=Role.RUNNER,
                action=Action.RESTART,
                path_parameters=RunPath,
                query=NoParameters,
                body=RestartBody,
                answer=RestartAnswer,
                handler=self.restart,
                description="The new run has a session and a workspace of its own; the old ones "
                "stay. With `preview` nothing is started. With the header `Idempotency-Key`, a "
                "repeated request starts no second run.",
            ),
        ]


def _answer(started: StartResult, origin: RestartOrigin) -> RestartAnswer:
    run = started.run
    words = f"{run.run_id}: {restarted_words(origin, PLAIN)}."
    if not started.is_new:
        words = f"This has already started {run.run_id}."
    return RestartAnswer(
        message=words,
        restarted_run_id=origin.run_id,
        run_id=run.run_id,
        status=run.status,
        session_id=run.session_id,
        workflow_name=run.workflow_name,
        started_at=begun_at(run),
        queue_position=started.queue_position,
        max_turns=run.max_turns,
        is_new=started.is_new,
    )
