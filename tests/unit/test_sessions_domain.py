"""Names of sessions, sums of the ledger, and the check of stored conversations."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.errors import BadRequest, OutOfBounds
from core.domain.failure_cause import FailureCause
from core.domain.runs.failure_analysis import FAILURE_KEY, FailureAnalysis
from core.domain.runs.run import CostSource, StopReason, Usage
from core.domain.sessions.ledger import EntrySource, LedgerEntry, LedgerSum
from core.domain.sessions.names import BadSessionName, clean_session_name, session_name_key
from core.domain.sessions.recovery import RECOVERY_KEY, may_recover, needs_recovery
from core.domain.sessions.transcript_check import (
    TranscriptLink,
    TranscriptState,
    state_of_transcript,
)
from core.store.sessions.found_sessions import id_bounds
from tests.database import NOW
from tests.unit.view_helpers import make_ended_run, make_run

COSTS = st.decimals(min_value=0, max_value=1000, places=7)
USAGES = st.none() | st.builds(
    Usage, input_tokens=st.integers(1, 10**9), output_tokens=st.integers(0, 10**9)
)


@st.composite
def entries(draw: st.DrawFn) -> LedgerEntry:
    source = draw(st.sampled_from(EntrySource))
    return LedgerEntry(
        run_id=UUID(int=1),
        session_id=UUID(int=2),
        attempt=draw(st.integers(1, 9)),
        source=source,
        cost_usd=None if source is EntrySource.UNKNOWN else draw(COSTS),
        usage=draw(USAGES),
        turns=draw(st.integers(0, 99)),
        recorded_at=NOW,
    )


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("rate limits", "rate limits"),
        ("  rate \n limits ", "rate limits"),
        ("Ünïcode 数", "Ünïcode 数"),
        ("x" * 80, "x" * 80),
        ("deadbeef", "deadbeef"),
        ("e\u0301t\u00e9", "\u00e9t\u00e9"),
    ],
)
def test_a_name_is_stored_as_it_was_meant(typed: str, stored: str) -> None:
    assert clean_session_name(typed) == stored


@pytest.mark.parametrize(
    "name",
    [
        "--force",
        "—dash",
        "+20",
        "@ada",
        "#general",
        "<b>",
        "a`b",
        "a\u200bb",
        "a\u202eb",
        "a\x00b",
        "run_0a1b",
        "0a1b2c3d4e5f",
        "8b99235a-e9ee-447c-a529-ea6c13de5c3d",
    ],
)
def test_a_name_that_looks_like_something_else_is_refused(name: str) -> None:
    with pytest.raises(BadSessionName):
        clean_session_name(name)


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_a_name_has_bounds(name: str) -> None:
    with pytest.raises(OutOfBounds):
        clean_session_name(name)


@given(st.text(max_size=90))
def test_a_stored_name_stays_what_it_is_and_can_be_found_again(name: str) -> None:
    try:
        stored = clean_session_name(name)
    except BadRequest:
        return
    assert clean_session_name(stored) == stored
    assert unicodedata.is_normalized("NFC", stored)
    key = session_name_key(stored)
    assert key == session_name_key(key) == session_name_key(f" {name} ")


def test_capitals_and_widths_make_no_other_name() -> None:
    keys = {session_name_key(name) for name in ("Rate  Limits", "rate limits", "ＲＡＴＥ limits")}

    assert keys == {"rate limits"}
    assert session_name_key("Straße") == session_name_key("STRASSE")


@given(st.lists(entries(), max_size=8), st.lists(entries(), max_size=8))
def test_sums_add_up_and_keep_each_source_apart(
    some: list[LedgerEntry], others: list[LedgerEntry]
) -> None:
    found = LedgerSum.of_entries([*some, *others])

    assert found == LedgerSum.of_entries(some) + LedgerSum.of_entries(others)
    assert found.processes == len(some) + len(others)
    for source, total, count in (
        (EntrySource.REPORTED, found.reported_usd, found.reported),
        (EntrySource.ESTIMATED, found.estimated_usd, found.estimated),
    ):
        of_source = [one.cost_usd or 0 for one in [*some, *others] if one.source is source]
        assert total == sum(of_source, Decimal(0))
        assert count == len(of_source)
    assert found.unknown == found.processes - found.reported - found.estimated
    assert found.unknown_usage == sum(one.usage is None for one in [*some, *others])
    assert (found.known_usd is None) == (found.unknown == found.processes)
    assert (found.known_source is CostSource.REPORTED) == (
        found.estimated == 0 and found.reported > 0
    )


def test_a_cost_without_a_source_counts_as_estimated() -> None:
    assert EntrySource.of_cost(Decimal(1), None) is EntrySource.ESTIMATED
    assert EntrySource.of_cost(None, None) is EntrySource.UNKNOWN
    assert EntrySource.of_cost(Decimal(0), CostSource.REPORTED) is EntrySource.REPORTED


def chain(length: int) -> list[TranscriptLink]:
    return [
        TranscriptLink(
            uuid=f"u{number}",
            parent=f"u{number - 1}" if number else None,
            is_message=True,
        )
        for number in range(length)
    ]


@given(st.integers(1, 40))
def test_a_conversation_with_all_its_entries_is_whole(length: int) -> None:
    assert state_of_transcript(chain(length)) is TranscriptState.WHOLE


@given(
    st.integers(2, 40).flatmap(
        lambda length: st.tuples(st.just(length), st.integers(0, length - 2))
    )
)
def test_a_conversation_that_lacks_any_entry_but_its_last_is_damaged(
    sizes: tuple[int, int],
) -> None:
    length, lost = sizes
    links = [link for number, link in enumerate(chain(length)) if number != lost]

    assert state_of_transcript(links) is TranscriptState.DAMAGED


def test_a_conversation_whose_newest_prompt_is_missing_is_damaged() -> None:
    assert state_of_transcript(chain(3), ["u1", "other"]) is TranscriptState.WHOLE
    assert state_of_transcript(chain(3), ["u7"]) is TranscriptState.DAMAGED


def test_entries_without_a_message_are_no_conversation() -> None:
    lone = TranscriptLink(uuid="u0", parent=None, is_message=False)

    assert state_of_transcript([]) is TranscriptState.NONE
    assert state_of_transcript([lone]) is TranscriptState.NONE


def test_a_shortened_conversation_and_a_circle_end_somewhere() -> None:
    shortened = [*chain(3), TranscriptLink(uuid="c", parent=None, is_message=True)]
    circle = [
        TranscriptLink(uuid="a", parent="b", is_message=True),
        TranscriptLink(uuid="b", parent="a", is_message=True),
    ]

    assert state_of_transcript(shortened) is TranscriptState.WHOLE
    assert state_of_transcript(circle) is TranscriptState.WHOLE


@pytest.mark.parametrize(
    ("cause", "needs", "may"),
    [
        (FailureCause.CONVERSATION_MISSING, True, True),
        (FailureCause.CONVERSATION_DAMAGED, True, True),
        (FailureCause.PROMPT_TOO_LONG, False, True),
        (FailureCause.PROGRAM_CRASHED, False, True),
        (FailureCause.OVERLOADED, False, False),
    ],
)
def test_which_failures_a_recovery_leg_is_for(cause: FailureCause, needs: bool, may: bool) -> None:
    stored = {FAILURE_KEY: FailureAnalysis(cause=cause).to_json()}
    failed = make_ended_run(StopReason.AGENT_ERROR, metadata=stored)

    assert (needs_recovery(failed), may_recover(failed)) == (needs, may)
    assert not may_recover(make_run(metadata=stored))


def test_a_recovery_leg_that_never_began_is_recovered_again() -> None:
    lost = make_ended_run(StopReason.KILLED, metadata={RECOVERY_KEY: True}, turns=0)
    begun = make_ended_run(StopReason.KILLED, metadata={RECOVERY_KEY: True}, turns=2)

    assert may_recover(lost)
    assert not may_recover(begun)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("8b99", "8b990000", "8b99ffff"),
        ("8B99235A-e9e", "8b99235a-e9e0", "8b99235a-e9ef"),
        ("8b99235ae9ee", "8b99235a-e9ee", "8b99235a-e9ee"),
    ],
)
def test_the_beginning_of_an_id_is_a_range_of_ids(text: str, first: str, last: str) -> None:
    bounds = id_bounds(text)

    assert bounds is not None
    assert str(bounds[0]).startswith(first)
    assert str(bounds[1]).startswith(last)


@pytest.mark.parametrize(
    "text", ["", "8b9", "rate", "8b99235a-e9ee-447c-a529-ea6c13de5c3d1", "run_8b99"]
)
def test_other_texts_begin_no_id(text: str) -> None:
    assert id_bounds(text) is None
