"""The plan of a session: what the scripted model answers, and what happens to each run of it.

A plan depends only on its seed and number.  To let runs do something else (commits, branches,
large files), add a function to `WORK`; to compare what comes of it, add one to `CHECKS` in
`tests/truth/check.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from itertools import count

from bot.sandbox.model.script import Failure, Tokens, ToolCall, bash, write
from core.domain.runs.run import StopReason

# Longer than any wait; the run is stopped while it sleeps.
_SLEEP = timedelta(minutes=9)
# More turns than any run makes.
ENOUGH_TURNS = 50
UNKNOWN_MODEL = "claude-unknown-9"
MODELS = ("claude-opus-5-5", "claude-haiku-4-5", UNKNOWN_MODEL)
_MODEL_WEIGHTS = (8, 2, 2)
# Final words that once were taken for something else.
_LAST_WORDS = (
    "All tests pass.",
    "I could not run the migration. The task is NOT done.",
    "Session limit reached errors are now shown as a banner; tests pass.",
    "An API Error: 500 is handled now.",
    "Claude AI usage limit reached|1767225600 is what the banner says.",
)


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
_WITHOUT_TURNS_LEFT = frozenset({End.TURN_LIMIT, End.FINISHED})
_FAILURES = {
    End.USAGE_LIMIT: Failure(
        status=429,
        error_type="rate_limit_error",
        message="This request would exceed your account's usage limit. Try again later.",
        should_retry=False,
    ),
    End.API_ERROR: Failure(status=500, message="Something broke", should_retry=False),
}
_END_WEIGHTS = {
    End.FINISHED: 4,
    End.TURN_LIMIT: 4,
    End.KILLED: 3,
    End.FORCE_KILLED: 2,
    End.TIME_LIMIT: 1,
    End.USAGE_LIMIT: 2,
    End.API_ERROR: 2,
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
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    tokens: Tokens = field(default_factory=Tokens)
    is_report: bool = False
    sleeps: bool = False
    failures: tuple[Failure, ...] = ()


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
    """

    number: int
    model: str
    disturbance: Disturbance
    legs: tuple[Leg, ...]
    parts: Mapping[int, tuple[Answer, ...]]
    helpers: Mapping[int, tuple[Answer, ...]]

    def describe(self) -> str:
        """A description in one line."""
        ends = ", ".join(leg.end for leg in self.legs)
        disturbed = "" if self.disturbance is Disturbance.NONE else f", {self.disturbance}"
        helped = f", {len(self.helpers)} subagents" if self.helpers else ""
        return f"plan {self.number} on {self.model}: {ends}{disturbed}{helped}"


@dataclass
class Draft:
    """A plan while it is drawn."""

    number: int
    rng: random.Random
    helpers: dict[int, tuple[Answer, ...]] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=lambda: count(1))

    def answer(
        self, *, calls: tuple[ToolCall, ...] = (), text: str = "", sleeps: bool = False
    ) -> Answer:
        """An answer with random tokens."""
        rng = self.rng
        tokens = Tokens(
            input=rng.randint(1, 5_000),
            output=rng.randint(1, 800),
            cache_read=rng.choice((0, rng.randint(1, 20_000))),
            cache_creation=rng.choice((0, rng.randint(1, 3_000))),
        )
        words, is_report = text or f"Step {next(self.ids)}.", False
        if rng.random() < 0.2:
            words, is_report = f"## Summary\n\nReport {next(self.ids)}: {words}", True
        return Answer(text=words, calls=calls, tokens=tokens, is_report=is_report, sleeps=sleeps)

    def working(self, *, depth: int = 0, sleeps: bool = False) -> Answer:
        """An answer with up to six tool calls at once."""
        rng = self.rng
        # An error of one call can end those beside it.
        work = (_look,) if sleeps else WORK
        calls = [rng.choice(work)(self) for _ in range(rng.choice((1, 1, 2, 3, 6)))]
        delegates = depth < 2 and rng.random() < (0.3 if depth == 0 else 0.2)
        if delegates:
            helpers = 1 if sleeps else rng.randint(1, 2)
            calls += [self.helper(depth=depth + 1, sleeps=sleeps) for _ in range(helpers)]
        elif sleeps:
            calls.append(bash(f"sleep {_SLEEP.seconds}", "Sleep", timeout=_SLEEP))
        return self.answer(calls=tuple(calls), sleeps=sleeps and not delegates)

    def helper(self, *, depth: int, sleeps: bool) -> ToolCall:
        """A call of a subagent."""
        name = next(self.ids)
        work = [self.working(depth=depth) for _ in range(self.rng.randint(0, 2))]
        if sleeps:
            work.append(self.working(depth=2, sleeps=True))
        self.helpers[name] = (*work, self.answer(text=f"Helper {name} has looked."))
        words = {
            "description": "Look around",
            "prompt": f"[plan: {self.number}] [helper: {name}] Look around.",
            "subagent_type": "general-purpose",
        }
        return ToolCall("Task", words)


