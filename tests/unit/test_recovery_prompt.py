"""The first message of a recovery leg, and the entry of an agent whose totals are not reported."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from core.domain.runs.event import EventKind, EventRecord, TurnUsage
from core.domain.runs.run import Usage
from core.domain.runs.session import Message, MessageRole, MessageType
from core.domain.runs.step import Step, StepStatus
from core.domain.sessions.ledger import EntrySource, LedgerEntry
from core.runner.execution.conversation.recovery_prompt import (
    deeds_of_events,
    deeds_of_transcript,
    recovery_prompt,
)
from core.runner.execution.usage.entries import raised_entry
from tests.database import NOW
from tests.unit.view_helpers import DIFF, make_run

SAID = Message(
    id=UUID(int=1),
    session_id=UUID(int=2),
    role=MessageRole.USER,
    message_type=MessageType.INTERVENTION,
    text_content="Use Redis, the key is AKIAIOSFODNN7EXAMPLE",
    created_at=NOW,
)
ENTRY = LedgerEntry(
    run_id=UUID(int=1),
    session_id=UUID(int=2),
    attempt=1,
    source=EntrySource.UNKNOWN,
    cost_usd=None,
    usage=None,
    turns=0,
    recorded_at=NOW,
)


def prompt(**changes: object) -> str:
    values: dict[str, object] = {
        "task": "Count the pieces",
        "message": "Go on",
        "said": [SAID],
        "deeds": ["Bash: make test"],
        "steps": [
            Step(step_id=1, name="Look", status=StepStatus.COMPLETED),
            Step(step_id=2, name="Write"),
        ],
        "last_run": make_run(diff=DIFF),
    }
    return recovery_prompt(**(values | changes))  # type: ignore[arg-type]


def test_it_says_what_it_is_and_has_all_that_is_stored() -> None:
    words = prompt()

    assert words.startswith("This is a RECOVERY")
    for part in ("Count the pieces", "Use Redis", "Bash: make test", "[x] Look", "[ ] Write"):
        assert part in words
    assert "api/limits.py +120 −14" in words
    assert "logo.png (not committed)" in words
    assert words.endswith("## What to do now\n\nGo on")


def test_what_is_not_stored_is_left_out() -> None:
    words = prompt(said=[], deeds=[], steps=[], last_run=None)

    assert "## What you did" not in words
    assert "## The task list" not in words
    assert "## The files" not in words


def test_it_gives_no_secret_back() -> None:
    deeds = deeds_of_transcript([line("assistant", [text_block("the key AKIAIOSFODNN7EXAMPLE")])])

    assert "AKIAIOSFODNN7EXAMPLE" not in prompt(deeds=deeds)


@given(st.integers(0, 5_000), st.integers(0, 400), st.integers(0, 400))
def test_it_leaves_room_to_work(deeds: int, said: int, steps: int) -> None:
    words = prompt(
        task="t" * 50_000,
        deeds=["d" * 300] * deeds,
        said=[replace(SAID, text_content="s" * 9_000)] * said,
        steps=[Step(step_id=n, name="n" * 100) for n in range(1, steps + 1)],
    )

    assert len(words) < 90_000


def line(kind: str, content: object, **more: object) -> str:
    return json.dumps({"type": kind, "message": {"content": content}, **more})


def text_block(words: str) -> dict[str, object]:
    return {"type": "text", "text": words}


def test_what_the_agent_did_is_read_from_its_transcript() -> None:
    call = {"type": "tool_use", "name": "Bash", "input": {"command": "make\n test"}}

    deeds = deeds_of_transcript(
        [
            line("user", [text_block("not mine")]),
            line("assistant", [text_block("I look."), call]),
            line("assistant", [text_block("a helper")], isSidechain=True),
            line("assistant", "no blocks"),
            "[1, 2]",
            "{",
        ]
    )

    assert deeds == ["said: I look.", "Bash: make test"]


def test_without_a_transcript_it_is_read_from_the_events() -> None:
    found = deeds_of_events(
        [
            event(EventKind.AGENT_TEXT, text="I look.", subagent=False),
            event(EventKind.TOOL_STARTED, name="Bash", summary="make", subagent=False),
            event(EventKind.AGENT_TEXT, text="helper", subagent=True),
            event(EventKind.RUN_ENDED, stop_reason="killed"),
        ]
    )

    assert found == ["said: I look.", "Bash: make"]


def event(kind: EventKind, **data: object) -> EventRecord:
    return EventRecord(kind=kind, at=NOW, data=data)


def answer(number: int, *, is_subagent: bool = False) -> TurnUsage:
    return TurnUsage(
        message_id=f"m{number}",
        usage=Usage(input_tokens=1_000, output_tokens=100),
        model="claude-opus-4-5",
        is_subagent=is_subagent,
    )


def test_an_agent_that_answered_nothing_has_an_unknown_cost() -> None:
    entry = raised_entry(ENTRY, make_run(), [], now=NOW)

    assert (entry.source, entry.cost_usd, entry.usage, entry.turns) == (
        EntrySource.UNKNOWN,
        None,
        None,
        0,
    )


def test_the_answers_of_an_agent_that_reported_nothing_are_estimated() -> None:
    answers = [answer(1), answer(2), answer(3, is_subagent=True)]

    entry = raised_entry(ENTRY, make_run(), answers, now=NOW)
    again = raised_entry(entry, make_run(), answers, now=NOW)

    assert (entry.source, entry.turns) == (EntrySource.ESTIMATED, 2)
    assert entry.usage == Usage(input_tokens=3_000, output_tokens=300)
    assert entry.cost_usd is not None
    assert entry.cost_usd > Decimal(0)
    assert again == entry
