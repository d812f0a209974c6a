"""Values of a hostile program: only what can be true is believed."""

import json
import logging
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from claude_agent_sdk import TextBlock, ToolUseBlock

from core.agent import program_values as read
from core.domain.runs.run import Usage

NAN, INFINITY = float("nan"), float("inf")
NO_NUMBERS: tuple[Any, ...] = (None, True, False, "1", "NaN", [], {}, NAN, INFINITY, -INFINITY)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        (0, "0"),
        (1, "1"),
        (0.05451600000000001, "0.054516"),
        (1e-9, "0"),
        (999_999.99, "999999.99"),
    ],
)
def test_a_cost_has_the_decimals_of_its_column(cost: float, expected: str) -> None:
    assert read.cost_usd(cost) == Decimal(expected)


@pytest.mark.parametrize(
    "cost", [*NO_NUMBERS, -1e-9, -1_000_000, 1_000_000, 999_999.99999999, 1e308, 10**4_000]
)
def test_an_impossible_cost_is_unknown(cost: Any) -> None:
    assert read.cost_usd(cost) is None


@pytest.mark.parametrize("turns", [*NO_NUMBERS, -7, 1.5, 1.0, 2**31, 2**63, 10**4_000])
def test_an_impossible_count_is_unknown(turns: Any) -> None:
    assert read.retries(turns) is None
    assert read.http_status(turns) is None


def test_possible_counts_are_believed() -> None:
    assert [read.retries(number) for number in (0, 1, 999)] == [0, 1, 999]
    assert read.http_status(529) == 529


@pytest.mark.parametrize("seconds", [*NO_NUMBERS, -1, 0, 1e11, 1e308, 2**63, 10**4_000])
def test_an_impossible_moment_is_unknown(seconds: Any) -> None:
    assert read.moment(seconds) is None