def _look(draft: Draft) -> ToolCall:
    return bash(f"echo {next(draft.ids)}", "Look")


def _fail(draft: Draft) -> ToolCall:
    return bash(f"exit {draft.rng.randint(1, 9)}", "Fail")


def _write(draft: Draft) -> ToolCall:
    return write(f"file-{next(draft.ids)}.txt", "One line.\n")


def _read_nothing(draft: Draft) -> ToolCall:
    return ToolCall("Read", {"file_path": f"/nonexistent/{next(draft.ids)}"})


# What an answer's tool call can be.
WORK: tuple[Callable[[Draft], ToolCall], ...] = (_look, _look, _fail, _write, _read_nothing)


def plan_of(
    seed: int,
    number: int,
    *,
    disturbance: Disturbance = Disturbance.NONE,
    has_time_limits: bool = True,
) -> Plan:
    """The plan of this number.

    Args:
        seed: Another seed gives other plans.
        number: The number of the plan.
        disturbance: What happens to the worker of its first run.
        has_time_limits: Whether a run may end at its time limit, for which the test has to wait.
    """
    rng = random.Random(f"{seed}:{number}:{disturbance}")
    draft = Draft(number, rng)
    legs: list[Leg] = []
    parts: dict[int, list[Answer]] = {0: []}
    last = rng.choice((0, 0, 1, 2))
    for index in range(last + 1):
        if legs and legs[-1].end is End.FINISHED:
            parts[len(parts)] = []
        ends = [End.FINISHED] if index == last and rng.random() < 0.6 else list(_END_WEIGHTS)
        # Later runs have the time limit of the first one.
        if End.TIME_LIMIT in ends and (last or not has_time_limits):
            ends.remove(End.TIME_LIMIT)
        end = rng.choices(ends, [_END_WEIGHTS[one] for one in ends])[0]
        is_disturbed = index == 0 and disturbance is not Disturbance.NONE
        leg, answers = _leg(draft, end, part=len(parts) - 1, is_disturbed=is_disturbed)
        if legs and legs[-1].end not in _WITHOUT_TURNS_LEFT:
            # What is left of a limit is never taken away, so it must be less than this one.
            legs[-1] = replace(legs[-1], turn_limit=legs[-1].answers + 1)
        known = parts[leg.part]
        if known and known[-1].failures and not known[-1].text:
            # The answer that failed is given to the next run.
            answers[0] = replace(answers[0], failures=known.pop().failures + answers[0].failures)
        known += answers
        legs.append(leg)
    return Plan(
        number=number,
        model=rng.choices(MODELS, _MODEL_WEIGHTS)[0],
        disturbance=disturbance,
        legs=tuple(legs),
        parts={part: tuple(answers) for part, answers in parts.items()},
        helpers=draft.helpers,
    )


def _leg(draft: Draft, end: End, *, part: int, is_disturbed: bool) -> tuple[Leg, list[Answer]]:
    rng = draft.rng
    # The run before may leave one turn.
    least = 2 if end is End.TURN_LIMIT else 0
    answers = [draft.working() for _ in range(rng.randint(least, 4))]
    if is_disturbed:
        answers.insert(rng.randrange(max(len(answers), 1)), draft.working(sleeps=True))
    if end.sleeps:
        answers.append(draft.working(sleeps=True))
    elif end is End.FINISHED:
        answers.append(draft.answer(text=rng.choice(_LAST_WORDS)))
    elif end in _FAILURES:
        answers.append(Answer(text="", failures=(_FAILURES[end],)))
    number = len(answers) - (end in _FAILURES)
    limit = number if end is End.TURN_LIMIT else ENOUGH_TURNS
    return Leg(end=end, part=part, answers=number, turn_limit=limit), answers
