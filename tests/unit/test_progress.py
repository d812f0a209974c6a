from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from core.domain.runs.event import AgentResult, AgentText, ToolFinished, ToolStarted, TurnUsage
from core.domain.runs.outcome import TESTS_KEY
from core.domain.runs.run import CostSource, Usage
from core.domain.test_output.counts import Ecosystem, TestCounts
from core.runner.execution.progress import Progress
from core.runner.execution.usage.prior_usage import PriorUsage, budget_left, turns_left
from tests.database import new_run

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MODEL = "claude-sonnet-4-5"
RESULT_USAGE = Usage(input_tokens=1, output_tokens=2)


def make_turn(message_id: str = "m1", *, is_subagent: bool = False, **usage: int) -> TurnUsage:
    return TurnUsage(
        message_id=message_id, usage=Usage(**usage), model=MODEL, is_subagent=is_subagent
    )


def make_result(*, cost_usd: Decimal | None, usage: Usage | None = RESULT_USAGE) -> AgentResult:
    return AgentResult(
        subtype="success", is_error=False, text="done", cost_usd=cost_usd, usage=usage
    )


def progress_after(*events: object) -> Progress:
    progress = Progress(model=MODEL)
    for event in events:
        progress.add_event(event, at=NOW)  # type: ignore[arg-type]
    return progress


def test_an_answer_counts_as_far_as_it_is_reported() -> None:
    progress = progress_after(make_turn(input_tokens=10, output_tokens=1), AgentText(text="x" * 40))

    assert progress.usage == Usage(input_tokens=10, output_tokens=1)
    assert progress.cost() == (Decimal("0.000045"), CostSource.ESTIMATED)


def test_a_complete_answer_replaces_what_its_messages_reported() -> None:
    progress = progress_after(make_turn(input_tokens=10, output_tokens=9))

    progress.add_answer(replace(make_turn(input_tokens=10, output_tokens=4), is_final=True))
    progress.add_event(make_turn(input_tokens=10, output_tokens=9), at=NOW)

    assert progress.usage == Usage(input_tokens=10, output_tokens=4)
    assert progress.turns == 1


def test_blocks_of_one_answer_count_their_usage_once() -> None:
    progress = progress_after(
        make_turn(input_tokens=10), make_turn(input_tokens=10), make_turn("m2", input_tokens=5)
    )

    assert progress.usage.input_tokens == 15


def test_an_answer_counts_in_full_although_its_start_comes_last() -> None:
    progress = progress_after(make_turn(output_tokens=40), make_turn(output_tokens=2))

    assert progress.usage.output_tokens == 40


def test_the_programs_own_usage_replaces_every_estimate() -> None:
    progress = progress_after(
        make_turn(input_tokens=10), AgentText(text="x" * 400), make_result(cost_usd=Decimal("0.5"))
    )

    assert progress.usage == RESULT_USAGE
    assert progress.cost() == (Decimal("0.5"), CostSource.REPORTED)


def test_a_turn_is_an_answer_to_the_main_agent_however_many_tools_it_calls() -> None:
    calls = [ToolStarted(tool_use_id=f"t{n}", name="Bash", summary="ls") for n in range(6)]
    results = [ToolFinished(tool_use_id=f"t{n}", is_error=False, output="") for n in range(6)]

    progress = progress_after(make_turn("m1", output_tokens=1), *calls, *results)
    live = progress.turns
    for event in (
        make_turn("m2", output_tokens=1, is_subagent=True),
        make_turn("m3", output_tokens=1),
        make_result(cost_usd=Decimal(1)),
    ):
        progress.add_event(event, at=NOW)

    assert (live, progress.turns) == (1, 2)
    assert progress.columns()["tool_calls"] == 6


def test_a_call_counts_once_whether_a_message_or_the_transcript_has_it() -> None:
    progress = progress_after(ToolStarted(tool_use_id="t1", name="Bash", summary="ls"))

    for calls in ((("t1", "Bash"),), (("t2", "Read"),)):
        progress.add_answer(replace(make_turn(is_subagent=True), calls=calls))

    assert progress.columns()["tool_calls"] == 2
    assert progress.columns()["tools_used"] == ("Bash", "Read")


