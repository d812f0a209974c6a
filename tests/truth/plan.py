"""The plan of a session: what the scripted model answers, and what happens to each run of it.

A plan depends only on its seed and number, see `tests/truth/drawing.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.sandbox.model.script import Failure, Tokens, ToolCall
from core.domain.runs.run import StopReason
from tests.truth.effects import Effect, State
from tests.truth.origin import offered, repository_at

# More turns than any run makes.
ENOUGH_TURNS = 50


class End(StrEnum):
    """How a run ends."""

    FINISHED = "finished"
    TURN_LIMIT = "turn limit"
    KILLED = "killed"
    FORCE_KILLED = "killed by force"
    TIME_LIMIT = "time limit"
    USAGE_LIMIT = "usage limit"
    API_ERROR = "API error"

    @property
    def stop_reason(self) -> StopReason:
        """The stop reason that the run must have."""
        return _REASONS[self]

    @property
    def sleeps(self) -> bool:
        """Whether the run is stopped while a tool sleeps."""
        return self in (End.KILLED, End.FORCE_KILLED, End.TIME_LIMIT)


_REASONS = {
    End.FINISHED: StopReason.SUCCESS,
    End.TURN_LIMIT: StopReason.MAX_TURNS,
    End.KILLED: StopReason.KILLED,
    End.FORCE_KILLED: StopReason.KILLED,
    End.TIME_LIMIT: StopReason.TIMEOUT,
    End.USAGE_LIMIT: StopReason.USAGE_LIMIT,
    End.API_ERROR: StopReason.API_ERROR,
}


class Disturbance(StrEnum):
    """What happens to the worker of the first run while a tool sleeps."""

    NONE = "none"
    RESTARTED = "worker restarted"
    LOST = "worker lost"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer of the model.

    Attributes:
        is_report: Whether its text is a report.
        sleeps: Whether one of its tools sleeps until the run is stopped.
        failures: Sent instead of this answer, each to one run, before it is given.
        effects: What its calls do to the workspace, in their order.
        may_fail: Whether one of its calls fails.
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    tokens: Tokens = field(default_factory=Tokens)
    is_report: bool = False
    sleeps: bool = False
    failures: tuple[Failure, ...] = ()
    effects: tuple[Effect, ...] = ()
    may_fail: bool = False


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One run of a session.

    Attributes:
        part: The part of the script that it plays; a run continues its predecessor's part unless
            that was finished.
        answers: How many answers of the main agent it gets.
        turn_limit: The limit that its row must have.
    """

    end: End
    part: int
    answers: int
    turn_limit: int = ENOUGH_TURNS


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The runs of one session, and all answers to them.

    Attributes:
        parts: The answers to the main agent, by part.
        helpers: The answers to each subagent.
        branch: The branch of the repository that it starts from; `None` without a repository.
    """

    number: int
    model: str
    disturbance: Disturbance
    legs: tuple[Leg, ...]
    parts: Mapping[int, tuple[Answer, ...]]
    helpers: Mapping[int, tuple[Answer, ...]]
    branch: str | None = None
    workflow: str = "implement"

    def new_state(self) -> State:
        """The state of its workspace at the start."""
        return initial_state(self.branch)

    def describe(self) -> str:
        """A description in one line."""
        ends = ", ".join(leg.end for leg in self.legs)
        disturbed = "" if self.disturbance is Disturbance.NONE else f", {self.disturbance}"
        helped = f", {len(self.helpers)} subagents" if self.helpers else ""
        where = "without repository" if self.branch is None else f"from {self.branch}"
        return f"plan {self.number} on {self.model} {where}: {ends}{disturbed}{helped}"


def initial_state(branch: str | None) -> State:
    """The state of a workspace that starts from a branch; `None` is an empty one."""
    return State() if branch is None else State(repository_at(branch, offered()))
