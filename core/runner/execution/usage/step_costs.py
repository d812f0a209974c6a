"""The cost of each step: of the model's answers while it was in progress.  Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from core.domain.price import plausible_usd
from core.domain.runs.event import AgentEvent, AgentText, PlanChanged, ToolStarted, TurnUsage
from core.domain.runs.step import Step
from core.domain.steps.fold import step_in_progress
from core.domain.steps.kinds import is_marker, is_phase
from core.runner.execution.answers import estimated_cost

# As many answers as count for the run.
_MAX_ANSWERS = 20_000
# Costs of steps come from the price table.  They stand only if all of them together are what the
# program reported.
_MAX_DEVIATION = Decimal("0.01")

# A plan begins with the ids of the steps that stood in for it: they are other steps.
_Key = tuple[bool, bool, int]


class StepCosts:
    """Follows which answer belongs to which step.

    An answer belongs to the step that is in progress after its calls; if there is none then, to
    the one in progress before them.  Answers to subagents belong to the main agent's step.
    """

    def __init__(self) -> None:
        self._step_of_answer: dict[str, _Key] = {}
        self._answer: str | None = None
        # Steps in which an earlier attempt worked at an unknown cost.
        self._unknown: frozenset[_Key] = frozenset()

    def begin(self, steps: Sequence[Step]) -> None:
        """Begin with the steps of earlier attempts."""
        self._unknown = frozenset(
            _key(step) for step in steps if step.tool_calls and step.cost_usd is None
        )

    def follow(self, event: AgentEvent, steps: Sequence[Step]) -> None:
        """Note an event; `steps` are those after it."""
        match event:
            case TurnUsage():
                if not event.is_subagent:
                    self._answer = event.message_id
                self._assign(event.message_id, steps)
            case AgentText(is_subagent=False) | ToolStarted(is_subagent=False) | PlanChanged():
                if self._answer is not None:
                    self._assign(self._answer, steps)
            case _:
                pass

    def add_answer(self, message_id: str, steps: Sequence[Step]) -> None:
        """Note an answer that only the transcript has shown so far."""
        if message_id not in self._step_of_answer:
            self._assign(message_id, steps)

    def priced(
        self,
        steps: tuple[Step, ...],
        answers: Mapping[str, TurnUsage],
        *,
        model: str | None,
        reported_usd: Decimal | None,
    ) -> tuple[Step, ...]:
        """Return the steps with their costs, those of earlier attempts included.

        Args:
            steps: With the costs of earlier attempts.
            answers: All answers of this attempt, by id.
            model: The model of answers that do not name theirs.
            reported_usd: The cost of this attempt as the program reported it, once it has.
        """
        by_step: defaultdict[_Key, list[TurnUsage]] = defaultdict(list)
        for message_id, answer in answers.items():
            key = self._step_of_answer.get(message_id)
            if key is not None:
                by_step[key].append(answer)
        if not by_step:
            return steps
        is_true = reported_usd is None or _is_near(
            estimated_cost(answers.values(), model=model)[0], reported_usd
        )
        return tuple(
            self._with_cost(step, by_step[_key(step)], model=model, is_true=is_true)
            if _key(step) in by_step
            else step
            for step in steps
        )

    def _with_cost(
        self, step: Step, answers: Sequence[TurnUsage], *, model: str | None, is_true: bool
    ) -> Step:
        cost = estimated_cost(answers, model=model)[0]
        if cost is None or not is_true or _key(step) in self._unknown:
            return replace(step, cost_usd=None)
        total = plausible_usd(round(cost + (step.cost_usd or Decimal(0)), 7))
        return replace(step, cost_usd=total)

    def _assign(self, message_id: str, steps: Sequence[Step]) -> None:
        current = step_in_progress(steps)
        is_room = len(self._step_of_answer) < _MAX_ANSWERS
        if current is not None and (is_room or message_id in self._step_of_answer):
            self._step_of_answer[message_id] = _key(current)


def _key(step: Step) -> _Key:
    return is_phase(step), is_marker(step), step.step_id


def _is_near(estimate: Decimal | None, reported: Decimal) -> bool:
    return estimate is not None and abs(estimate - reported) <= reported * _MAX_DEVIATION