def test_a_moment_is_a_unix_time() -> None:
    assert read.moment(1_764_547_200) == datetime(2025, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize("delay", [*NO_NUMBERS, -1, 1e9, 1e308, 10**4_000])
def test_an_impossible_delay_is_unknown(delay: Any) -> None:
    assert read.milliseconds(delay) is None


def test_a_delay_is_rounded() -> None:
    assert read.milliseconds(533.7) == 534


@pytest.mark.parametrize("text", [None, "", 7, ["a"], {"a": "b"}, b"a"])
def test_what_is_no_text_is_no_word_and_no_id(text: Any) -> None:
    assert read.word(text) is None
    assert read.identifier(text) is None


def test_a_word_is_cut_and_can_be_stored() -> None:
    word = read.word("claude\x00\ud800" + "x" * 10**6)

    assert word is not None
    assert word.startswith("claude\ufffd?x")
    assert len(word) == 100


def test_an_id_is_whole_or_none() -> None:
    assert read.identifier("t" * 200) == "t" * 200
    assert read.identifier("t" * 201) is None
    assert read.identifiers(["a", 7, None, ["b"], "c", "d" * 300]) == ("a", "c")
    assert read.identifiers("abc") == ()


@pytest.mark.parametrize(
    "block",
    [
        TextBlock(text="Bash"),
        ToolUseBlock(id="", name="Bash", input={}),
        ToolUseBlock(id={}, name="Bash", input={}),  # type: ignore[arg-type]
        ToolUseBlock(id="t", name=["Bash"], input={}),  # type: ignore[arg-type]
        None,
    ],
)
def test_what_has_no_id_and_name_is_no_tool_call(block: Any) -> None:
    assert read.tool_call(block) is None


def test_a_tool_call_has_a_short_name_and_an_input() -> None:
    found = read.tool_call(ToolUseBlock(id="t", name="N" * 10**6, input=[1]))  # type: ignore[arg-type]

    assert found is not None
    assert (len(found.name), found.input) == (200, {})


@pytest.mark.parametrize("count", ["12", -1, True, 1.5, [4], NAN, 10**30, 10**4_000])
def test_an_impossible_usage_of_an_attempt_is_unknown_as_a_whole(count: Any) -> None:
    reported: list[str] = []
    usage = {"m": {"inputTokens": 5}, "n": {"inputTokens": 5, "outputTokens": count}}

    assert read.attempt_usage(usage, on_implausible=reported.append) == (None, False)
    assert reported == ["usage"]


def test_the_usage_of_a_long_attempt_is_believed() -> None:
    reported: list[str] = []
    # A thousand answers, each with a million cached tokens.
    usage = {"claude-opus-5-5": {"cacheReadInputTokens": 2 * 10**9, "outputTokens": None}}

    assert read.attempt_usage(usage, on_implausible=reported.append) == (
        Usage(cache_read_tokens=2 * 10**9),
        True,
    )
    assert reported == []


def test_the_usage_of_an_attempt_covers_all_its_models() -> None:
    reported: list[str] = []
    usage = {
        "claude-opus-5-5": {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 3},
        "claude-haiku-4-5": {"inputTokens": 10, "outputTokens": 20, "costBasis": "list"},
    }

    assert read.attempt_usage(usage, on_implausible=reported.append) == (
        Usage(input_tokens=11, output_tokens=22, cache_read_tokens=3),
        True,
    )


@pytest.mark.parametrize("nothing", [None, {}, {"claude-opus-5-5": {"inputTokens": 0}}])
def test_an_attempt_without_tokens_has_no_usage(nothing: Any) -> None:
    reported: list[str] = []

    assert read.attempt_usage(nothing, on_implausible=reported.append) == (None, True)
    assert reported == []


@pytest.mark.parametrize(
    ("name", "fields", "is_known"),
    [
        ("claude-opus-5-5", {"costBasis": "list"}, True),
        ("claude-opus-5-5", {}, True),
        ("my-model", {"costBasis": "list"}, True),
        ("my-model", {"costBasis": "unknown"}, False),
        ("my-model", {}, False),
    ],
)
def test_the_price_of_another_model_is_no_known_price(
    name: str, fields: dict[str, str], is_known: bool
) -> None:
    reported: list[str] = []
    usage = {"claude-opus-5-5": {"inputTokens": 1}, name: {"inputTokens": 1} | fields}

    assert read.attempt_usage(usage, on_implausible=reported.append)[1] is is_known


@pytest.mark.parametrize("entry", [None, 7, "assistant", [], ["assistant"], {"type": []}])
def test_an_entry_of_another_shape_has_no_usage(entry: Any) -> None:
    assert read.usage_of_entry(entry) is None


def test_an_impossible_count_of_an_entry_is_reported() -> None:
    reported: list[str] = []
    message = {"id": "m", "usage": {"input_tokens": True, "output_tokens": 3}}

    found = read.usage_of_entry(
        {"type": "assistant", "message": message}, on_implausible=reported.append
    )

    assert found is not None
    assert found.usage is None
    assert reported == ["usage"]


def test_an_entry_names_the_tool_calls_of_its_answer() -> None:
    content = [
        {"type": "text", "text": "Now."},
        {"type": "tool_use", "id": "t1", "name": "Bash", "input": {}},
        {"type": "tool_use", "id": 7, "name": "Bash"},
        "tool_use",
    ]

    found = read.usage_of_entry({"type": "assistant", "message": {"id": "m", "content": content}})

    assert found is not None
    assert (found.calls, found.is_final) == ((("t1", "Bash"),), True)


def test_each_rejected_value_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    rejections = read.Rejections("run_1", 2)

    with caplog.at_level(logging.WARNING):
        for name in ("usage", "total_cost_usd", "usage", "usage"):
            rejections.add(name)

    fields = [vars(record) for record in caplog.records]
    assert [one["value_name"] for one in fields] == ["usage", "total_cost_usd"]
    assert {(one["event"], one["run_id"], one["attempt"]) for one in fields} == {
        ("program_value.rejected", "run_1", 2)
    }


def test_results_of_tools_have_only_texts() -> None:
    parts = json.loads('[{"type": "text", "text": "a"}, {"type": "text", "text": 7}, 8, null]')

    assert read.result_text(parts) == "a\n"
    assert read.result_text([{"type": "image"}, {"type": ["x"]}]) == "[image]\n[None]"
    assert read.result_text({"type": "text"}) == ""
    assert read.result_text("as it is") == "as it is"
