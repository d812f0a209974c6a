"""The check of tokens and cost: it finds duplicate and missing usage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.domain.price import estimate_usd
from core.domain.runs.run import Usage
from tests.faults.cost_check import Outage, check_cost
from tests.faults.results import ViolationKind
from tests.faults.rows import Row

BEGAN = datetime(2026, 11, 21, 12, tzinfo=UTC)
MODEL = "claude-opus-5-5"
COLUMNS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens")
# The usage of one answer of a short run, from which all numbers of a run are computed.
ANSWER = (4, 27, 11_700, 46)


def seconds_in(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def answer(number: int, seconds: float, *, output: int = 27) -> Row:
    """A line of the transcript."""
    usage = {
        "input_tokens": 4,
        "output_tokens": output,
        "cache_read_input_tokens": 11_700,
        "cache_creation_input_tokens": 46,
    }
    return {
        "entry": {
            "type": "assistant",
            "uuid": f"said-{number}",
            "timestamp": seconds_in(seconds).isoformat(),
            "message": {"id": f"msg-{number}", "model": MODEL, "usage": usage},
        }
    }


def event(kind: str, seconds: float, *, attempt: int = 1, **data: Any) -> Row:
    return {"run_id": 1, "kind": kind, "attempt": attempt, "at": seconds_in(seconds), "data": data}


def agent_text(number: int, *, attempt: int = 1) -> Row:
    return event("agent_text", number, attempt=attempt, uuid=f"said-{number}")


def run(answers: float, *, attempt: int = 1, source: str = "estimated", **given: Any) -> Row:
    """A run that counts this many answers, at the price of its cost source."""
    counted = dict(zip(COLUMNS, (round(one * answers) for one in ANSWER), strict=True))
    row: Row = {
        "id": 1,
        "run_id": "run_1",
        "attempt": attempt,
        "stop_reason": "success",
        "ai_model": MODEL,
        "cost_source": source,
        **counted,
        **given,
    }
    tokens = {column: row[column] for column in COLUMNS}
    listed = estimate_usd(MODEL, Usage(**tokens))
    assert listed is not None
    reported = sum(
        price * n for price, n in zip((4, 20, Decimal("0.2"), 5), tokens.values(), strict=True)
    )
    row.setdefault(
        "cost_estimate", listed if source == "estimated" else Decimal(reported) / 1_000_000
    )
    return row


def violation_texts(
    row: Row, transcript: list[Row], events: list[Row], outages: list[Outage] | None = None
) -> list[str]:
    found = list(check_cost([row], transcript, events, outages or []))
    assert all(one.kind is ViolationKind.COST for one in found)
    return [one.text for one in found]


# Five answers, one per second.
FIVE = [answer(number, number) for number in range(1, 6)]
RECEIVED = [event("run_started", 0), *(agent_text(number) for number in range(1, 6))]
ACCOUNT = event("agent_result", 6)


@pytest.mark.parametrize("count", [4, 6, 10])
def test_a_run_with_a_report_of_its_program_counts_exactly(count: int) -> None:
    assert not violation_texts(run(5, source="reported"), FIVE, [*RECEIVED, ACCOUNT])
    assert violation_texts(
        run(count, source="reported", stop_reason="killed"), FIVE, [*RECEIVED, ACCOUNT]
    )


@pytest.mark.parametrize("column", COLUMNS)
def test_tokens_of_every_kind_are_checked(column: str) -> None:
    whole = run(5, source="reported")

    (text,) = violation_texts(
        run(5, source="reported", **{column: whole[column] + 1}), FIVE, [*RECEIVED, ACCOUNT]
    )

    assert f"{whole[column] + 1} {column} where the transcript has {whole[column]}" in text


@pytest.mark.parametrize("reason", ["killed", "agent_error"])
def test_a_short_run_that_was_interrupted_is_not_counted_twice(reason: str) -> None:
    one, received = FIVE[:1], RECEIVED[:2]

    assert not violation_texts(run(1, stop_reason=reason), one, received)
    assert violation_texts(run(2, stop_reason=reason), one, received)


@pytest.mark.parametrize("reason", ["agent_error", "killed", "worker_lost"])
def test_every_answer_in_the_transcript_of_a_dead_agent_is_counted(reason: str) -> None:
    assert not violation_texts(run(5, stop_reason=reason), FIVE, RECEIVED)
    assert violation_texts(run(4, stop_reason=reason), FIVE, RECEIVED)


def attempts_with_lost_worker(at: float) -> list[Row]:
    """The first attempt's worker was lost; the second reported two answers."""
    return [
        *RECEIVED,
        event("worker_lost", at, attempt=2),
        event("run_started", at, attempt=2),
        event("agent_result", at + 3, attempt=2),
    ]


