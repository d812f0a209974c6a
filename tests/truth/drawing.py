"""Draws plans: which runs a session has, what the model answers, and what the agent does.

A plan depends only on its seed and number.  For other kinds of work see `tests/truth/work.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count

from bot.sandbox.model.script import Failure, Tokens, ToolCall, bash, write
from tests.truth.effects import Effect, Fill, RunTests, ShellEffect, State
from tests.truth.origin import MAIN, RELEASE
from tests.truth.plan import ENOUGH_TURNS, Answer, Disturbance, End, Leg, Plan, initial_state
from tests.truth.repository import Repository
from tests.truth.tasks import change_tasks
from tests.truth.work import KINDS, Site, new_file

# Longer than any wait; the run is stopped while it sleeps.
_SLEEP = timedelta(minutes=9)
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
# The share of answers with calls that fail.
_NOISY = 0.3
# A file of so many lines is made by a command.
_FEW = 20
_WITHOUT_REPOSITORY = 0.2
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


@dataclass
class Draft:
    """A plan while it is drawn."""

    number: int
    rng: random.Random
    state: State
    begin: Repository
    has_tasks: bool = False
    helpers: dict[int, tuple[Answer, ...]] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=lambda: count(1))

    def answer(self, *, text: str = "") -> Answer:
        """An answer without calls, with random tokens."""
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
        return Answer(text=words, tokens=tokens, is_report=is_report)

    def working(self, *, depth: int = 0, sleeps: bool = False, may_work: bool = True) -> Answer:
        """An answer with several tool calls at once.

        Args:
            depth: 0 for the main agent.
            sleeps: Whether the run is stopped meanwhile; then nothing else happens.
            may_work: Whether its calls may change something.
        """
        rng = self.rng
        # An error of one call can end those beside it, so then nothing is changed.
        is_noisy = not sleeps and (not may_work or rng.random() < _NOISY)
        noise = NOISE if is_noisy else (_look,)
        calls = [rng.choice(noise)(self) for _ in range(rng.choice((0, 1, 1, 2, 5)))]
        effects: list[Effect] = []
        if not is_noisy and not sleeps:
            for work in self.work(depth=depth):
                calls.append(_call_of(work))
                effects += work
            if depth == 0 and self.has_tasks and not any(_fails(effect) for effect in effects):
                for task in change_tasks(Site(rng, self.state, self.ids)):
                    calls.append(task.call)
                    effects.append(task)
        may_fail = is_noisy or any(_fails(effect) for effect in effects)
        delegates = depth < 2 and rng.random() < (0.3 if depth == 0 else 0.2)
        if delegates and not any(_fails(effect) for effect in effects):
            helpers = 1 if sleeps else rng.randint(1, 2)
            calls += [
                self.helper(depth=depth + 1, sleeps=sleeps, may_work=not is_noisy)
                for _ in range(helpers)
            ]
        elif sleeps:
            calls.append(bash(f"sleep {_SLEEP.seconds}", "Sleep", timeout=_SLEEP))
        return replace(
            self.answer(),
            calls=tuple(calls or (_look(self),)),
            sleeps=sleeps and not delegates,
            effects=tuple(effects),
            may_fail=may_fail,
        )

    def work(self, *, depth: int) -> list[tuple[Effect, ...]]:
        """One or two pieces of work, a call each; a failing one stands alone."""
        site, found = Site(self.rng, self.state, self.ids), list[tuple[Effect, ...]]()
        # Subagents work at the same time, so they leave the repository to the main agent.
        kinds = KINDS if depth == 0 else (new_file,)
        for _ in range(self.rng.choice((1, 1, 2))):
            work = self.rng.choice(kinds)(site)
            is_failing = work is not None and any(_fails(effect) for effect in work)
            if work is None or (is_failing and found):
                continue
            for effect in work:
                effect.apply(self.state)
            found.append(work)
            if is_failing:
                break
        return found

    def helper(self, *, depth: int, sleeps: bool, may_work: bool) -> ToolCall:
        """A call of a subagent."""
        name = next(self.ids)
        work = [self.working(depth=depth, may_work=may_work) for _ in range(self.rng.randint(0, 2))]
        if sleeps:
            work.append(self.working(depth=2, sleeps=True))
        self.helpers[name] = (*work, self.answer(text=f"Helper {name} has looked."))
        words = {
            "description": "Look around",
            "prompt": f"[plan: {self.number}] [helper: {name}] Look around.",
            "subagent_type": "general-purpose",
        }
        return ToolCall("Task", words)


def _call_of(work: tuple[Effect, ...]) -> ToolCall:
    """The call that does a piece of work."""
    fill = work[0] if len(work) == 1 else None
    if isinstance(fill, Fill) and fill.is_new and 0 < fill.content.lines < _FEW:
        return write(fill.path, fill.text)
    commands = [effect.command for effect in work if isinstance(effect, ShellEffect)]
    return bash(" && ".join(commands), "Work")


def _fails(effect: Effect) -> bool:
    return isinstance(effect, RunTests) and effect.run.failed > 0


def _look(draft: Draft) -> ToolCall:
    return bash(f"echo {next(draft.ids)}", "Look")


def _fail(draft: Draft) -> ToolCall:
    return bash(f"exit {draft.rng.randint(1, 9)}", "Fail")


def _read_nothing(draft: Draft) -> ToolCall:
    return ToolCall("Read", {"file_path": f"/nonexistent/{next(draft.ids)}"})


# Calls that change nothing.
NOISE: tuple[Callable[[Draft], ToolCall], ...] = (_look, _look, _fail, _read_nothing)


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
    branch = rng.choice((MAIN, MAIN, RELEASE)) if rng.random() > _WITHOUT_REPOSITORY else None
    state, begin = initial_state(branch), initial_state(branch).repository
    draft = Draft(number, rng, state, begin, has_tasks=rng.random() < 0.5)
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
        disturbed = disturbance if index == 0 else Disturbance.NONE
        leg, answers = _leg(draft, end, part=len(parts) - 1, disturbance=disturbed)
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
        branch=branch,
    )


def _leg(
    draft: Draft, end: End, *, part: int, disturbance: Disturbance
) -> tuple[Leg, list[Answer]]:
    rng = draft.rng
    draft.state.begin_leg()
    # The run before may leave one turn.
    least = 2 if end is End.TURN_LIMIT else 0
    count = rng.randint(least, 4)
    disturbed_at = None if disturbance is Disturbance.NONE else rng.randrange(max(count, 1))
    answers: list[Answer] = []
    for number in range(max(count, 1)):
        if number == disturbed_at:
            answers.append(draft.working(sleeps=True))
            if disturbance is Disturbance.LOST:
                draft.state.repository.lose_disk(draft.begin)
        if number < count:
            answers.append(draft.working())
    if end.sleeps:
        answers.append(draft.working(sleeps=True))
    elif end is End.FINISHED:
        answers.append(draft.answer(text=rng.choice(_LAST_WORDS)))
    elif end in _FAILURES:
        answers.append(Answer(text="", failures=(_FAILURES[end],)))
    number = len(answers) - (end in _FAILURES)
    limit = number if end is End.TURN_LIMIT else ENOUGH_TURNS
    return Leg(end=end, part=part, answers=number, turn_limit=limit), answers
