"""The model's answers of an attempt: each counted once, and what they add up to.  Pure."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from core.domain.price import estimate_usd, plausible_usd
from core.domain.runs.event import TurnUsage
from core.domain.runs.run import CostSource, Usage

Cost = tuple[Decimal | None, CostSource | None]

# Beyond the turns of any run: a program that floods its output must not fill the memory.
_MAX_ANSWERS = 20_000


def count_answer_once(answers: dict[str, TurnUsage], answer: TurnUsage) -> None:
    """Count an answer once, with its largest usage: an incomplete answer reports less.

    The answers after the first 20,000 do not count.

    Args:
        answers: The answers counted so far, by message id.
        answer: A further report of an answer.
    """
    known = answers.get(answer.message_id)
    if known is None:
        if len(answers) < _MAX_ANSWERS:
            answers[answer.message_id] = answer
    elif _completeness(known) <= _completeness(answer):
        answers[answer.message_id] = answer


def turns_of_answers(answers: Collection[TurnUsage]) -> int:
    """The number of answers to the main agent."""
    return sum(not answer.is_subagent for answer in answers)


def sum_of_answers(answers: Collection[TurnUsage]) -> Usage | None:
    """The tokens of all answers; `None` if those of one are unknown."""
    known = [answer.usage for answer in answers if answer.usage is not None]
    return sum(known, Usage()) if len(known) == len(answers) else None


def estimated_cost(answers: Collection[TurnUsage], *, model: str | None) -> Cost:
    """The cost of answers by the price table.

    It is unknown without an answer, if that of one is unknown, or if the sum cannot be true.

    Args:
        answers: The answers.
        model: The model of answers that do not name theirs.
    """
    costs = [
        estimate_usd(answer.model or model, answer.usage)
        for answer in answers
        if answer.usage is not None
    ]
    known = [cost for cost in costs if cost is not None]
    if not known or len(known) < len(answers):
        return None, None
    total = plausible_usd(sum(known, Decimal(0)))
    return total, None if total is None else CostSource.ESTIMATED


def _completeness(answer: TurnUsage) -> tuple[bool, int]:
    return answer.is_final, -1 if answer.usage is None else answer.usage.output_tokens
