"""The arguments of the tools; their JSON schemas are what a client is shown."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from core.domain.runs.request import MAX_MODEL_CHARS, MAX_TASK_CHARS
from core.domain.runs.restarts.request import MAX_CHECKPOINT_NUMBER
from core.domain.sessions.names import MAX_SESSION_NAME_CHARS
from core.domain.workflow import MAX_BUDGET_USD, MAX_TIMEOUT, MAX_TURNS_LIMIT

MAX_LISTED = 100
# Clients give up a call after a minute or a few; before that it answers with the present state.
MAX_WAIT_SECONDS = 300
# A kill takes up to 10 s.
KILL_WAIT_SECONDS = 15
_MAX_PROBLEMS = 3


def _is_text(value: str) -> str:
    """Refuse what no database stores, before it gets there."""
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode") from None
    return value


Text = Annotated[str, AfterValidator(_is_text)]
RunTarget = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=255,
        description="A run's id (run_ and 12 hex digits), a unique beginning of it, or the name or "
        "id of a session, which means its newest run.",
    ),
]
IdempotencyKey = Annotated[
    Text | None,
    Field(
        min_length=1,
        max_length=100,
        description="A text of your own for this request. A repeated call with the same key "
        "returns the run of the first one and starts no second run.",
    ),
]


class Arguments(BaseModel):
    """Arguments of one tool; unknown ones are refused, since a typing error must not be lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunWorkflow(Arguments):
    """Arguments of `run_workflow`."""

    workflow_name: Annotated[Text, Field(min_length=1, max_length=100)]
    message: Annotated[
        Text, Field(min_length=1, max_length=MAX_TASK_CHARS, description="The task, in words.")
    ]
    repository_url: Annotated[
        Text | None,
        Field(max_length=500, description="Git repository; without one the workspace is empty."),
    ] = None
    git_branch: Annotated[Text | None, Field(max_length=255)] = None
    model: Annotated[Text | None, Field(max_length=100)] = None
    max_turns: Annotated[
        int | None, Field(ge=1, le=MAX_TURNS_LIMIT, description="Default: the workflow's.")
    ] = None
    timeout_seconds: Annotated[int | None, Field(ge=10, le=int(MAX_TIMEOUT.total_seconds()))] = None
    budget_usd: Annotated[
        float | None, Field(gt=0, le=float(MAX_BUDGET_USD), allow_inf_nan=False)
    ] = None
    session_name: Annotated[
        Text | None,
        Field(
            min_length=1,
            max_length=MAX_SESSION_NAME_CHARS,
            description="Runs of one name share conversation and workspace.",
        ),
    ] = None
    new_session: Annotated[
        bool,
        Field(description="Whether `session_name` moves to a new session, away from an open one."),
    ] = False
    idempotency_key: IdempotencyKey = None

    @model_validator(mode="after")
    def _has_what_the_branch_is_of(self) -> Self:
        # A named session may have a repository already.
        if self.git_branch and not self.repository_url and not self.session_name:
            raise ValueError("`git_branch` needs `repository_url`, too")
        return self

    @property
    def timeout(self) -> timedelta | None:
        """The time limit."""
        return None if self.timeout_seconds is None else timedelta(seconds=self.timeout_seconds)

    @property
    def budget(self) -> Decimal | None:
        """The budget, exactly as it was written."""
        return None if self.budget_usd is None else Decimal(repr(self.budget_usd))


class GetWorkflowStatus(Arguments):
    """Arguments of `get_workflow_status`."""

    run_id: RunTarget
    include_steps: bool = True
    wait_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_WAIT_SECONDS,
            description="Wait so long for the run to end, or to need a person; 0 answers at once.",
        ),
    ] = 0


class ListRuns(Arguments):
    """Arguments of `list_runs`."""

    state: Annotated[
        Literal["all", "live", "failed"],
        Field(description="live: pending or running. failed: ended without success."),
    ] = "all"
    workflow_name: Annotated[Text | None, Field(max_length=100)] = None
    limit: Annotated[int, Field(ge=1, le=MAX_LISTED)] = 20


class ContinueWorkflow(Arguments):
    """Arguments of `continue_workflow`."""

    run_id: RunTarget
    message: Annotated[
        Text | None,
        Field(
            max_length=MAX_TASK_CHARS,
            description="What to tell the agent; without it, it goes on where it stopped.",
        ),
    ] = None
    budget_usd: Annotated[
        float | None,
        Field(
            gt=0,
            le=float(MAX_BUDGET_USD),
            allow_inf_nan=False,
            description="Cost limit of the new run; default: that of the last one.",
        ),
    ] = None
    model: Annotated[Text | None, Field(min_length=1, max_length=MAX_MODEL_CHARS)] = None
    recovery: Annotated[
        bool,
        Field(
            description="Only for a conversation that cannot be restored: begin a new one with a "
            "summary of it, on the files as they are.",
        ),
    ] = False
    additional_turns: Annotated[
        int | None,
        Field(
            ge=1,
            le=MAX_TURNS_LIMIT,
            description="Turns beside those that were left; needed after a turn limit.",
        ),
    ] = None
    idempotency_key: IdempotencyKey = None

    @property
    def budget(self) -> Decimal | None:
        """The budget, exactly as it was written."""
        return None if self.budget_usd is None else Decimal(repr(self.budget_usd))


class RestartWorkflow(Arguments):
    """Arguments of `restart_workflow`."""

    run_id: RunTarget
    checkpoint: Annotated[
        int | None,
        Field(
            ge=1,
            le=MAX_CHECKPOINT_NUMBER,
            description="The number of a checkpoint, as the preview lists them; without one, from "
            "the start.",
        ),
    ] = None
    files_only: Annotated[
        bool,
        Field(
            description="Put only the files back to the checkpoint, and continue the conversation."
        ),
    ] = False
    message: Annotated[
        Text | None,
        Field(
            max_length=MAX_TASK_CHARS,
            description="What to tell the agent at the checkpoint; without it, it goes on.",
        ),
    ] = None
    preview: Annotated[
        bool, Field(description="Only say what it would do, and what is in its way.")
    ] = True
    idempotency_key: IdempotencyKey = None


class KillWorkflow(Arguments):
    """Arguments of `kill_workflow`."""

    run_id: Annotated[
        Text,
        Field(
            min_length=1,
            max_length=255,
            description="A run's id, or at least four digits of it after run_.",
        ),
    ]
    reason: Annotated[Text | None, Field(max_length=1000)] = None
    force: Annotated[
        bool, Field(description="Skip the time in which the agent may stop by itself.")
    ] = False
    wait_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=60,
            description="Wait so long for the proof that no process is left.",
        ),
    ] = KILL_WAIT_SECONDS


def problem_words(error: ValidationError) -> str:
    """What is wrong with the arguments and what to do, on one line; quotes none of their values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    named = [
        f"`{'.'.join(map(str, one['loc'])) or 'arguments'}`: "
        f"{one['msg'].removeprefix('Value error, ')}"
        for one in found[:_MAX_PROBLEMS]
    ]
    more = f" (and {len(found) - _MAX_PROBLEMS} more)" if len(found) > _MAX_PROBLEMS else ""
    return f"The arguments are wrong. {'; '.join(named)}{more}. Correct them and call again."
