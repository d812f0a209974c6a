from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from claude_agent_sdk import (
    AssistantMessage,
    SystemMessage,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from core.agent.program_values import usage_of_entry
from core.agent.translate import Translator
from core.domain.runs.event import (
    AgentEvent,
    AgentResult,
    AgentStarted,
    AgentText,
    ApiRetry,
    MessageConsumed,
    PlanChanged,
    RateLimit,
    ToolFinished,
    ToolStarted,
    TurnUsage,
)
from core.domain.runs.run import Usage
from core.domain.runs.step import StepStatus
from core.domain.test_output.counts import Ecosystem, TestCounts
from tests.fakes.recordings import (
    PROMPT_UUID,
    RECORDINGS,
    STEERING_UUID,
    translate_recording,
)

E = TypeVar("E")


def of(events: list[AgentEvent], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recording_starts_consumes_its_prompt_and_ends_with_a_result(name: str) -> None:
    events = translate_recording(name)

    started = of(events, AgentStarted)[0]
    assert started.session_id == "00000000-0000-0000-0000-000000000007"
    assert started.program_version
    assert "Bash" in started.tools
    assert of(events, MessageConsumed)[0].message_uuid == PROMPT_UUID
    assert isinstance(events[-1], AgentResult)


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_finished_tool_was_started_before(name: str) -> None:
    started: set[str] = set()
    for event in translate_recording(name):
        if isinstance(event, ToolStarted):
            started.add(event.tool_use_id)
        elif isinstance(event, ToolFinished):
            assert event.tool_use_id in started


@pytest.mark.parametrize("name", RECORDINGS)
def test_translation_is_deterministic(name: str) -> None:
    assert translate_recording(name) == translate_recording(name)


def test_a_result_has_cost_and_tokens() -> None:
    result = of(translate_recording("max_turns"), AgentResult)[-1]

    assert result.subtype == "error_max_turns"
    assert result.is_error
    assert result.terminal_reason == "max_turns"
    assert result.errors == ("Reached maximum number of turns (2)",)
    assert result.text is None
    assert result.cost_usd is not None
    assert 0 < result.cost_usd < 1
    assert result.cost_usd == round(result.cost_usd, 7)
    assert result.usage is not None
    assert result.usage.output_tokens > 0


def test_the_blocks_of_one_answer_count_its_usage_once() -> None:
    turns = of(translate_recording("tasks"), TurnUsage)

    assert len(turns) == len({turn.message_id for turn in turns}) == 5


def test_retries_of_the_api_are_shown_with_their_cause() -> None:
    retries = of(translate_recording("api_retry"), ApiRetry)

    assert [retry.attempt for retry in retries] == [1, 2]
    assert {retry.error for retry in retries} == {"server_error (HTTP 500)"}
    assert all(retry.delay_ms and retry.max_attempts == 10 for retry in retries)


def test_a_rejected_rate_limit_has_its_end() -> None:
    limits = of(translate_recording("usage_limit_oauth"), RateLimit)

    assert [limit.status for limit in limits] == ["rejected"]
    assert limits[0].resets_at is not None
    assert limits[0].resets_at.tzinfo is UTC
    assert limits[0].resets_at > datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", ["usage_limit", "usage_limit_oauth", "api_error"])
def test_the_programs_own_error_text_is_not_agent_text(name: str) -> None:
    events = translate_recording(name)

    assert of(events, AgentText) == []
    assert of(events, TurnUsage) == []
    assert of(events, AgentResult)[-1].is_error


def test_failed_and_refused_calls_finish_as_errors() -> None:
    finished = of(translate_recording("tool_errors"), ToolFinished)

    assert all(one.is_error for one in finished)
    outputs = sorted(one.output for one in finished)
    assert outputs[0] == "Exit code 3\nout\nerr"
    assert outputs[1].startswith("File does not exist")
    assert outputs[2].startswith("The workflow t does not permit this use of WebFetch")


def test_a_subagents_events_are_marked() -> None:
    events = translate_recording("subagent")

    tools = of(events, ToolStarted)
    assert [(tool.name, tool.is_subagent) for tool in tools][-1] == ("Bash", True)
    assert of(events, ToolFinished)[0].is_subagent
    assert not any(tool.is_subagent for tool in tools if tool.name in {"Task", "Agent"})


def test_a_message_sent_during_a_run_is_consumed_once() -> None:
    consumed = of(translate_recording("steered"), MessageConsumed)

    assert [one.message_uuid for one in consumed] == [PROMPT_UUID, STEERING_UUID]


def test_an_interrupted_tool_ends_with_an_error_and_so_does_the_run() -> None:
    events = translate_recording("interrupted")

    assert of(events, ToolFinished)[0].is_error
    result = of(events, AgentResult)[-1]
    assert result.subtype == "error_during_execution"
    assert result.terminal_reason == "aborted_tools"


def test_the_plan_follows_the_task_tools() -> None:
    plans = of(translate_recording("tasks"), PlanChanged)

    assert [(item.source_id, item.name) for item in plans[-1].items] == [
        ("1", "Read"),
        ("2", "Write"),
    ]
    assert [item.status for item in plans[-1].items] == [StepStatus.COMPLETED] * 2
    assert [len(plan.items) for plan in plans[:2]] == [1, 2]


def test_the_plan_follows_the_older_todo_tool() -> None:
    plans = of(translate_recording("todo"), PlanChanged)

    assert len(plans) > 1
    assert all(item.status is StepStatus.COMPLETED for item in plans[-1].items)


def test_an_answer_without_words_is_no_text() -> None:
    message = AssistantMessage(content=[TextBlock(text=" \n")], model="m")

    assert Translator().translate(message) == []


def test_paths_within_the_workspace_are_shown_relative_to_it() -> None:
    message = AssistantMessage(
        content=[ToolUseBlock(id="t", name="Read", input={"file_path": "/workspace/src/a.py"})],
        model="m",
    )

    (started,) = of(Translator(cwd="/workspace").translate(message), ToolStarted)

    assert started.summary == "src/a.py"


def test_secrets_are_redacted_in_texts_inputs_and_outputs() -> None:
    secret = "correct-horse-battery"
    said = AssistantMessage(
        content=[
            TextBlock(text=f"The key is {secret}."),
            ToolUseBlock(
                id="t",
                name="Bash",
                input={"command": f"login {secret}", "deep": [{"er": secret}]},
            ),
        ],
        model="m",
    )
    received = UserMessage(
        content=[ToolResultBlock(tool_use_id="t", content=[{"type": "text", "text": secret}])]
    )
    translator = Translator(secrets=[secret])

    events = [*translator.translate(said), *translator.translate(received)]

    assert len(events) == 3
    assert secret not in repr(events)


def test_a_secret_across_the_cut_leaves_no_part() -> None:
    secret = "Zq7Kd2Lm9P" * 4
    output = "x" * 3_980 + secret + "y" * 50_000
    received = UserMessage(content=[ToolResultBlock(tool_use_id="t", content=output)])

    (finished,) = of(Translator(secrets=[secret]).translate(received), ToolFinished)

    assert secret[:3] not in finished.output
    assert len(finished.output) < 4_100
    assert "more characters" in finished.output


def test_an_unknown_message_is_ignored() -> None:
    unheard = SystemMessage(subtype="something_new", data={})

    assert Translator().translate(unheard) == []


def test_cost_is_a_decimal_with_the_columns_precision() -> None:
    result = of(translate_recording("interrupted"), AgentResult)[-1]

    assert result.cost_usd == Decimal("0.0545160")


def test_a_transcript_line_has_the_usage_of_a_whole_answer() -> None:
    line = {
        "type": "assistant",
        "isSidechain": True,
        "message": {
            "id": "msg_1",
            "model": "claude-opus-5-5",
            "usage": {"input_tokens": 4, "output_tokens": 27, "cache_read_input_tokens": 9},
        },
    }

    assert usage_of_entry(line) == TurnUsage(
        message_id="msg_1",
        usage=Usage(input_tokens=4, output_tokens=27, cache_read_tokens=9),
        model="claude-opus-5-5",
        is_subagent=True,
        is_final=True,
    )


@pytest.mark.parametrize(
    "line",
    [
        {"type": "user", "message": {"id": "msg_1", "usage": {"output_tokens": 1}}},
        {
            "type": "assistant",
            "message": {"id": "msg_1", "model": "<synthetic>", "usage": {"x": 1}},
        },
        {"type": "assistant", "message": {"model": "m", "usage": {"output_tokens": 1}}},
        {"type": "assistant", "message": "text"},
        {"type": "summary"},
    ],
)
def test_other_transcript_lines_have_no_usage(line: dict[str, Any]) -> None:
    assert usage_of_entry(line) is None


@pytest.mark.parametrize("count", ["12", -1, 1.5, [4], 10**15, 10**30])
def test_an_invalid_token_count_makes_the_usage_of_an_answer_unknown(count: Any) -> None:
    usage = {"input_tokens": count, "output_tokens": 3}

    turn_usage = usage_of_entry({"type": "assistant", "message": {"id": "m", "usage": usage}})

    assert turn_usage is not None
    assert turn_usage.usage is None


def test_a_missing_token_count_is_zero() -> None:
    usage = {"input_tokens": None, "output_tokens": 3}

    turn_usage = usage_of_entry({"type": "assistant", "message": {"id": "m", "usage": usage}})

    assert turn_usage is not None
    assert turn_usage.usage == Usage(output_tokens=3)


def test_an_answer_without_a_valid_usage_is_an_answer() -> None:
    turn_usage = usage_of_entry(
        {"type": "assistant", "message": {"id": "m", "usage": "all", "model": 7}}
    )

    assert turn_usage is not None
    assert (turn_usage.usage, turn_usage.model) == (None, None)


def result_of(tool: str, output: str, *, command: object = "make test") -> ToolFinished:
    call = AssistantMessage(
        content=[ToolUseBlock(id="t1", name=tool, input={"command": command})], model="m"
    )
    answer = UserMessage(content=[ToolResultBlock(tool_use_id="t1", content=output)])
    translator = Translator()
    translator.translate(call)
    return of(translator.translate(answer), ToolFinished)[0]


def test_test_results_are_read_from_the_whole_output_of_a_command() -> None:
    output = "noise\n" * 5_000 + "=== 1 failed, 3 passed in 0.12s ==="

    finished = result_of("Bash", output)

    assert "passed" not in finished.output
    assert finished.tests == {Ecosystem.PYTHON: TestCounts(passed=3, failed=1)}


def test_test_results_in_a_file_are_a_text() -> None:
    assert result_of("Read", "=== 1 failed, 3 passed in 0.12s ===").tests == {}


@pytest.mark.parametrize(
    "command",
    [
        "cat test.log",
        "cd build && tail -n 3 test.log",
        "grep -r 'passed|failed' logs | sort | tail -1",
        "git log -1",
        "git show HEAD:notes.txt",
        "gh run view 12 --log",
        "sed -n 1,5p test.log\nhead test.log",
    ],
)
def test_test_results_that_a_command_only_shows_are_a_text(command: str) -> None:
    assert result_of("Bash", "=== 3 passed in 0.12s ===", command=command).tests == {}


@pytest.mark.parametrize(
    "command",
    [
        "pytest | tail -3",
        "cd api; make test",
        "cat a.txt; pytest",
        "timeout 60 pytest",
        "CI=1 npm test 2>&1 | grep -v warning",
        "(cd api && pytest)",
        "git stash && pytest",
        "git",
        "cat <<EOF\nx\nEOF",
        "echo '",
        f"cat {'x' * 2_000}",
        "",
        None,
        7,
    ],
)
def test_test_results_of_any_other_command_count(command: object) -> None:
    tests = result_of("Bash", "=== 3 passed in 0.12s ===", command=command).tests

    assert tests == {Ecosystem.PYTHON: TestCounts(passed=3, failed=0)}
