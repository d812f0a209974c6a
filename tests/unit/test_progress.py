from datetime import UTC, datetime
from decimal import Decimal

from core.domain.event import AgentResult, AgentText, ToolFinished, ToolStarted, TurnUsage
from core.domain.run import CostSource, Usage
from core.runner.progress import Progress

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MODEL = "claude-sonnet-4-5"


def a_turn(message_id: str = "m1", **usage: int) -> TurnUsage:
    return TurnUsage(message_id=message_id, usage=Usage(**usage), model=MODEL)


def told(*events: object) -> Progress:
    progress = Progress(model=MODEL)
    for event in events:
        progress.take(event, at=NOW)  # type: ignore[arg-type]
    return progress


def test_output_that_is_not_reported_yet_is_estimated_from_its_length() -> None:
    progress = told(a_turn(input_tokens=10, output_tokens=1), AgentText(text="x" * 400))

    assert progress.usage == Usage(input_tokens=10, output_tokens=100)
    assert progress.cost() == (Decimal("0.00153"), CostSource.ESTIMATED)


def test_blocks_of_one_answer_count_their_usage_once() -> None:
    progress = told(a_turn(input_tokens=10), a_turn(input_tokens=10), a_turn("m2", input_tokens=5))

    assert progress.usage.input_tokens == 15


def test_the_programs_own_account_replaces_every_estimate() -> None:
    result = AgentResult(
        subtype="success",
        is_error=False,
        turns=7,
        text="done",
        cost_usd=Decimal("0.5"),
        usage=Usage(input_tokens=1, output_tokens=2),
    )

    progress = told(a_turn(input_tokens=10), AgentText(text="x" * 400), result)

    assert progress.usage == result.usage
    assert progress.cost() == (Decimal("0.5"), CostSource.REPORTED)
    assert progress.turns == 7


def test_nothing_is_known_before_the_first_answer() -> None:
    progress = Progress(model=MODEL)

    assert progress.cost() == (None, None)
    assert progress.turns == 0


def test_an_unknown_model_has_no_cost() -> None:
    progress = Progress(model=None)

    progress.take(TurnUsage(message_id="m", usage=Usage(input_tokens=9)), at=NOW)

    assert progress.cost() == (None, None)


def test_what_could_not_be_written_comes_first_the_next_time() -> None:
    progress = told(AgentText(text="first"))
    records = progress.drain()
    progress.take(AgentText(text="second"), at=NOW)

    progress.put_back(records)

    assert [record.data["text"] for record in progress.drain()] == ["first", "second"]
    assert not progress.is_dirty


def test_the_counts_of_a_test_run_are_kept() -> None:
    progress = told(
        ToolStarted(tool_use_id="t", name="Bash", summary="pytest"),
        ToolFinished(tool_use_id="t", is_error=False, output="3 passed in 0.10s"),
    )

    assert progress.tests is not None
    assert progress.tests.passed == 3
    assert progress.columns()["tools_used"] == ("Bash",)
