"""What the card says about a run of which nothing is heard."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from bot.slack.views.thread.card import run_card
from bot.words.markup import PLAIN, Markup
from bot.words.runs.waiting.awaited import AWAITED_WORDS, awaited_phrase
from bot.words.runs.waiting.silence import awaited_words, silence_of, silence_title, waiting_words
from core.domain.runs.activity.awaited import AWAITED_KEY, Awaited, AwaitedKind
from core.domain.runs.event import (
    AgentEvent,
    AgentStarted,
    ApiRetry,
    HostRefused,
    ToolFinished,
    ToolStarted,
)
from core.domain.runs.run import RunStatus, WaitingOn
from core.domain.runs.snapshot import RunSnapshot
from core.runner.execution.awaiting import Awaiting
from core.runner.execution.progress import Progress
from tests.unit.view_helpers import NOW, make_run, make_snapshot, text_of

STARTED = AgentStarted(session_id="s", model="sonnet")
MAKE = ToolStarted(tool_use_id="1", name="Bash", summary="make test")
READ = ToolStarted(tool_use_id="2", name="Read", summary="a.py")
RETRY = ApiRetry(attempt=1, max_attempts=10, delay_ms=500, error="rate_limit (HTTP 429)")


def silence_words(snapshot: RunSnapshot, markup: Markup = PLAIN) -> str:
    silence = silence_of(snapshot, NOW)
    return "" if silence is None else f"{silence_title(silence)}: {awaited_words(snapshot, markup)}"


def done(call: ToolStarted) -> ToolFinished:
    return ToolFinished(tool_use_id=call.tool_use_id, is_error=False, output="")


def after(*events: AgentEvent, silent_minutes: float = 9) -> RunSnapshot:
    """A run that was silent for so long after these events, one second apart."""
    awaiting = Awaiting()
    heard = NOW - timedelta(minutes=silent_minutes)
    for index, event in enumerate(events):
        awaiting.add_event(event, at=heard - timedelta(seconds=len(events) - 1 - index))
    stored = {} if awaiting.awaited is None else {AWAITED_KEY: awaiting.awaited.to_json()}
    return make_snapshot(
        run=make_run(
            metadata=stored, last_activity_at=heard - timedelta(minutes=1 if stored else 0)
        )
    )


@pytest.mark.parametrize(
    ("events", "awaited"),
    [
        ((), "its workspace is being prepared"),
        ((STARTED,), "the model has not answered yet"),
        ((STARTED, MAKE), "make test is still running"),
        ((STARTED, MAKE, done(MAKE)), "the model has not answered yet"),
        ((STARTED, MAKE, READ, done(READ)), "make test is still running"),
        ((STARTED, RETRY), "the model is asked again after an error (rate_limit (HTTP 429))"),
    ],
)
def test_a_silent_run_says_how_long_and_what_it_waits_for(
    events: tuple[AgentEvent, ...], awaited: str
) -> None:
    assert silence_words(after(*events)) == f"Nothing heard for 9 min: {awaited}"


def test_a_refused_host_is_no_sign_of_the_agent() -> None:
    snapshot = after(STARTED, HostRefused(host="example.com", port=443), silent_minutes=2)

    assert "Nothing heard for 2 min" in silence_words(snapshot)
    assert snapshot.awaited is not None
    assert snapshot.awaited.heard_at < NOW - timedelta(minutes=2)


def test_a_run_that_was_heard_of_just_now_says_nothing() -> None:
    assert silence_words(after(STARTED, silent_minutes=0.9)) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"waiting_on": WaitingOn.APPROVAL},
        {"kill_requested_at": NOW},
        {"status": RunStatus.PENDING},
        {"status": RunStatus.COMPLETED},
    ],
)
def test_a_run_that_waits_for_a_person_or_is_over_says_nothing(changes: dict[str, object]) -> None:
    silent = after(STARTED)
    other = make_run(
        metadata=silent.run.metadata, last_activity_at=silent.run.last_activity_at, **changes
    )

    assert silence_words(make_snapshot(run=other)) == ""


def test_what_an_earlier_attempt_waited_for_is_not_shown() -> None:
    stored = after(STARTED, MAKE, silent_minutes=60).run.metadata
    again = make_run(metadata=stored, attempt=2, last_activity_at=NOW - timedelta(minutes=2))

    words = silence_words(make_snapshot(run=again))

    assert words == "Nothing heard for 2 min: its workspace is being prepared"


def test_the_card_of_a_silent_run_says_so_and_changes_once_a_minute() -> None:
    snapshot = after(STARTED)

    drawn = [
        text_of(run_card(snapshot, now=NOW + timedelta(seconds=seconds))) for seconds in (0, 59, 60)
    ]

    assert "🕐 *Nothing heard for 9 min*" in drawn[0]
    assert "The model has not answered yet" in drawn[0]
    assert "🕐 *Nothing heard for 9 min*" in drawn[1]
    assert "🕐 *Nothing heard for 10 min*" in drawn[2]


def test_the_progress_of_an_attempt_stores_what_it_waits_for() -> None:
    progress = Progress(model=None)
    progress.add_event(STARTED, at=NOW)
    progress.add_event(MAKE, at=NOW + timedelta(seconds=1))

    columns = progress.columns()

    run = make_run(metadata=columns["metadata"], last_activity_at=columns["last_activity_at"])
    assert Awaited.of_run(run) == Awaited(
        kind=AwaitedKind.TOOL,
        name="Bash: make test",
        since=NOW + timedelta(seconds=1),
        heard_at=NOW + timedelta(seconds=1),
    )


def minutes_ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def waiting(**fields: Any) -> Awaited:
    """A tool call that is open for 11 minutes, and watched for 10 of them."""
    usual = {
        "kind": AwaitedKind.TOOL,
        "name": "make test",
        "since": minutes_ago(11),
        "heard_at": minutes_ago(11),
        "watched_since": minutes_ago(10),
        "is_output_known": True,
    }
    return Awaited(**(usual | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"output_at": minutes_ago(2.4), "busy_at": minutes_ago(2.4)},
            "make test is still running (11 min); its output grew 2 min ago",
        ),
        (
            {"output_at": minutes_ago(0.2)},
            "make test is still running (11 min); its output grew less than a minute ago",
        ),
        (
            {"output_at": minutes_ago(9), "busy_at": minutes_ago(1)},
            "make test is still running (11 min); it used the processor 1 min ago",
        ),
        (
            {"output_at": minutes_ago(6)},
            (
                "make test is still running (11 min), but has used no processor and written "
                "nothing for 6 min"
            ),
        ),
        (
            {},
            (
                "make test is still running (11 min), but has used no processor and written "
                "nothing for 10 min"
            ),
        ),
        (
            {"is_output_known": False},
            "make test is still running (11 min), but has used no processor for 10 min",
        ),
        ({"watched_since": minutes_ago(0.5)}, "make test is still running (11 min)"),
        ({"watched_since": None}, "make test is still running (11 min)"),
        ({"since": minutes_ago(0.5), "watched_since": None}, "make test is still running"),
        (
            {"kind": AwaitedKind.WORKSPACE, "name": None, "busy_at": minutes_ago(1)},
            "its workspace is being prepared; git was at work 1 min ago",
        ),
        (
            {"kind": AwaitedKind.WORKSPACE, "name": None},
            "its workspace is being prepared, but git has done nothing for 10 min",
        ),
        (
            {"kind": AwaitedKind.MODEL, "name": None},
            "the model has not answered yet",
        ),
    ],
)
def test_what_is_known_of_the_awaited_programs_is_said(fields: dict[str, Any], words: str) -> None:
    assert waiting_words(waiting(**fields), NOW, PLAIN) == words


def test_a_card_is_calm_while_the_programs_of_a_silent_run_work() -> None:
    def drawn(**fields: Any) -> str:
        awaited = waiting(**fields)
        run = make_run(metadata={AWAITED_KEY: awaited.to_json()}, last_activity_at=awaited.heard_at)
        return text_of(run_card(make_snapshot(run=run), now=NOW))

    busy, hung = drawn(output_at=minutes_ago(2)), drawn()

    assert "🕐 *Nothing heard" not in busy
    assert (
        "🕐 Nothing heard for 11 min, `make test` is still running; its output grew 2 min ago"
        in busy
    )
    assert "🕐 *Nothing heard for 11 min*" in hung
    assert "`make test` is still running, but has used no processor" in hung


def test_each_kind_has_its_words() -> None:
    assert set(AWAITED_WORDS) == set(AwaitedKind)


@pytest.mark.parametrize("kind", AwaitedKind)
@pytest.mark.parametrize("name", [None, "make test"])
def test_what_is_awaited_is_told_now_and_afterwards(kind: AwaitedKind, name: str | None) -> None:
    present, past = (awaited_phrase(kind, name, PLAIN, is_over=over) for over in (False, True))

    assert present != past
    assert "{" not in present + past
    has_name = name is not None and kind in {AwaitedKind.TOOL, AwaitedKind.RETRY}
    assert ("make test" in present, "make test" in past) == (has_name, has_name)


def test_metadata_of_an_unknown_shape_is_not_believed() -> None:
    heard: datetime = NOW - timedelta(minutes=3)
    shapes: tuple[object, ...] = (None, [], {"kind": "moon"}, {"kind": "tool", "since": 5})
    for stored in shapes:
        run = make_run(metadata={AWAITED_KEY: stored}, last_activity_at=heard)
        awaited = Awaited.of_run(run)

        assert awaited is not None
        assert (awaited.kind, awaited.heard_at) == (AwaitedKind.WORKSPACE, heard)
