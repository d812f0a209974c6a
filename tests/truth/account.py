"""The account of the scripted model: what it answered, counted where it answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from bot.sandbox.model.script import Conversation, Failure, FailureKind, Script, Turn
from core.domain.runs.run import Usage
from tests.truth.changes import changes_between
from tests.truth.effects import AddTask, State, Task, TestRun
from tests.truth.plan import Answer, Plan
from tests.truth.repository import Changes, Repository

_MILLION = Decimal(1_000_000)
_NO_ANSWER = Failure(kind=FailureKind.HANG, times=None)
# US dollars for a million tokens: input, output, cache reads, cache writes.  Written down here, not
# taken from the code that is tested.
_PRICES = {
    "claude-opus-5-5": ("4", "20", "0.2", "5"),
    "claude-haiku-4-5": ("1", "5", "0.1", "1.25"),
}


@dataclass(frozen=True, kw_only=True)
class Given:
    """An answer that the model has given."""

    answer: Answer
    is_helper: bool


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a run must show.

    Attributes:
        cost_usd: `None` if it is unknown.
        last_words: The main agent's last text; `None` if there is none.
        report: The last report among the four texts before the last words, if these are none.
        changes: What it did in its workspace.
        tests: The sum of its last test runs, one of each ecosystem; `None` if there is none.
        tasks: The agent's task list, by the numbers that its program gives.
        own_calls: The calls of the main agent.
    """

    turns: int
    calls: int
    own_calls: int
    usage: Usage
    cost_usd: Decimal | None
    last_words: str | None
    report: str | None
    changes: Changes
    tests: TestRun | None
    tasks: Mapping[int, Task]


@dataclass
class Account:
    """Plays plans, and counts what it answers.

    Attributes:
        given: The answers given so far, by plan.
        problems: Requests that no plan foresees.
        legs: The number of runs begun, by plan.
        stopping: Plans whose run is being stopped.  Its program may ask for one more answer when
            its tool ends, and does not live to hear it; so it gets none.
        states: The present state of each plan's workspace.
        starts: The repository of each plan when its present run began.
    """

    plans: Mapping[int, Plan]
    given: defaultdict[int, list[Given]] = field(default_factory=lambda: defaultdict(list))
    problems: list[str] = field(default_factory=list)
    legs: Counter[int] = field(default_factory=Counter)
    stopping: set[int] = field(default_factory=set)
    states: dict[int, State] = field(default_factory=dict)
    starts: dict[int, Repository] = field(default_factory=dict)
    _failed_legs: defaultdict[tuple[int, str, int], set[int]] = field(
        default_factory=lambda: defaultdict(set)
    )

    def begin_leg(self, plan: Plan) -> None:
        """Note that the next run of a plan begins, where the one before ended."""
        self.legs[plan.number] += 1
        self.stopping.discard(plan.number)
        state = self.states.setdefault(plan.number, plan.new_state())
        state.begin_leg()
        self.starts[plan.number] = state.repository.copy()

    @property
    def script(self) -> Script:
        """The script of the model."""
        return Script(name="truth", description="", play=self.play)

    def play(self, conversation: Conversation) -> Turn:
        """Answer as planned."""
        directives, position = conversation.directives, conversation.position
        plan = self.plans.get(conversation.int_directive("plan", -1))
        helper = conversation.int_directive("helper", 0)
        part = conversation.int_directive("part", 0)
        if plan is not None and plan.number in self.stopping:
            return Turn(failure=_NO_ANSWER)
        answers: Sequence[Answer] = ()
        if plan is not None:
            answers = plan.helpers[helper] if helper else plan.parts.get(part, ())
        if plan is None or position >= len(answers):
            self.problems.append(f"no answer {position} is planned for {dict(directives)}")
            return Turn(text="Nothing is planned.")
        self._check_results(plan, answers, conversation)
        answer, key = answers[position], (plan.number, f"{helper}:{part}", position)
        failed_legs, leg = self._failed_legs[key], self.legs[plan.number]
        if leg in failed_legs or len(failed_legs) < len(answer.failures):
            # Whatever the program tries, until the next run.
            failed_legs.add(leg)
            return Turn(failure=replace(answer.failures[len(failed_legs) - 1], times=None))
        self.given[plan.number].append(Given(answer=answer, is_helper=bool(helper)))
        for effect in answer.effects:
            effect.apply(self.states[plan.number])
        return Turn(text=answer.text, calls=answer.calls, tokens=answer.tokens)

    def _check_results(
        self, plan: Plan, answers: Sequence[Answer], conversation: Conversation
    ) -> None:
        """Note calls that did not do what they should."""
        for result in conversation.results:
            answer = answers[result.turn]
            if result.is_error and answer.effects and not answer.may_fail:
                self.problems.append(f"{plan.describe()}: {result.input} failed: {result.text}")
            names = {one.name: one.number for one in answer.effects if isinstance(one, AddTask)}
            number = names.get(str(result.input.get("subject")))
            if number is not None and f"Task #{number} created" not in result.text:
                self.problems.append(f"{plan.describe()}: not task {number}: {result.text}")

    def is_asleep(self, plan: Plan, *, since: int) -> bool:
        """Whether a tool sleeps of which no answer later than `since` tells the end."""
        return any(one.answer.sleeps for one in self.given[plan.number][since:])

    def figures(self, plan: Plan, *, since: int, texts_since: int | None = None) -> Figures:
        """Add up the answers of a run.

        Args:
            plan: Its session's plan.
            since: How many answers the session had before the run.
            texts_since: The same before the run's last attempt, if it is not the first.
        """
        given, state = self.given[plan.number], self.states[plan.number]
        answers = [one.answer for one in given[since:]]
        texts = [
            one.answer
            for one in given[since if texts_since is None else texts_since :]
            if not one.is_helper
        ]
        usage = sum((_usage(answer) for answer in answers), Usage())
        before, last = texts[-5:-1], texts[-1] if texts else None
        reports = [answer.text for answer in before if answer.is_report]
        return Figures(
            turns=sum(not one.is_helper for one in given[since:]),
            calls=sum(len(answer.calls) for answer in answers),
            own_calls=sum(len(one.answer.calls) for one in given[since:] if not one.is_helper),
            usage=usage,
            cost_usd=cost_of(plan.model, usage),
            last_words=last.text if last else None,
            report=reports[-1] if reports and last and not last.is_report else None,
            changes=changes_between(self.starts[plan.number], state.repository),
            tests=_sum(list(state.tests.values())),
            tasks=dict(state.tasks),
        )


def cost_of(model: str, usage: Usage) -> Decimal | None:
    """The price of tokens; unknown without any, and for a model without a price."""
    if model not in _PRICES or usage == Usage():
        return None
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_creation_tokens,
    )
    prices = _PRICES[model]
    return sum(
        (Decimal(price) * number for price, number in zip(prices, counts, strict=True)), Decimal(0)
    ) / (_MILLION)


def _usage(answer: Answer) -> Usage:
    tokens = answer.tokens
    return Usage(
        input_tokens=tokens.input or 0,
        output_tokens=tokens.output or 0,
        cache_read_tokens=tokens.cache_read or 0,
        cache_creation_tokens=tokens.cache_creation or 0,
    )


def _sum(tests: Sequence[TestRun]) -> TestRun | None:
    return sum(tests[1:], tests[0]) if tests else None
