"""Messages that code of a repository writes to the agent program's output."""

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from claude_agent_sdk import AssistantMessage, Message, ResultMessage, TextBlock, ToolUseBlock
from claude_agent_sdk._errors import MessageParseError
from claude_agent_sdk._internal.message_parser import parse_message
from hypothesis import given, settings
from hypothesis import strategies as st

from core.agent.translate import Translator
from core.domain.runs.event import AgentResult, AgentText, ToolStarted
from core.domain.runs.run import Usage
from core.runner.execution.progress import Progress
from core.store.tables.types import to_json
from tests.fakes.recordings import RECORDINGS, read_lines

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def result_with(**fields: Any) -> ResultMessage:
    given: dict[str, Any] = {
        "subtype": "success",
        "duration_ms": 1,
        "duration_api_ms": 1,
        "is_error": False,
        "num_turns": 3,
        "session_id": "s",
        "total_cost_usd": 0.5,
        "model_usage": {"claude-opus-5-5": {"inputTokens": 1, "outputTokens": 2}},
    }
    return ResultMessage(**(given | fields))


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1e6, 1e308, True, "1"])
def test_an_impossible_cost_is_unknown_and_reported(cost: Any) -> None:
    reported: list[str] = []
    translator = Translator(on_implausible=reported.append)

    (result,) = translator.translate(result_with(total_cost_usd=cost))

    assert isinstance(result, AgentResult)
    assert (result.cost_usd, result.usage) == (None, Usage(input_tokens=1, output_tokens=2))
    assert reported == ["total_cost_usd"]


@pytest.mark.parametrize("count", [-7, 1e30, 2**63, True, "3", float("nan")])
def test_impossible_counts_are_unknown_and_reported(count: Any) -> None:
    reported: list[str] = []
    translator = Translator(on_implausible=reported.append)
    message = result_with(num_turns=count, model_usage={"m": {"inputTokens": count}})

    (result,) = translator.translate(message)

    assert isinstance(result, AgentResult)
    assert (result.usage, result.cost_usd) == (None, None)
    assert reported == ["usage"]


def test_a_result_without_a_cost_is_no_impossible_one() -> None:
    reported: list[str] = []
    translator = Translator(on_implausible=reported.append)

    (result,) = translator.translate(result_with(total_cost_usd=None, model_usage=None))

    assert isinstance(result, AgentResult)
    assert (result.cost_usd, result.usage, reported) == (None, None, [])


def test_a_result_of_no_answered_call_reports_no_cost() -> None:
    (result,) = Translator().translate(result_with(total_cost_usd=0, model_usage={}))

    assert isinstance(result, AgentResult)
    assert (result.cost_usd, result.usage) == (None, None)


def test_a_cost_at_another_models_price_is_unknown() -> None:
    guessed = {"my-model": {"inputTokens": 1_000_000, "costUSD": 4, "costBasis": "unknown"}}

    (result,) = Translator().translate(result_with(total_cost_usd=4, model_usage=guessed))

    assert isinstance(result, AgentResult)
    assert (result.cost_usd, result.usage) == (None, Usage(input_tokens=1_000_000))


def test_a_huge_input_is_cut_without_being_read_as_a_whole() -> None:
    many: dict[str, Any] = {str(number): [{"deep": "x"}] * 5_000 for number in range(5_000)}
    message = AssistantMessage(
        content=[ToolUseBlock(id="t", name="N" * 10**6, input=many | {"taskId": [[]]})], model="m"
    )

    (started,) = Translator().translate(message)

    assert isinstance(started, ToolStarted)
    assert len(started.name) == 200
    assert len(json.dumps(dict(started.input))) < 100_000


def test_a_flood_of_blocks_is_cut() -> None:
    call = ToolUseBlock(id="t", name="Read", input={})
    message = AssistantMessage(content=[call] * 10_000, model="m")

    assert len(Translator().translate(message)) == 200


def test_a_huge_text_is_cut() -> None:
    message = AssistantMessage(content=[TextBlock(text="word " * 10**6)], model="m")

    (text,) = Translator().translate(message)

    assert isinstance(text, AgentText)
    assert 400_000 < len(text.text) < 600_000


# Hostile values for any field of a message.
JUNK: tuple[Any, ...] = (
    None, True, -1, 2**31, 2**63, 10**4_000, 1e308, -0.0, float("nan"), float("inf"), "", "NaN",
    "x" * 5_000, "9" * 3_000, "a\x00b", "\ud800", "Task #" + "9" * 3_000 + " created", [], {},
    [None], [[1]], ["\x00"], {"type": "text"}, {"a": {"b": ["\ud800"]}}, {"\x00": "\x00"},
    json.loads("[" * 100 + "]" * 100),
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each container in a message, with a key or an index in it."""
    if not isinstance(value, dict | list):
        return []
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def parsed(lines: list[Any]) -> Iterator[Message]:
    """The messages that the SDK passes on; what it refuses ends the agent."""
    for line in lines:
        try:
            message = parse_message(line)
        except (MessageParseError, AttributeError, KeyError, TypeError):
            continue
        if message is not None:
            yield message


@settings(max_examples=300)
@given(data=st.data())
def test_no_message_makes_the_translation_fail_or_cannot_be_stored(data: st.DataObject) -> None:
    translator, progress = Translator(cwd="/w", secrets=["sesame-12345"]), Progress(model=None)
    lines = read_lines(data.draw(st.sampled_from(RECORDINGS)))
    for _ in range(data.draw(st.integers(min_value=1, max_value=6))):
        line = data.draw(st.sampled_from(lines))
        container, key = data.draw(st.sampled_from(places(line)))
        container[key] = deepcopy(data.draw(st.sampled_from(JUNK)))

    for message in parsed(lines):
        for event in translator.translate(message):
            progress.add_event(event, at=NOW)

    columns = progress.columns()
    assert 0 <= columns["turns"] < 2**31
    assert 0 <= columns["usage"].total_tokens < 2**63
    assert columns["cost_usd"] is None or 0 <= columns["cost_usd"] < 10**7
    assert len(columns.get("ai_model") or "") <= 100
    for record in progress.drain():
        written = to_json(dict(record.data))
        assert len(written) < 100_000
        assert written == to_json(json.loads(written))