def test_the_texts_of_one_answer_are_one_text() -> None:
    progress = progress_after(
        AgentText(text="a", message_id="m1"),
        AgentText(text="b", message_id="m1"),
        AgentText(text="of a subagent", message_id="m2", is_subagent=True),
        AgentText(text="c", message_id="m3"),
        AgentText(text="d"),
        AgentText(text="e"),
    )

    assert progress.texts == ["a\n\nb", "c", "d", "e"]


def test_what_a_result_does_not_tell_is_counted_and_estimated() -> None:
    progress = progress_after(
        make_turn(input_tokens=10, output_tokens=100), make_result(cost_usd=None, usage=None)
    )

    assert progress.usage == Usage(input_tokens=10, output_tokens=100)
    assert progress.cost() == (Decimal("0.00153"), CostSource.ESTIMATED)
    assert progress.turns == 1


def test_a_result_of_no_answered_call_leaves_cost_and_tokens_unknown() -> None:
    progress = progress_after(make_result(cost_usd=None, usage=None))

    assert progress.columns()["cost_usd"] is None
    assert progress.columns()["cost_source"] is None
    assert progress.usage == Usage()


def test_an_answer_of_unknown_usage_makes_tokens_and_cost_unknown() -> None:
    unknown = TurnUsage(message_id="m2", usage=None, model=MODEL)

    progress = progress_after(make_turn(input_tokens=10), unknown)

    assert (progress.usage, progress.cost(), progress.turns) == (Usage(), (None, None), 2)


def test_tokens_of_attempts_are_unknown_if_those_of_one_are() -> None:
    progress = Progress(model=MODEL, prior_usage=PriorUsage(turns=2))

    progress.add_event(make_turn(input_tokens=10), at=NOW)

    assert (progress.usage, progress.cost(), progress.turns) == (Usage(), (None, None), 3)


def test_an_estimate_that_cannot_be_true_is_unknown() -> None:
    forged = (make_turn(f"m{number}", output_tokens=10**9) for number in range(100))

    progress = progress_after(*forged)

    assert progress.cost() == (None, None)


def test_a_sum_of_attempts_that_cannot_be_true_is_unknown() -> None:
    prior_usage = PriorUsage(
        usage=Usage(input_tokens=1),
        cost_usd=Decimal(999_999),
        cost_source=CostSource.REPORTED,
        turns=1,
    )
    progress = Progress(model=MODEL, prior_usage=prior_usage)

    progress.add_event(make_result(cost_usd=Decimal(999_999)), at=NOW)

    assert progress.cost() == (None, None)


def test_the_names_of_a_hundred_tools_are_kept() -> None:
    calls = [ToolStarted(tool_use_id=str(n), name=f"T{n}", summary="") for n in range(500)]

    progress = progress_after(*calls)

    assert len(progress.columns()["tools_used"]) == 100
    assert progress.columns()["tool_calls"] == 500
    assert [len(step.tools_used) for step in progress.steps] == [100]


def test_a_flood_of_answers_is_counted_up_to_a_limit() -> None:
    progress = progress_after(
        *(make_turn(f"m{number}", input_tokens=1) for number in range(21_000))
    )

    assert progress.usage.input_tokens == 20_000


def test_nothing_is_known_before_the_first_answer() -> None:
    progress = Progress(model=MODEL)

    assert progress.cost() == (None, None)
    assert progress.turns == 0


def test_an_unknown_model_has_no_cost() -> None:
    progress = Progress(model=None)

    progress.add_event(TurnUsage(message_id="m", usage=Usage(input_tokens=9)), at=NOW)

    assert progress.cost() == (None, None)


def test_unwritten_events_are_written_first_the_next_time() -> None:
    progress = progress_after(AgentText(text="first"))
    records = progress.drain()
    progress.add_event(AgentText(text="second"), at=NOW)

    progress.restore_records(records)

    assert [record.data["text"] for record in progress.drain()] == ["first", "second"]
    assert not progress.is_dirty


def test_the_counts_of_a_test_run_are_recorded() -> None:
    progress = progress_after(
        ToolStarted(tool_use_id="t", name="Bash", summary="pytest"),
        ran(python=TestCounts(passed=3, failed=0)),
    )

    assert progress.tests == TestCounts(passed=3, failed=0)
    assert progress.columns()["tools_used"] == ("Bash",)
    assert progress.columns()["metadata"][TESTS_KEY] == {
        "passed": 3,
        "failed": 0,
        "skipped": 0,
        "by_ecosystem": {"python": {"passed": 3, "failed": 0, "skipped": 0}},
    }


