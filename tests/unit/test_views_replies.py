"""The replies in a run's thread: its result in order, notices, warnings, and notices to owners."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.views.owner_notice import owner_notice
from bot.slack.views.thread.replies import replies
from bot.slack.views.thread.result import result_message
from bot.slack.views.thread.slots import CARD, thread_messages
from core.domain.kills.termination import Phase
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import StopReason
from core.domain.runs.work.diff import CommitInfo, DiffStat, FileChange
from tests.unit.test_views_result import PICTURES
from tests.unit.view_helpers import (
    AWKWARD_TEXTS,
    DIFF,
    NOW,
    RUN_ID,
    assert_fits,
    assert_matches_snapshot,
    make_ended_run,
    make_kill,
    make_run,
    make_snapshot,
    make_thread,
    problems_of,
    text_of,
)

KILLED = make_snapshot(
    make_ended_run(StopReason.KILLED, diff=DIFF), termination=make_kill(Phase.CONFIRMED)
)
RERUN_TESTS = EventRecord(kind=EventKind.API_RETRY, at=NOW, data={"error": "529 <overloaded>"})
LIMIT = EventRecord(
    kind=EventKind.RATE_LIMIT,
    at=NOW,
    data={"status": "rejected", "resets_at": "2026-11-21T05:00:00+00:00"},
)
REQUEUE = EventRecord(
    kind=EventKind.RUN_REQUEUED, at=NOW, data={"why": "the worker is shutting down"}
)


def test_a_live_run_has_no_result() -> None:
    assert result_message(make_snapshot()) is None


def test_a_new_run_has_no_replies() -> None:
    assert replies(make_thread(make_snapshot())) == {}


def test_a_thread_shows_its_runs_in_order() -> None:
    first = make_snapshot(make_ended_run(StopReason.MAX_TURNS))
    second = make_snapshot(
        make_ended_run(StopReason.SUCCESS, run_id="run_bbbbbbbbbbbb", task_input="Go on"), leg=2
    )

    drawn = thread_messages(make_thread(first, second), NOW)

    assert list(drawn) == [
        CARD,
        f"result:{RUN_ID}",
        "leg:run_bbbbbbbbbbbb",
        "result:run_bbbbbbbbbbbb",
    ]
    for message in drawn.values():
        assert_fits(message)


def test_a_task_too_long_for_the_card_is_shown_in_full_below() -> None:
    task = "\n".join(f"Requirement number {n}, in some detail" for n in range(40))

    drawn = replies(make_thread(make_snapshot(make_run(task_input=task))))

    assert list(drawn) == [f"task:{RUN_ID}"]
    assert task in text_of(drawn[f"task:{RUN_ID}"])


def test_one_or_two_retries_cause_no_notice() -> None:
    assert replies(make_thread(make_snapshot(notices=(RERUN_TESTS, RERUN_TESTS)))) == {}


def test_notices_are_one_message_that_grows() -> None:
    drawn = replies(
        make_thread(make_snapshot(notices=(RERUN_TESTS, RERUN_TESTS, RERUN_TESTS, LIMIT, REQUEUE)))
    )

    notices = drawn[f"notices:{RUN_ID}"]
    assert_fits(notices)
    assert_matches_snapshot("notices", notices)
    assert "The model's API failed (3 calls, last at" in text_of(notices)
    assert "529 &lt;overloaded&gt;" in text_of(notices)
    assert "the worker is shutting down" in text_of(notices)


def lost_at(minute: int, **data: object) -> EventRecord:
    fields = {"node": "build-1", "last_heard_at": NOW.isoformat(), "resumes": True, **data}
    return EventRecord(kind=EventKind.WORKER_LOST, at=NOW + timedelta(minutes=minute), data=fields)


def started_at(minute: int, worker: str) -> EventRecord:
    return EventRecord(
        kind=EventKind.RUN_STARTED, at=NOW + timedelta(minutes=minute), data={"worker": worker}
    )


def test_a_lost_worker_is_shown_once_and_then_the_new_worker() -> None:
    back = EventRecord(
        kind=EventKind.RUN_REQUEUED, at=NOW, data={"why": "its worker was lost", "lost": True}
    )
    waiting = (started_at(0, "build-1:aa"), lost_at(1), back)

    before = text_of(replies(make_thread(make_snapshot(notices=waiting)))[f"notices:{RUN_ID}"])
    after = text_of(
        replies(make_thread(make_snapshot(notices=(*waiting, started_at(2, "build-2:bb")))))[
            f"notices:{RUN_ID}"
        ]
    )

    assert "`build-1` was lost" in before
    assert "as soon as a worker has a free slot" in before
    assert "continues on `build-2`" in after
    assert "back in the queue" not in after


def test_a_run_that_failed_with_its_worker_says_so_only_in_its_result() -> None:
    assert replies(make_thread(make_snapshot(notices=(lost_at(1, resumes=False),)))) == {}


def test_notices_of_any_shape_are_drawn() -> None:
    odd = tuple(
        EventRecord(kind=kind, at=NOW, data={"error": None, "status": 7, "resets_at": 3, "why": []})
        for kind in EventKind
    )

    for message in replies(make_thread(make_snapshot(notices=odd * 5))).values():
        assert_fits(message)


def test_the_warning_of_an_unconfirmed_kill_is_replaced_when_confirmed() -> None:
    live = make_snapshot(make_run(kill_requested_at=NOW), termination=make_kill(Phase.UNCONFIRMED))
    phases = {Phase.UNCONFIRMED: 10_000, Phase.CONFIRMED: 15_000}
    dead = replace(KILLED, termination=make_kill(Phase.CONFIRMED, phases=phases))

    warning = replies(make_thread(live))[f"kill:{RUN_ID}"]
    after = replies(make_thread(dead))
    relief, news = after[f"kill:{RUN_ID}"], after[f"proof:{RUN_ID}"]

    assert_fits(warning)
    assert_fits(relief)
    assert_fits(news)
    assert f"proof:{RUN_ID}" not in replies(make_thread(live))
    assert "confirmed after all, 1.8 s after the request" in news.text
    assert "`sleep` (pid 42)" in text_of(warning)
    assert "nothing is left running" in relief.text


def test_a_kill_without_a_check_names_no_survivors() -> None:
    kill = make_kill(Phase.UNCONFIRMED, survivors=())
    live = make_snapshot(make_run(kill_requested_at=NOW), termination=kill, kill_machine="build")

    warning = replies(make_thread(live))[f"kill:{RUN_ID}"]

    assert_fits(warning)
    shown = text_of(warning)
    assert "Nobody could check on the machine `build`" in shown
    assert "within 10 minutes of the kill, the run is given up" in shown
    assert "start a worker on that machine" in shown
    assert "surviv" not in shown + warning.text


def test_an_abandoned_run_still_shows_its_unconfirmed_kill() -> None:
    lost = make_ended_run(StopReason.WORKER_LOST, kill_requested_at=NOW)
    given_up = make_snapshot(lost, termination=make_kill(Phase.UNCONFIRMED), kill_machine="build")

    warning = replies(make_thread(given_up))[f"kill:{RUN_ID}"]

    assert_fits(warning)
    shown = text_of(warning)
    assert "At the last check these were alive: `sleep` (pid 42)" in shown
    assert "The run was given up" in shown
    assert "counts as running" not in shown


def test_an_ordinary_kill_leaves_no_warning() -> None:
    assert f"kill:{RUN_ID}" not in replies(make_thread(KILLED))


def test_an_owner_gets_a_notice_if_the_channel_is_lost() -> None:
    drawn = owner_notice(make_thread(PICTURES["result_success"]))

    assert_fits(drawn)
    assert "its thread in <#C0BUILDS> takes no more messages" in text_of(drawn)
    assert "12 passed" in text_of(drawn)


ANY = st.text(max_size=400) | st.sampled_from(AWKWARD_TEXTS)


@settings(max_examples=60, deadline=None)
@given(ANY, ANY, st.sampled_from(StopReason), st.integers(min_value=0, max_value=20))
def test_no_text_breaks_a_reply(words: str, others: str, reason: StopReason, many: int) -> None:
    diff = DiffStat(
        files=tuple(
            FileChange(path=words[n : n + 200] or "x", added=10**9, removed=n, committed=False)
            for n in range(many)
        ),
        commits=tuple(CommitInfo(sha=words[:40], subject=others[n : n + 200]) for n in range(many)),
    )
    run = make_ended_run(
        reason,
        task_input=words,
        result=others,
        error_message=words,
        diff=diff,
        git_branch=others,
        metadata={"tests": {"passed": 1, "failed": 2, "command": words}},
    )
    kill = make_kill(
        Phase.CONFIRMED, reason=words, requested_by_name=others, phases={Phase.UNCONFIRMED: 1}
    )
    noise = replace(RERUN_TESTS, data={"error": others, "why": words})
    snapshot = make_snapshot(run, termination=kill, notices=(noise,) * 4)
    thread = make_thread(snapshot, replace(snapshot, leg=2))

    drawn = [*thread_messages(thread, NOW + timedelta(hours=1)).values(), owner_notice(thread)]

    assert [problem for message in drawn for problem in problems_of(message)] == []
