"""Requests of people, with the checks that need no database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from core.domain.errors import BadRequest, OutOfBounds
from core.domain.runs.run import Run
from core.domain.sessions.names import clean_session_name
from core.domain.workflow import MAX_BUDGET_USD, MAX_TIMEOUT, MAX_TURNS_LIMIT

# How often a run can post its progress.
MIN_PROGRESS = timedelta(minutes=1)
MAX_PROGRESS = timedelta(hours=24)
# Slack clips messages at 40,000 characters; a longer task belongs in a file of the repository.
MAX_TASK_CHARS = 40_000
PRIORITY_RANGE = range(-100, 101)
MAX_MODEL_CHARS = 100


class EmptyTask(BadRequest):
    """A run was asked for without a task."""

    code = "empty_task"

    def __init__(self, workflow: str) -> None:
        super().__init__("empty task", user_message="The task is empty: say what is to be done.")
        self.workflow = workflow


class TaskTooLong(BadRequest):
    """A task has more than `MAX_TASK_CHARS` characters."""

    code = "task_too_long"

    def __init__(self, length: int) -> None:
        super().__init__(
            f"task of {length} characters",
            user_message=f"The task has {length:,} characters; the limit is {MAX_TASK_CHARS:,}. "
            "Put the long part into a file of the repository and name it in the task.",
        )
        self.length = length


@dataclass(frozen=True, kw_only=True)
class Place:
    """The Slack channel in which a run's thread is shown."""

    team_id: str
    channel_id: str


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """A request to start a workflow; a limit or model of `None` is the definition's own.

    Attributes:
        request_key: The request's id at its origin; a repeated request starts no second run.
        place: Where the run is shown; `None` for nowhere.
        session_id: The session to work in, which exists; it wins over `session_name`.
        new_session: Whether the name moves to a new session, away from an open one that has it.
        requested_for: For whom a program asks, in its own words; kept with the run as it is.
        priority: Higher starts earlier; 0 is normal.
        progress_every: How often its progress is posted in its thread; `None` for never, or as
            the subscriptions of its channel say.
    """

    workflow: str
    task: str
    request_key: str
    place: Place | None = None
    repo: str | None = None
    branch: str | None = None
    model: str | None = None
    max_turns: int | None = None
    budget_usd: Decimal | None = None
    timeout: timedelta | None = None
    session_name: str | None = None
    session_id: UUID | None = None
    new_session: bool = False
    requested_for: str | None = None
    priority: int = 0
    progress_every: timedelta | None = None

    def check(self) -> None:
        """Check the request.

        Raises:
            BadRequest: If the task is empty or a value is out of bounds.
        """
        if not self.task.strip():
            raise EmptyTask(self.workflow)
        if len(self.task) > MAX_TASK_CHARS:
            raise TaskTooLong(len(self.task))
        check_limits(self.max_turns, self.budget_usd, self.timeout)
        check_model(self.model)
        if self.session_name is not None:
            clean_session_name(self.session_name)
        if self.priority not in PRIORITY_RANGE:
            raise OutOfBounds(
                "priority",
                self.priority,
                user_message="A priority is a whole number from -100 to 100: 0 is normal, a higher "
                "one starts earlier.",
            )
        every = self.progress_every
        if every is not None and not MIN_PROGRESS <= every <= MAX_PROGRESS:
            raise OutOfBounds(
                "progress_every",
                every,
                user_message="Progress can be posted every 1 minute to 24 hours.",
            )


def check_limits(
    max_turns: int | None, budget_usd: Decimal | None, timeout: timedelta | None
) -> None:
    """Check the limits that a person set.

    Raises:
        BadRequest: If one is out of bounds.
    """
    if max_turns is not None and not 1 <= max_turns <= MAX_TURNS_LIMIT:
        raise OutOfBounds(
            "max_turns",
            max_turns,
            user_message=f"Turns must be from 1 to {MAX_TURNS_LIMIT}, not {max_turns}.",
        )
    if budget_usd is not None and not (
        budget_usd.is_finite() and Decimal(0) < budget_usd <= MAX_BUDGET_USD
    ):
        raise OutOfBounds(
            "budget_usd",
            budget_usd,
            user_message=f"A budget is more than 0 and at most {MAX_BUDGET_USD:,} US dollars.",
        )
    if timeout is not None and not timedelta(seconds=10) <= timeout <= MAX_TIMEOUT:
        raise OutOfBounds(
            "timeout", timeout, user_message="A time limit is from 10 seconds to 24 hours."
        )


def check_model(model: str | None) -> None:
    """Check the name of a model.

    Raises:
        BadRequest: If no model can have this name.
    """
    if model is None:
        return
    if not 0 < len(model) <= MAX_MODEL_CHARS or any(mark.isspace() for mark in model):
        raise OutOfBounds(
            "model",
            model[:MAX_MODEL_CHARS],
            user_message=f"The name of a model has 1 to {MAX_MODEL_CHARS} characters and no space.",
        )


@dataclass(frozen=True, kw_only=True)
class ContinueRequest:
    """A request to continue the session of an ended run with a new run.

    Attributes:
        target: A run id, a unique prefix of one, or a session's name or id.
        request_key: As in `StartRequest`.
        additional_turns: Turns in addition to those that the continued run had left of its limit;
            `None` for those alone, or for the definition's limit if none are left.
        message: The message to the agent; `None` asks it to go on where it stopped.
        budget_usd: The cost limit of the new run; `None` is that of the continued one.
        model: The model of the new run; `None` is that of the continued one.
        recovers: Whether a conversation that cannot be restored is replaced by a new one, which
            begins with a summary of it.
        workflow: The workflow that the session is expected to be of, if the request names one.
        is_click: Whether a button of that run was pressed, which people do twice by mistake: if
            the run was continued before, nothing new is started.  Otherwise the session goes on
            from its newest run.
    """

    target: str
    request_key: str
    additional_turns: int | None = None
    message: str | None = None
    budget_usd: Decimal | None = None
    model: str | None = None
    recovers: bool = False
    workflow: str | None = None
    is_click: bool = False

    def check(self) -> None:
        """Check the request.

        Raises:
            BadRequest: If a value is out of bounds.
        """
        check_limits(self.additional_turns, self.budget_usd, None)
        if self.message is not None and len(self.message) > MAX_TASK_CHARS:
            raise TaskTooLong(len(self.message))
        check_model(self.model)


@dataclass(frozen=True, kw_only=True)
class KillRequest:
    """A request to kill a run.

    Attributes:
        target: A run id, a unique prefix of one, or a session's name or id.
        force: Whether to skip the interrupt, which leaves the agent time to stop.
        request_key: The request's id at its origin; a repeated request has no further effect.
    """

    target: str
    force: bool = False
    reason: str | None = None
    request_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """A filter for runs; `None` and `False` do not restrict anything."""

    mine: bool = False
    live: bool = False
    failed: bool = False
    workflow: str | None = None


@dataclass(frozen=True, kw_only=True)
class StartResult:
    """The run that a request has started, now or earlier (then `is_new` is false).

    Attributes:
        continued: `run_id` of the run that a new one continues; `None` for a start.
    """

    run: Run
    is_new: bool
    queue_position: int | None = None
    continued: str | None = None
