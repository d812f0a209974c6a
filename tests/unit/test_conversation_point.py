"""How far a conversation has come, and whether a call may be changing files."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from core.agent.conversation_point import ConversationPoint, can_change_files

UUIDS = [UUID(int=number) for number in range(1, 10)]


def answer(number: int, *calls: tuple[str, str], text: str = "") -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    content += [
        {"type": "tool_use", "id": call_id, "name": name, "input": {}} for call_id, name in calls
    ]
    return {
        "type": "assistant",
        "uuid": str(UUIDS[number]),
        "message": {"id": f"msg_{number}", "content": content},
    }


def result(number: int, *call_ids: str) -> dict[str, Any]:
    content = [{"type": "tool_result", "tool_use_id": call_id} for call_id in call_ids]
    return {"type": "user", "uuid": str(UUIDS[number]), "message": {"content": content}}


def test_it_settles_at_the_result_of_the_last_open_call() -> None:
    point = ConversationPoint()

    point.add_entry({"type": "user", "uuid": str(UUIDS[0]), "message": {"content": "Do it"}})
    assert (point.is_settled, point.message_uuid) == (True, UUIDS[0])
    point.add_entry(answer(1, ("a", "Write"), ("b", "TaskUpdate")))
    assert (point.is_settled, point.message_uuid) == (False, UUIDS[0])
    point.add_entry(result(2, "a"))
    assert (point.is_settled, point.message_uuid) == (False, UUIDS[0])
    point.add_entry(result(3, "b"))

    assert (point.is_settled, point.message_uuid) == (True, UUIDS[3])
    assert point.effects == 1


def test_a_call_that_a_message_announces_is_open_before_the_transcript_has_it() -> None:
    point = ConversationPoint()
    point.add_entry(answer(1, text="Now"))

    point.announce("a", "Bash", {"command": "make"}, answer_id="msg_2")
    assert (point.is_settled, point.effects, point.message_uuid) == (False, 1, UUIDS[1])
    point.add_entry(answer(2, ("a", "Bash")))
    point.add_entry(result(3, "a"))

    assert (point.is_settled, point.effects, point.message_uuid) == (True, 1, UUIDS[3])


def test_an_announcement_that_comes_late_opens_nothing() -> None:
    point = ConversationPoint()
    point.add_entry(answer(1, ("a", "Write")))
    point.add_entry(result(2, "a"))

    point.announce("a", "Write", {}, answer_id="msg_1")

    assert (point.is_settled, point.effects) == (True, 1)


def test_a_new_answer_ends_calls_without_a_result_but_none_of_its_own() -> None:
    point = ConversationPoint()
    point.add_entry(answer(1, ("a", "Write")))
    point.announce("b", "Write", {}, answer_id="msg_2")
    point.announce("c", "Write", {}, answer_id="msg_2")

    point.add_entry(answer(2, text="Next"))

    assert not point.is_settled
    point.add_entry(answer(2, ("b", "Write"), ("c", "Write")))
    point.add_entry(result(3, "b", "c"))
    assert point.is_settled


def test_messages_that_are_ahead_of_the_transcript_stay_open() -> None:
    point = ConversationPoint()
    point.announce("a", "Read", {}, answer_id="msg_1")
    point.announce("b", "Write", {}, answer_id="msg_2")

    point.add_entry(answer(1, ("a", "Read")))
    point.add_entry(result(3, "a"))

    assert not point.is_settled
    assert point.message_uuid == UUIDS[3]


def test_the_end_of_the_agent_leaves_only_calls_that_the_transcript_has() -> None:
    point = ConversationPoint()
    point.announce("a", "Write", {}, answer_id="msg_1")
    point.end()
    assert point.is_settled

    point.add_entry(answer(1, ("b", "Write")))
    point.end()

    assert not point.is_settled


async def test_waiting_ends_with_the_last_result_or_with_the_limit() -> None:
    point = ConversationPoint()
    point.add_entry(answer(1, ("a", "Write")))
    assert not await point.wait_until_settled(timedelta(seconds=0.01))

    waiting = asyncio.create_task(point.wait_until_settled(timedelta(seconds=30)))
    await asyncio.sleep(0)
    point.add_entry(result(2, "a"))

    assert await waiting


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"type": "assistant"},
        {"type": "assistant", "message": "text"},
        {"type": "user", "uuid": 5, "message": {"content": [5, None, {"type": "tool_result"}]}},
        {"type": "user", "uuid": "not a uuid", "message": {"content": "x"}},
        {"type": "assistant", "uuid": str(UUIDS[1]), "isSidechain": True, "message": {}},
        {"type": "system", "uuid": str(UUIDS[1])},
    ],
)
def test_an_entry_of_any_other_form_changes_nothing(entry: dict[str, Any]) -> None:
    point = ConversationPoint()

    point.add_entry(entry)

    assert (point.is_settled, point.message_uuid, point.effects) == (True, None, 0)


@pytest.mark.parametrize(
    ("name", "given", "can"),
    [
        ("Read", {}, False),
        ("TaskUpdate", {}, False),
        ("Write", {}, True),
        ("Agent", {}, True),
        ("Task", {}, True),
        ("mcp__files__write", {}, True),
        ("Bash", {"command": "git status"}, False),
        ("Bash", {"command": "git status > x"}, True),
        ("Bash", {"command": "make"}, True),
        ("Bash", {}, True),
    ],
)
def test_which_calls_can_change_files(name: str, given: dict[str, Any], can: bool) -> None:
    assert can_change_files(name, given) is can