def test_the_usage_of_a_lost_worker_is_neither_missing_nor_doubled() -> None:
    quick = [*FIVE, answer(6, 5.4), answer(7, 5.9), answer(8, 31), answer(9, 32)]

    assert not violation_texts(run(9, attempt=2), quick, attempts_with_lost_worker(30))
    assert violation_texts(run(8, attempt=2), quick, attempts_with_lost_worker(30))
    assert violation_texts(run(10, attempt=2), quick, attempts_with_lost_worker(30))


def test_an_answer_that_was_received_but_not_stored_may_be_counted() -> None:
    received_more = [*attempts_with_lost_worker(30), agent_text(6)]
    again = [*FIVE, answer(8, 31)]

    assert not violation_texts(run(6, attempt=2, output_tokens=7 * 27), again, received_more)
    assert not violation_texts(run(7, attempt=2), again, received_more)
    assert violation_texts(run(7, attempt=2, output_tokens=6 * 27 + 151), again, received_more)
    assert violation_texts(run(7, attempt=2), again, attempts_with_lost_worker(30))


def test_more_may_be_counted_only_if_a_worker_died_during_an_outage() -> None:
    outages = [(seconds_in(2.5), seconds_in(5.2))]
    earlier = [(seconds_in(-20), seconds_in(-10))]
    long_after = [(seconds_in(40), seconds_in(50))]
    later = [*FIVE, answer(8, 31)]
    unwritten = [*attempts_with_lost_worker(30), agent_text(6), agent_text(7)]

    assert not violation_texts(run(6, attempt=2), later, attempts_with_lost_worker(30), outages)
    assert violation_texts(run(5, attempt=2), later, attempts_with_lost_worker(30), outages)
    assert not violation_texts(run(8, attempt=2, output_tokens=12 * 27), later, unwritten, outages)
    for other in (earlier, long_after):
        assert violation_texts(run(8, attempt=2, output_tokens=12 * 27), later, unwritten, other)


def test_an_outage_does_not_excuse_a_worker_that_lived() -> None:
    killed = run(8, stop_reason="killed", source="reported")

    assert violation_texts(
        killed,
        FIVE,
        [*RECEIVED, agent_text(6), agent_text(7), ACCOUNT],
        [(seconds_in(2.5), seconds_in(5.2))],
    )


def test_each_run_is_compared_with_its_own_part_of_the_transcript() -> None:
    second = [one | {"run_id": 2} for one in (event("run_started", 10), event("agent_result", 12))]
    transcript = [*FIVE, answer(6, 11)]
    runs = [run(4, source="reported"), run(2, source="reported") | {"id": 2, "run_id": "run_2"}]

    found = list(check_cost(runs, transcript, [*RECEIVED, ACCOUNT, *second]))

    assert [one.about for one in found] == ["run_1", "run_2"]


def test_an_answer_in_several_lines_counts_once_in_full() -> None:
    begun = answer(1, 1, output=1)

    assert not violation_texts(
        run(1, source="reported"), [begun, answer(1, 1)], [*RECEIVED[:2], ACCOUNT]
    )
    assert not violation_texts(
        run(1, source="reported"), [answer(1, 1), begun], [*RECEIVED[:2], ACCOUNT]
    )


@pytest.mark.parametrize("source", ["estimated", "reported"])
@pytest.mark.parametrize("factor", ["0.5", "0.999", "1.001", "2"])
def test_a_cost_that_does_not_match_the_tokens_is_found(source: str, factor: str) -> None:
    right = run(5, source=source)["cost_estimate"]
    events = [*RECEIVED, ACCOUNT]

    assert not violation_texts(run(5, source=source), FIVE, events)
    (text,) = violation_texts(
        run(5, source=source, cost_estimate=right * Decimal(factor)), FIVE, events
    )

    assert f"({source})" in text


def test_the_cost_of_several_attempts_lies_between_both_price_lists() -> None:
    transcript = [*FIVE, answer(8, 31)]
    listed = run(6)["cost_estimate"]
    reported = run(6, source="reported")["cost_estimate"]

    def costs(usd: Decimal) -> list[str]:
        return violation_texts(
            run(6, attempt=2, cost_estimate=usd), transcript, attempts_with_lost_worker(30)
        )

    assert not costs((listed + reported) / 2)
    assert costs(listed * 2)
    assert costs(reported / 2)


def test_tokens_of_a_known_model_have_a_price() -> None:
    assert violation_texts(run(5, cost_estimate=None), FIVE, RECEIVED)
    assert not violation_texts(run(0, cost_estimate=None, ai_model=None), [], RECEIVED[:1])
