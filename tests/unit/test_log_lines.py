"""Log lines: one for every kind of event, whatever its data is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.words.runs.log_lines import TEXTS, log_line, log_text
from core.domain.runs.event import EventKind, EventRecord

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAMES = ("text", "error", "output", "items", "attempt", "max_attempts", "name", "commit", "why")
DATA = st.dictionaries(
    st.sampled_from(NAMES),
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.lists(st.text())),
)


def event(kind: EventKind, **data: object) -> EventRecord:
    return EventRecord(kind=kind, at=AT, data=data)


def test_every_kind_has_words() -> None:
    assert set(TEXTS) == set(EventKind)


@given(st.sampled_from(EventKind), DATA)
def test_any_event_is_one_short_line(kind: EventKind, data: dict[str, object]) -> None:
    text = log_text(event(kind, **data))

    assert text
    assert len(text.splitlines()) == 1
    assert len(text) <= 400


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (event(EventKind.RUN_QUEUED, by="Ada"), "queued by Ada"),
        (event(EventKind.AGENT_TEXT, text="Done.\n\nAll  well."), "agent: Done. All well."),
        (event(EventKind.TOOL_STARTED, name="Bash", summary="make test"), "tool Bash make test"),
        (event(EventKind.TOOL_FINISHED, error=True, output="no"), "tool failed: no"),
        (event(EventKind.TOOL_FINISHED, error=False, output=""), "tool ended"),
        (
            event(EventKind.PLAN_CHANGED, items=[["1", "a", "completed"], ["2", "b", "pending"]]),
            "plan: 1 of 2 steps completed",
        ),
        (
            event(EventKind.API_RETRY, attempt=2, max_attempts=10, error="overloaded"),
            "the model is asked again (2 of 10): overloaded",
        ),
        (
            event(EventKind.HOST_REFUSED, host="a.example", port=443),
            "network: refused a.example 443",
        ),
        (event(EventKind.RUN_ENDED, stop_reason="success"), "ended: success"),
    ],
)
def test_an_event_in_words(record: EventRecord, line: str) -> None:
    assert log_text(record) == line
    assert log_line(record) == f"2026-11-21T12:00:00Z {line}"
