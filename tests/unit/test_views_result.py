"""A run's result in its thread: report, changes, tests, and what to do next."""

from dataclasses import replace

import pytest

from bot.slack.mrkdwn import MRKDWN
from bot.slack.views.lists import status_message
from bot.slack.views.thread.result import RESULT_LIMIT, file_for, result_message
from bot.slack.views.thread.slots import thread_files
from bot.words.kills import saved_work_words
from bot.words.runs.work.evidence import change_lines, line_about_tests
from core.domain.kills.termination import Phase
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.report import join_report
from core.domain.runs.run import StopReason
from core.domain.runs.snapshot import RunSnapshot
from core.domain.runs.work.diff import CommitInfo, DiffStat, FileChange
from tests.unit.view_helpers import (
    DIFF,
    NOW,
    REPORT,
    RUN_ID,
    assert_fits,
    assert_matches_snapshot,
    make_ended_run,
    make_kill,
    make_run,
    make_snapshot,
    make_thread,
    text_of,
)

KILLED = make_snapshot(
    make_ended_run(StopReason.KILLED, diff=DIFF), termination=make_kill(Phase.CONFIRMED)
)
LIMIT = EventRecord(
    kind=EventKind.RATE_LIMIT,
    at=NOW,
    data={"status": "rejected", "resets_at": "2026-11-21T05:00:00+00:00"},
)
PICTURES: dict[str, RunSnapshot] = {
    "result_success": make_snapshot(
        make_ended_run(
            StopReason.SUCCESS,
            result=REPORT,
            diff=DIFF,
            metadata={"tests": {"passed": 12, "failed": 0, "command": "make test"}},
        )
    ),
    "result_max_turns": make_snapshot(make_ended_run(StopReason.MAX_TURNS, diff=DIFF)),
    "result_agent_error": make_snapshot(
        make_ended_run(
            StopReason.AGENT_ERROR, error_message="exit code 1\nTypeError: x is not a function"
        )
    ),
    "result_usage_limit": make_snapshot(make_ended_run(StopReason.USAGE_LIMIT), notices=(LIMIT,)),
    "result_killed": KILLED,
}


@pytest.mark.parametrize("name", PICTURES)
def test_results_match_their_snapshots(name: str) -> None:
    drawn = result_message(PICTURES[name])

    assert drawn is not None
    assert_fits(drawn)
    assert_matches_snapshot(name, drawn)


@pytest.mark.parametrize("reason", list(StopReason))
def test_every_stop_reason_has_advice(reason: StopReason) -> None:
    drawn = result_message(make_snapshot(make_ended_run(reason)))

    assert drawn is not None
    assert_fits(drawn)
    assert RUN_ID in text_of(drawn)
    if reason is not StopReason.SUCCESS:
        assert "*Next:*" in text_of(drawn)


def test_no_changes_are_shown_and_without_a_workspace_nothing_is() -> None:
    assert change_lines(make_ended_run(StopReason.SUCCESS), MRKDWN) == []
    assert "none" in change_lines(make_ended_run(StopReason.SUCCESS, diff=DiffStat()), MRKDWN)[0]


def test_changes_that_cannot_be_measured_are_unknown_with_the_reason() -> None:
    run = make_ended_run(StopReason.SUCCESS, changes_unknown="Its `.git` is gone.")

    (line,) = change_lines(run, MRKDWN)

    assert line.startswith("*Changes:* unknown. ")
    assert "is gone" in line


def test_work_that_is_still_being_saved_is_shown_as_such() -> None:
    run = make_ended_run(StopReason.KILLED, work_due_at=NOW)
    snapshot = make_snapshot(run, termination=make_kill(Phase.CONFIRMED, work_saved={}))

    message = result_message(snapshot)

    assert message is not None
    assert str(message.blocks).count("saving the work…") == 2
    assert "saving the work…" in str(
        result_message(make_snapshot(make_ended_run(StopReason.SUCCESS, work_due_at=NOW)))
    )


def test_commits_on_other_branches_are_named_with_them() -> None:
    elsewhere = DiffStat(
        files=(FileChange(path="a.py", added=1, removed=0, branch="feat"),),
        commits=(CommitInfo(sha="a" * 40, subject="Add a", branch="feat"),),
        branch="main",
        merged_commits=3,
    )
    on_several = DiffStat(
        commits=(
            CommitInfo(sha="a" * 40, subject="Add a", branch="feat"),
            CommitInfo(sha="b" * 40, subject="Add b", branch=None),
        ),
        branch="main",
    )

    one = change_lines(make_ended_run(StopReason.SUCCESS, diff=elsewhere), MRKDWN)
    several = change_lines(make_ended_run(StopReason.SUCCESS, diff=on_several), MRKDWN)

    assert one == [
        "*Changes:* 1 file, +1 −0 on `main`",
        "`a.py` +1 −0 on `feat`",
        "*1 commit* on `feat`",
        "`aaaaaaa` Add a",
        "_3 commits of others came with a merge or a pull, and do not count._",
    ]
    assert several[2:] == ["`aaaaaaa` Add a · on `feat`", "`bbbbbbb` Add b · on no branch"]


