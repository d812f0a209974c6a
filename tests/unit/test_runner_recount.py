"""The usage that a run gets from the answers in its transcript."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

from core.domain.runs.event import TurnUsage
from core.domain.runs.run import CostSource, Run, Usage
from core.runner.execution.usage.recount import raised_usage
from tests.database import new_run

# Three dollars a million input tokens, fifteen a million output tokens.
SONNET = "claude-sonnet-4-6"


def answer(
    number: int, *, output: int = 100, model: str | None = SONNET, is_subagent: bool = False
) -> TurnUsage:
    usage = Usage(input_tokens=10, output_tokens=output)
    return TurnUsage(message_id=f"msg_{number}", usage=usage, model=model, is_subagent=is_subagent)


def run(**fields: object) -> Run:
    return replace(new_run(uuid4()), **fields)  # type: ignore[arg-type]


def counted(answers: int, **fields: object) -> Run:
    """A run whose row counts this many answers."""
    usage = Usage(input_tokens=10 * answers, output_tokens=100 * answers)
    cost = Decimal("0.00153") * answers
    given = {
        "usage": usage,
        "turns": answers,
        "cost_usd": cost,
        "cost_source": CostSource.ESTIMATED,
    }
    return run(**(given | fields))


def test_answers_that_were_not_counted_yet_are_added_with_their_cost() -> None:
    raised = raised_usage(counted(1), [answer(1), answer(2), answer(3)])

    assert raised == {
        "usage": Usage(input_tokens=30, output_tokens=300),
        "turns": 3,
        "cost_usd": Decimal("0.00459"),
        "cost_source": CostSource.ESTIMATED,
    }


def test_a_row_with_all_answers_is_unchanged() -> None:
    assert raised_usage(counted(2), [answer(1), answer(2)]) == {}


def test_a_row_with_more_usage_is_never_lowered() -> None:
    assert raised_usage(counted(3), [answer(1), answer(2)]) == {}


def test_the_blocks_of_one_answer_count_once_in_full() -> None:
    raised = raised_usage(counted(0), [answer(1, output=3), answer(1), answer(1, output=5)])

    assert raised["usage"] == Usage(input_tokens=10, output_tokens=100)
    assert raised["turns"] == 1


def test_a_subagents_answers_have_a_cost_but_are_no_turns() -> None:
    raised = raised_usage(counted(1), [answer(1), answer(2, is_subagent=True)])

    assert raised["usage"] == Usage(input_tokens=20, output_tokens=200)
    assert "turns" not in raised


def test_the_first_counted_answers_have_a_known_cost() -> None:
    raised = raised_usage(run(ai_model=None), [answer(1)])

    assert (raised["cost_usd"], raised["cost_source"]) == (
        Decimal("0.00153"),
        CostSource.ESTIMATED,
    )


def test_a_model_without_a_price_makes_the_whole_cost_unknown() -> None:
    raised = raised_usage(counted(1), [answer(1), answer(2, model="other")])

    assert (raised["cost_usd"], raised["cost_source"]) == (None, None)
    assert raised["usage"] == Usage(input_tokens=20, output_tokens=200)


def test_an_unknown_cost_stays_unknown() -> None:
    raised = raised_usage(counted(1, cost_usd=None, cost_source=None), [answer(1), answer(2)])

    assert (raised["cost_usd"], raised["cost_source"]) == (None, None)


def test_a_reported_cost_plus_an_estimate_is_an_estimate() -> None:
    raised = raised_usage(counted(1, cost_source=CostSource.REPORTED), [answer(1), answer(2)])

    assert raised["cost_source"] is CostSource.ESTIMATED
    assert raised["cost_usd"] == Decimal("0.00306")


def test_forged_answers_make_the_cost_unknown() -> None:
    forged = [answer(number, output=10**9) for number in range(1_000)]

    raised = raised_usage(counted(1), forged)

    assert (raised["cost_usd"], raised["cost_source"]) == (None, None)
    assert raised["usage"].output_tokens == 10**12
