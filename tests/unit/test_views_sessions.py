"""Sessions in Slack and on the command line, and the labels of legs everywhere."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.cli.sessions.texts import (
    changed_text,
    messages_text,
    session_list_text,
    session_text,
    spent_of,
)
from bot.slack.views.kill_questions import kill_form
from bot.slack.views.runs.continue_buttons import continue_buttons
from bot.slack.views.runs.links import NO_LINKS
from bot.slack.views.runs.refusals import refusal_message
from bot.slack.views.runs.reply_question import reply_question
from bot.slack.views.runs.sessions import (
    session_changed_words,
    session_list_message,
    session_message,
)
from bot.slack.views.thread.replies import replies
from bot.web.api.sessions.answers import leg_list, session_answer, spent_answer
from bot.words.runs.recovery import RECOVERY_BEGUN
from bot.words.spending import spent_figures, spent_words
from core.domain.actor import Action, Actor, Origin, Role
from core.domain.failure_cause import FailureCause
from core.domain.runs.failure_analysis import FAILURE_KEY, FailureAnalysis
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run, StopReason, Usage
from core.domain.runs.session import Session
from core.domain.runs.snapshot import SessionTotal
from core.domain.sessions.ledger import EntrySource, LedgerEntry, LedgerSum
from core.domain.sessions.recovery import RECOVERY_KEY
from core.services.context import NotAllowed
from core.services.sessions import Leg, SessionHistory, SessionOverview
from tests.unit.view_helpers import (
    ADA,
    AWKWARD_TEXTS,
    NOW,
    assert_fits,
    assert_matches_snapshot,
    make_ended_run,
    make_run,
    make_snapshot,
    make_thread,
    text_of,
)

SESSION = Session(
    id=UUID("8b99235a-e9ee-447c-a529-ea6c13de5c3d"),
    agent_name="implement",
    created_at=NOW,
    name="pieces",
    user_id=ADA.id,
    git_repo="https://github.com/acme/api",
)
TASK = "Count the pieces"


def entry(run: Run, source: EntrySource, cost: str | None, *, attempt: int = 1) -> LedgerEntry:
    return LedgerEntry(
        run_id=run.id,
        session_id=run.session_id,
        attempt=attempt,
        source=source,
        cost_usd=None if cost is None else Decimal(cost),
        usage=None if cost is None else Usage(input_tokens=1_200, output_tokens=340),
        turns=run.turns // attempt,
        recorded_at=NOW,
    )


def leg(number: int, run: Run, *entries: LedgerEntry) -> Leg:
    about = None if number == 1 else TASK
    return Leg(number=number, snapshot=make_snapshot(run, leg=number, about=about), entries=entries)


def history(**changes: object) -> SessionHistory:
    limited = make_ended_run(StopReason.MAX_TURNS, task_input=TASK, cost_usd=Decimal("1.4468734"))
    killed = make_ended_run(
        StopReason.KILLED, id=UUID(int=3), run_id="run_1b", task_input="go on", turns=2
    )
    done = make_ended_run(
        StopReason.SUCCESS, id=UUID(int=4), run_id="run_2c", task_input="go on", turns=6
    )
    legs = (
        leg(1, limited, entry(limited, EntrySource.REPORTED, "1.4468734")),
        leg(2, killed, entry(killed, EntrySource.UNKNOWN, None)),
        leg(
            3,
            done,
            entry(done, EntrySource.ESTIMATED, "0.25"),
            entry(done, EntrySource.REPORTED, "0.5", attempt=2),
        ),
    )
    spent = sum((one.spent for one in legs), LedgerSum())
    overview = SessionOverview(
        session=SESSION,
        owner=ADA,
        newest=done,
        total=SessionTotal(legs=3, turns=38, spent=spent),
        about=TASK,
        leg=3,
    )
    values: dict[str, object] = {"overview": overview, "legs": legs, "lineage": spent}
    return SessionHistory(**(values | changes))  # type: ignore[arg-type]


def test_a_session_shows_its_legs_and_each_source_of_cost_apart() -> None:
    message = session_message(history(), links=NO_LINKS)

    assert_fits(message)
    assert_matches_snapshot("session", message)
    shown = text_of(message)
    assert "*pieces: Count the pieces*" in shown
    assert "Count the pieces · leg 2" in shown
    assert "go on" not in shown
    assert "$1.45 reported" in shown
    assert "$1.95 reported, $0.25 estimated, unknown for 1 agent process" in shown
    assert "$0.00" not in shown


def test_the_costs_of_forks_are_shown_if_there_are_any() -> None:
    forked = history(lineage=LedgerSum(reported_usd=Decimal(9), reported=9, turns=90))

    assert "*With its forks* · 90 turns · cost $9.00 reported" in text_of(
        session_message(forked, links=NO_LINKS)
    )


def test_sessions_are_listed_a_line_each() -> None:
    overview = history().overview
    closed = replace(overview, session=replace(SESSION, name=None, closed_at=NOW))

    message = session_list_message([overview, closed], kind="open sessions")

    assert_fits(message)
    assert_matches_snapshot("session_list", message)
    assert "3 legs · 38 turns · $1.95 + ~$0.25 + 1 unknown" in text_of(message)
    assert "There are no sessions" in text_of(session_list_message([], kind="sessions"))


@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1, max_size=80) | st.sampled_from(AWKWARD_TEXTS))
def test_any_name_and_task_fit(words: str) -> None:
    session = replace(SESSION, name=words[:80])
    found = history()
    overview = replace(found.overview, session=session, about=words)
    many = replace(found, overview=overview, legs=tuple(found.legs) * 40)

    assert_fits(session_message(many, links=NO_LINKS))
    assert_fits(session_list_message([overview] * 40, kind="sessions"))


def test_what_became_of_a_name_is_said() -> None:
    overview = history().overview
    closed = replace(overview, session=replace(SESSION, closed_at=NOW))

    assert "its name is free" in session_changed_words(closed)
    assert session_changed_words(overview) == "The session `pieces` is open."
    assert session_changed_words(overview, former="x") == "The session is now called `pieces`."


def test_the_command_line_shows_the_same() -> None:
    found = history()
    session = session_answer(found.overview).model_dump(mode="json")
    legs = leg_list(found).model_dump(mode="json")

    shown = session_text(session, legs, width=160)
    listed = session_list_text(
        {"sessions": [session], "next": None, "total_count": 1}, now=NOW, width=160
    )

    assert "8b99235a  pieces · Count the pieces" in shown
    assert "$1.95 reported, $0.25 estimated, unknown for 1 agent process" in shown
    rows = [line for line in shown.splitlines() if "run_" in line]
    assert [line.split()[0] for line in rows] == ["1", "2", "3"]
    assert "unknown" in rows[1]
    assert "$0.00" not in shown + listed
    assert "$1.95 + ~$0.25 + 1 unkn" in listed
    assert "pieces is closed" not in changed_text(session).replace(" (8b99235a)", "")
    assert "name is free" in changed_text({**session, "is_open": False})


def test_a_sum_of_the_api_is_the_sum() -> None:
    spent = history().spent

    assert spent_of(spent_answer(spent).model_dump(mode="json")) == spent
    assert spent_of(None) == LedgerSum()


def test_messages_name_who_said_them_and_in_which_leg() -> None:
    said = {
        "messages": [
            {
                "role": "user",
                "type": "intervention",
                "text": "Use Redis\x1b[31m\nplease",
                "author": "Ada",
                "leg": 2,
                "created_at": "2026-11-21T12:00:00Z",
            },
            {"role": "assistant", "type": "result", "text": "Done.", "leg": None},
        ]
    }

    shown = messages_text(said)

    assert shown.splitlines()[0] == "2026-11-21T12:00:00 · Ada · intervention · leg 2"
    assert "\x1b" not in shown
    assert "  please" in shown
    assert "agent · result" in shown
    assert messages_text({"messages": []}) == "Nothing was said yet."


@pytest.mark.parametrize(
    ("spent", "words", "figures"),
    [
        (LedgerSum(), "none yet", ""),
        (LedgerSum(unknown=2), "unknown", "cost unknown"),
        (LedgerSum(reported=1), "$0.00 reported", "$0.00"),
        (
            LedgerSum(estimated=1, estimated_usd=Decimal("0.032"), unknown=2),
            "$0.032 estimated, unknown for 2 agent processes",
            "~$0.032 + 2 unknown",
        ),
    ],
)
def test_what_is_unknown_is_never_a_number(spent: LedgerSum, words: str, figures: str) -> None:
    assert spent_words(spent) == words
    assert spent_figures(spent) == figures


def recovery_leg() -> Run:
    return make_run(task_input="go on", metadata={RECOVERY_KEY: True})


def test_a_recovery_leg_is_labelled_in_its_thread() -> None:
    first = make_ended_run(StopReason.MAX_TURNS, task_input=TASK)
    second = replace(recovery_leg(), id=UUID(int=9), run_id="run_2")
    thread = make_thread(make_snapshot(first), make_snapshot(second, leg=2, about=TASK))

    reply = replies(thread)["leg:run_2"]

    assert reply.text.startswith(f"Continued: {TASK} · leg 2, recovery: go on")
    assert RECOVERY_BEGUN in text_of(reply)


def lost_run() -> Run:
    failure = FailureAnalysis(cause=FailureCause.CONVERSATION_MISSING).to_json()
    return make_ended_run(
        StopReason.AGENT_ERROR, task_input="go on", turns=0, metadata={FAILURE_KEY: failure}
    )


def test_a_lost_conversation_offers_nothing_but_a_recovery_leg() -> None:
    (button,) = continue_buttons(lost_run())
    question = reply_question(lost_run(), "and the docs")

    assert (button["text"]["text"], button["style"]) == ("Recovery leg…", "primary")
    assert "cannot be restored" in text_of(question)
    assert "continue run_0a1b2c3d4e5f --recover and the docs" in str(question)


def test_refusals_and_questions_name_the_task_of_a_later_leg() -> None:
    other = Actor(role=Role.RUNNER, origin=Origin.SLACK, user_id=UUID(int=99), name="bob")
    run = make_run(task_input="go on")
    refusal = NotAllowed(other, Action.KILL, run)
    refusal.about, refusal.leg = TASK, 2
    snapshot = make_snapshot(run, leg=2, about=TASK)

    refused = refusal_message(refusal)
    form = kill_form(snapshot, KillRequest(target=run.run_id), channel_id="C1", now=NOW)

    assert refused is not None
    for shown in (text_of(refused), text_of(form)):
        assert f"{TASK} · leg 2" in shown
        assert "go on" not in shown
