"""The scripted model's pure parts: conversations, the choice of scripts, the API format."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bot.sandbox.model import api_format
from bot.sandbox.model.conversation import (
    call_id,
    parse_directives,
    read_conversation,
    without_directives,
)
from bot.sandbox.model.drafts import draft_for, module_slug
from bot.sandbox.model.scenarios import SCRIPTS, choose_script, delay_of
from bot.sandbox.model.script import Conversation, ToolResult, Turn, bash
from core.runner.execution.history import RESUME_PROMPT

Message = dict[str, Any]


def user_message(*texts: str) -> Message:
    return {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}


def turn_messages(turn: int, command: str = "ls") -> list[Message]:
    """A turn with one call and its result."""
    used = call_id(turn)
    call = {"type": "tool_use", "id": used, "name": "Bash", "input": {"command": command}}
    result = {"type": "tool_result", "tool_use_id": used, "content": f"result {turn}"}
    return [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]


def finished(text: str) -> Message:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def scene_of(*messages: Message) -> Conversation:
    return read_conversation({"messages": list(messages), "tools": [{"name": "Bash"}]})


def test_a_task_begins_at_its_first_turn() -> None:
    conversation = scene_of(
        user_message("<system-reminder>\nnot the task\n</system-reminder>\n", "Do it")
    )

    assert (conversation.task, conversation.position, conversation.follow_ups) == ("Do it", 0, ())


def test_an_interrupted_run_goes_on_with_its_task_even_if_that_was_finished() -> None:
    conversation = scene_of(
        user_message("Do it"),
        *turn_messages(0),
        finished("All done."),
        user_message(RESUME_PROMPT),
    )

    assert (conversation.task, conversation.position) == ("Do it", 1)
    assert conversation.unanswered == (RESUME_PROMPT,)


def test_the_position_is_read_from_the_calls() -> None:
    conversation = scene_of(user_message("Do it"), *turn_messages(0), *turn_messages(1))

    assert conversation.position == 2
    assert [(result.turn, result.text) for result in conversation.results] == [
        (0, "result 0"),
        (1, "result 1"),
    ]


def test_a_continue_message_keeps_task_and_position() -> None:
    conversation = scene_of(
        user_message("Do it"),
        *turn_messages(0),
        user_message("[Request interrupted by user]", "Go on"),
    )

    assert (conversation.task, conversation.position, conversation.unanswered) == (
        "Do it",
        1,
        ("Go on",),
    )


def test_an_error_of_the_program_does_not_finish_a_task() -> None:
    conversation = scene_of(
        user_message("Do it"), *turn_messages(0), finished("API Error: 500"), user_message("Go on")
    )

    assert (conversation.task, conversation.position) == ("Do it", 1)


def test_a_text_after_the_end_is_a_new_task() -> None:
    conversation = scene_of(
        user_message("Do it"), *turn_messages(0), finished("Done."), user_message("Now that")
    )

    assert (conversation.task, conversation.position, conversation.results) == ("Now that", 0, ())


def test_a_named_scenario_is_a_new_task_at_any_time() -> None:
    conversation = scene_of(
        user_message("Do it"), *turn_messages(0), user_message("[scenario: hang]")
    )

    assert (conversation.task, conversation.position) == ("[scenario: hang]", 0)


@pytest.mark.parametrize("role", ["user", "system"])
def test_a_message_during_a_run_is_found_in_the_programs_wrapping(role: str) -> None:
    wrapped = (
        "The user sent a new message while you were working:\nMind the gap\n\n"
        "This is how Claude Code surfaces messages the user sends mid-turn."
    )
    conversation = scene_of(
        user_message("Do it"),
        *turn_messages(0),
        {"role": role, "content": [{"type": "text", "text": wrapped}]},
    )

    assert (conversation.position, conversation.unanswered) == (1, ("Mind the gap",))


def test_a_follow_up_is_answered_after_the_next_turn() -> None:
    conversation = scene_of(
        user_message("Do it"), *turn_messages(0), user_message("And that"), *turn_messages(1)
    )

    assert (conversation.follow_ups, conversation.unanswered) == (("And that",), ())


def test_directives_are_found_and_removed() -> None:
    text = "Add [Scenario: max-turns] limits [turns:60] to [not one] the API"

    assert parse_directives(text) == {"scenario": "max-turns", "turns": "60"}
    assert without_directives(text) == "Add limits to [not one] the API"


@pytest.mark.parametrize(
    ("directive", "expected"),
    [
        ("2s", timedelta(seconds=2)),
        ("250ms", timedelta(milliseconds=250)),
        ("1m", timedelta(minutes=1)),
        ("3", timedelta(seconds=3)),
        ("99m", timedelta(minutes=10)),
        ("soon", None),
    ],
)
def test_delays_are_read_and_bounded(directive: str, expected: timedelta | None) -> None:
    assert delay_of(Conversation(task="", directives={"delay": directive})) == expected


@pytest.mark.parametrize(
    ("task", "tools", "expected"),
    [
        ("Add a thing", {"Write", "Bash"}, "work"),
        ("Fix the bug", {"Write", "Bash"}, "fix"),
        ("Review it", {"Bash", "Read"}, "review"),
        ("[scenario: Kill_Me]", {"Write"}, "kill-me"),
        ("[scenario: unheard-of]", {"Write"}, "work"),
    ],
)
def test_a_script_is_chosen_by_name_words_and_tools(
    task: str, tools: set[str], expected: str
) -> None:
    conversation = Conversation(
        task=task, directives=parse_directives(task), tools=frozenset(tools)
    )

    assert choose_script(conversation, SCRIPTS).name == expected


@pytest.mark.parametrize("name", sorted(SCRIPTS))
@pytest.mark.parametrize("outcome", ["fine", "error", "nothing"])
def test_every_script_ends_whatever_its_tools_return(name: str, outcome: str) -> None:
    task = f"Add a parser [scenario: {name}] [turns: 5]"
    conversation = Conversation(
        task=task, directives=parse_directives(task), tools=frozenset({"Bash", "Write"})
    )

    for position in range(20):
        turn = SCRIPTS[name].play(conversation)
        if not turn.calls:
            break
        results = tuple(
            ToolResult(
                turn=position,
                name=call.name,
                input=call.input,
                text="" if outcome == "nothing" else "<tool_use_error>no</tool_use_error>",
                is_error=outcome == "error",
            )
            for call in turn.calls
        )
        conversation = Conversation(
            task=task,
            directives=conversation.directives,
            tools=conversation.tools,
            position=position + 1,
            results=(*conversation.results, *results),
        )
    else:
        pytest.fail("still going")

    assert "all passed" not in turn.text


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("Add rate limiting to the API", "rate_limiting_api"),
        ("Fix json", "json_feature"),
        ("", "work_item"),
        ("添加限流 🎉", "work_item"),
        ("add " + "verylongword" * 20, "verylongwordverylongwordverylongwordvery_feature"),
    ],
)
def test_a_module_is_named_after_the_task(task: str, expected: str) -> None:
    assert module_slug(task) == expected


@pytest.mark.parametrize("task", ["rate limit", "retry uploads", "anything else"])
def test_every_draft_compiles_and_its_mistake_can_be_repaired(task: str) -> None:
    draft = draft_for(task, taken="rate_limit.py\nREADME.md")

    compile(draft.code, draft.path, "exec")
    compile(draft.test, draft.test_path, "exec")
    assert draft.flawed.count(draft.mistake) == 1
    assert draft.flawed.replace(draft.mistake, draft.remedy) == draft.code
    assert draft.path != "rate_limit.py"


def test_the_stream_adds_up_to_the_answer() -> None:
    turn = Turn(text="é" * 5_000, calls=(bash("x" * 20_000, "long"), bash("ls", "short")))
    answer = api_format.message(
        turn, Conversation(task="", position=3), model="m", request_chars=8_000, new_chars=400
    )

    texts, inputs = "", ["", ""]
    for event in api_format.events(answer):
        delta = event.get("delta", {})
        if delta.get("type") == "text_delta":
            texts += delta["text"]
        if delta.get("type") == "input_json_delta":
            inputs[event["index"] - 1] += delta["partial_json"]

    assert texts == turn.text
    assert [json.loads(part) for part in inputs] == [dict(call.input) for call in turn.calls]
    assert answer["stop_reason"] == "tool_use"
    assert answer["usage"]["cache_read_input_tokens"] == 1_900
    assert answer["usage"]["cache_creation_input_tokens"] == 100
