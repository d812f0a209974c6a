"""What a person asks for, checked for sense before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from core.domain.errors import BadRequest, OutOfBounds
from core.domain.runs.run import Run
from core.domain.workflow import MAX_BUDGET_USD, MAX_TIMEOUT, MAX_TURNS_LIMIT

# Slack clips a message at 40,000 characters; a longer task belongs into a file of the repository.
MAX_TASK_CHARS = 40_000
MAX_SESSION_NAME_CHARS = 80
PRIORITY_RANGE = range(-100, 101)


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
    """Where a run's thread is to be: a Slack channel of a team."""

    team_id: str
    channel_id: str


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """A wish to start a workflow.  `None` leaves the definition's own value.

    Attributes:
        request_key: The outside's own id of this request; asking twice starts once.
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
    priority: int = 0

    def check(self) -> None:
        """Raise `BadRequest` for what cannot be meant."""
        if not self.task.strip():
            raise EmptyTask(self.workflow)
        if len(self.task) > MAX_TASK_CHARS:
            raise TaskTooLong(len(self.task))
        check_limits(self.max_turns, self.budget_usd, self.timeout)
        if self.session_name is not None and not (
            0 < len(self.session_name) <= MAX_SESSION_NAME_CHARS
        ):
            raise OutOfBounds(
                "session_name",
                f"of {len(self.session_name)} characters",
                user_message=f"A session name has 1 to {MAX_SESSION_NAME_CHARS} characters.",
            )
        if self.priority not in PRIORITY_RANGE:
            raise OutOfBounds(
                "priority",
                self.priority,
                user_message="A priority is a whole number from -100 to 100: 0 is normal, a higher "
                "one starts earlier.",
            )


def check_limits(
    max_turns: int | None, budget_usd: Decimal | None, timeout: timedelta | None
) -> None:
    """Raise `BadRequest` for limits out of bounds."""
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


@dataclass(frozen=True, kw_only=True)
class ContinueRequest:
    """A wish to go on with an ended run's session.

    Attributes:
        target: A run id, its unique prefix, or a session's name or id.
        additional_turns: Turns of the new leg; `None` for the definition's own.
        message: What to tell the agent; `None` for "go on where you stopped".
    """

    target: str
    request_key: str
    additional_turns: int | None = None
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class KillRequest:
    """A wish to end a run.

    Attributes:
        request_key: The outside's own id of the request: made again with it, it is one wish.
    """

    target: str
    force: bool = False
    reason: str | None = None
    request_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """Which runs to list; `None` and `False` do not filter."""

    mine: bool = False
    live: bool = False
    failed: bool = False
    workflow: str | None = None


@dataclass(frozen=True, kw_only=True)
class StartResult:
    """A run that was started, or the one this request had started before."""

    run: Run
    is_new: bool
    queue_position: int | None = None