def ran(**results: TestCounts) -> ToolFinished:
    tests = {Ecosystem(name): counts for name, counts in results.items()}
    return ToolFinished(tool_use_id="t", is_error=False, output="", tests=tests)


def test_a_later_test_run_replaces_the_earlier_one_of_its_ecosystem_only() -> None:
    progress = progress_after(
        ran(python=TestCounts(passed=1, failed=2)),
        ran(javascript=TestCounts(passed=10, failed=1)),
        ran(),
        ran(python=TestCounts(passed=3, failed=0)),
    )

    assert progress.tests == TestCounts(passed=13, failed=1)


def test_the_next_attempt_begins_with_the_test_results_of_the_one_before() -> None:
    first = progress_after(ran(go=TestCounts(passed=None, failed=0)))
    run = replace(new_run(uuid4()), metadata=first.columns()["metadata"])

    second = Progress(model=MODEL, prior_usage=PriorUsage.of_run(run))

    assert second.tests == TestCounts(passed=None, failed=0)


def test_an_attempt_adds_to_the_usage_of_earlier_attempts() -> None:
    prior_usage = PriorUsage(
        usage=Usage(input_tokens=100, output_tokens=20),
        cost_usd=Decimal("0.25"),
        cost_source=CostSource.ESTIMATED,
        turns=4,
        tool_calls=3,
        tools_used=("Read", "Bash"),
    )
    progress = Progress(model=MODEL, prior_usage=prior_usage)
    waiting = dict(progress.columns())

    progress.add_event(ToolStarted(tool_use_id="t1", name="Bash", summary="ls"), at=NOW)
    for message_id in ("m1", "m2"):
        progress.add_event(make_turn(message_id), at=NOW)
    progress.add_event(make_result(cost_usd=Decimal("0.5")), at=NOW)

    assert (waiting["cost_usd"], waiting["turns"]) == (Decimal("0.25"), 4)
    columns = progress.columns()
    assert columns["cost_usd"] == Decimal("0.75")
    assert columns["cost_source"] is CostSource.ESTIMATED
    assert columns["usage"] == Usage(input_tokens=101, output_tokens=22)
    assert columns["turns"] == 6
    assert columns["tool_calls"] == 4
    assert columns["tools_used"] == ("Read", "Bash")


def test_a_partly_unknown_cost_is_unknown() -> None:
    progress = Progress(model=MODEL, prior_usage=PriorUsage(turns=2, usage=Usage(input_tokens=5)))
    progress.add_event(make_result(cost_usd=Decimal("0.5")), at=NOW)

    assert progress.cost() == (None, None)


def test_an_attempt_without_an_answer_does_not_change_the_usage() -> None:
    progress = Progress(model=MODEL, prior_usage=PriorUsage())
    progress.add_event(make_result(cost_usd=Decimal("0.5")), at=NOW)

    assert progress.cost() == (Decimal("0.5"), CostSource.REPORTED)


def test_the_limits_of_a_run_cover_all_its_attempts() -> None:
    run = new_run(uuid4(), max_turns=10, turns=7, budget_usd=Decimal(2), cost_usd=Decimal("1.5"))
    spent = replace(run, turns=10, cost_usd=Decimal(3))

    assert turns_left(run, 30) == 3
    assert budget_left(run) == Decimal("0.5")
    assert turns_left(spent, 30) == 1
    assert budget_left(spent) == Decimal("0.0001")
    assert turns_left(replace(run, max_turns=None), 30) == 23
    assert budget_left(replace(run, budget_usd=None)) is None


@pytest.mark.parametrize("cost", [Decimal("NaN"), Decimal(-1_000_000), Decimal(10**6)])
def test_an_impossible_cost_does_not_raise_the_budget(cost: Decimal) -> None:
    run = new_run(uuid4(), max_turns=10, turns=-5, budget_usd=Decimal(2), cost_usd=cost)

    assert budget_left(run) == Decimal(2)
    assert turns_left(run, 30) == 10