def test_files_and_commits_that_are_not_listed_are_counted() -> None:
    diff = DiffStat(
        files=tuple(FileChange(path=f"f{n}.py", added=1, removed=0) for n in range(20)),
        commits=tuple(CommitInfo(sha=f"{n:040x}", subject=f"c{n}") for n in range(10)),
        omitted_files=500,
        omitted_commits=90,
    )

    lines = change_lines(make_ended_run(StopReason.SUCCESS, diff=diff), MRKDWN)

    assert "519 files" in lines[0]
    assert "_+507 more files_" in lines
    assert "_+92 more_" in lines


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ({"commit": "c" * 40, "uncommitted_files": 2}, "2 files as a checkpoint"),
        ({"commit": "c" * 40, "uncommitted_files": 2}, "not on the branch"),
        ({"kept_in": "/x", "problem": "Saving it took longer than 2 min."}, "longer than 2 min"),
        ({}, ""),
    ],
)
def test_what_was_saved_of_a_killed_run_is_said_once(saved: dict[str, object], words: str) -> None:
    run = make_ended_run(StopReason.KILLED)

    shown = saved_work_words(run, make_kill(Phase.CONFIRMED, work_saved=saved), MRKDWN)

    assert words in shown
    assert bool(shown) is bool(saved)


def test_many_files_and_commits_are_counted_not_listed() -> None:
    diff = DiffStat(
        files=tuple(FileChange(path=f"f{n}.py", added=1, removed=0) for n in range(30)),
        commits=tuple(CommitInfo(sha=f"{n:040x}", subject=f"c{n}") for n in range(30)),
    )

    lines = change_lines(make_ended_run(StopReason.SUCCESS, diff=diff), MRKDWN)

    assert "_+18 more files_" in lines
    assert "_+22 more_" in lines


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        ({"passed": 3, "failed": 0}, "✅ *Tests:* 3 passed, 0 failed"),
        ({"passed": 3, "failed": 1, "skipped": 2}, "❌ *Tests:* 3 passed, 1 failed, 2 skipped"),
        ({"passed": True, "failed": 0}, ""),
        ({"passed": 3}, ""),
        ({"passed": -1, "failed": 0}, ""),
        ("all fine", ""),
        (None, ""),
    ],
)
def test_test_results_are_shown_only_with_counts(seen: object, line: str) -> None:
    assert line_about_tests(make_run(metadata={"tests": seen}), MRKDWN) == line


def test_a_long_report_starts_in_the_thread_and_is_complete_in_a_file() -> None:
    report = REPORT + "More words of the report.\n" * 400
    snapshot = make_snapshot(make_ended_run(StopReason.SUCCESS, result=report))

    drawn, file = result_message(snapshot), file_for(snapshot)

    assert drawn is not None
    assert_fits(drawn)
    assert "follows as a file" in text_of(drawn)
    assert file is not None
    assert file.content == report
    assert thread_files(make_thread(snapshot)) == {f"file:{RUN_ID}": file}


def test_a_file_holds_no_credentials() -> None:
    secret = "ghp_" + "a" * 36
    snapshot = make_snapshot(
        make_ended_run(StopReason.SUCCESS, result=f"{secret} " + "word " * RESULT_LIMIT)
    )

    file = file_for(snapshot)

    assert file is not None
    assert secret not in file.content


def test_a_short_report_needs_no_file() -> None:
    assert file_for(make_snapshot(make_ended_run(StopReason.SUCCESS, result=REPORT))) is None
    assert file_for(make_snapshot(make_run(result="word " * 3000))) is None


def test_the_last_words_are_shown_below_the_beginning_of_a_long_report() -> None:
    result = join_report("## Summary\n\n" + "A detail. " * 1_000, "It is NOT done.")
    snapshot = make_snapshot(make_ended_run(StopReason.SUCCESS, result=result))

    reply = result_message(snapshot)
    answer = status_message(snapshot, now=NOW)

    assert reply is not None
    assert_fits(reply)
    assert_fits(answer)
    assert text_of(replace(reply, text="")).count("It is NOT done.") == 1
    assert "It is NOT done." in text_of(answer)
    assert "It is NOT done." in reply.text
