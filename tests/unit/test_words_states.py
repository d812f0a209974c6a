"""The words for what becomes of a run: total tables, true titles, no markup of their own."""

from __future__ import annotations

from typing import Any

import pytest

from bot.slack.views.thread.card import run_card
from bot.words.kills import (
    PHASE_WORDS,
    STOPPING_TITLES,
    draining_words,
    killed_by,
    saved_work_words,
    survivor_words,
    waited_words,
)
from bot.words.markup import PLAIN
from bot.words.runs.endings import ENDINGS, REASON_WORDS
from bot.words.runs.notices import notice_lines
from bot.words.runs.states import (
    HOLD_WORDS,
    STATUS_ICONS,
    STATUS_WORDS,
    STEP_ICONS,
    WAITING_TITLES,
    state_of,
)
from bot.words.runs.work.carried_work import not_carried_lines, restored_lines
from bot.words.runs.work.evidence import change_lines, line_about_tests
from core.domain.fleet.workers import Hold, QueueReason
from core.domain.kills.termination import CriticalWait, Phase, ProcessIdentity
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import RunStatus, StopReason, WaitingOn
from core.domain.runs.step import StepStatus
from core.domain.runs.work.diff import CommitInfo, DiffStat, FileChange
from tests.unit.view_helpers import (
    NOW,
    assert_fits,
    make_ended_run,
    make_kill,
    make_run,
    make_snapshot,
)

KILLED = make_ended_run(StopReason.KILLED, turns=7)
KILLING = {"kill_requested_at": NOW}


def test_lookup_tables_are_total() -> None:
    assert set(STATUS_ICONS) == set(STATUS_WORDS) == set(RunStatus)
    assert set(STEP_ICONS) == set(StepStatus)
    assert set(WAITING_TITLES) == set(WaitingOn)
    assert set(HOLD_WORDS) == set(QueueReason)
    assert set(STOPPING_TITLES) == set(PHASE_WORDS) == set(Phase)
    assert set(ENDINGS) == set(REASON_WORDS) == set(StopReason)


def test_a_turn_limit_is_told_with_its_numbers() -> None:
    title = state_of(make_snapshot(make_ended_run(StopReason.MAX_TURNS)), PLAIN).title

    assert title == "Stopped at its turn limit (30/30), not finished"


def test_a_kill_is_told_with_its_proof() -> None:
    title = state_of(make_snapshot(KILLED, termination=make_kill(Phase.CONFIRMED)), PLAIN).title

    assert title == "Killed, nothing left running"


def test_a_run_killed_in_the_queue_never_ran() -> None:
    run = make_ended_run(StopReason.KILLED, started_at=None)

    kill = make_kill(Phase.CONFIRMED, processes_seen=0)
    title = state_of(make_snapshot(run, termination=kill), PLAIN).title

    assert title == "Killed before it started, nothing was running"


def test_a_kill_without_proof_claims_none() -> None:
    assert state_of(make_snapshot(KILLED), PLAIN).title == "Killed"


@pytest.mark.parametrize(
    ("position", "title"),
    [
        (None, "Queued"),
        (1, "Queued, next in line"),
        (3, "Queued, 3rd in line"),
    ],
)
def test_the_place_in_the_queue_is_told(position: int | None, title: str) -> None:
    run = make_run(status=RunStatus.PENDING)

    assert state_of(make_snapshot(run, queue_position=position), PLAIN).title == title


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        ({}, "Waits for a free worker slot"),
        ({"has_available_worker": False}, "No worker is up"),
        (
            {
                "has_available_worker": False,
                "hold": Hold(reason=QueueReason.FLEET, in_use=1, cap=1),
            },
            "No worker",
        ),
        ({"hold": Hold(reason=QueueReason.FLEET, in_use=6, cap=6)}, "any run to end (6 of 6 live)"),
        (
            {"hold": Hold(reason=QueueReason.PERSON, in_use=2, cap=2)},
            "one of Ada Lovelace's runs to end (2 of 2 live)",
        ),
        (
            {"hold": Hold(reason=QueueReason.REPOSITORY, in_use=4, cap=3)},
            "a run on the same repository to end (4 of 3 live)",
        ),
    ],
)
def test_what_a_run_waits_for_is_told(wait: dict[str, Any], words: str) -> None:
    snapshot = make_snapshot(make_run(status=RunStatus.PENDING), queue_position=2, **wait)

    assert words in state_of(snapshot, PLAIN).detail
    assert_fits(run_card(snapshot, now=NOW))


def test_a_requeued_run_says_that_it_continues_automatically() -> None:
    state = state_of(
        make_snapshot(make_run(status=RunStatus.PENDING, attempt=2), queue_position=1), PLAIN
    )

    assert state.title == "Queued again, next in line"
    assert "continues automatically" in state.detail


def test_a_plain_surface_gets_no_markup() -> None:
    wait = CriticalWait(
        tool="Bash", summary="git commit", pattern="git commit", milliseconds=900, finished=False
    )
    kill = make_kill(
        Phase.UNCONFIRMED,
        survivors=(ProcessIdentity(pid=7, started_ticks=1, name="bash"),),
        phases={Phase.UNCONFIRMED: 9000},
        waited_for=(wait,),
        work_saved={"commit": "0123456789abcdef"},
        reason="wrong branch",
    )
    stopping = make_snapshot(make_run(**KILLING), termination=kill, kill_machine="build")
    diff = DiffStat(
        files=tuple(FileChange(path=f"{n}.py", added=1, removed=0) for n in range(15)),
        commits=(CommitInfo(sha="0123456789", subject="Add limits"),),
    )
    changed = make_run(diff=diff, metadata={"tests": {"passed": 3, "failed": 0, "command": "x"}})
    moved = EventRecord(
        kind=EventKind.WORK_RESTORED, at=NOW, data={"commit": "0123456789", "incomplete": True}
    )
    large = EventRecord(
        kind=EventKind.WORK_CARRIED, at=NOW, data={"too_large": True, "workspace": "ws_1"}
    )
    requeued = EventRecord(kind=EventKind.RUN_REQUEUED, at=NOW, data={"why": "a shutdown"})

    lines = [
        state_of(stopping, PLAIN).detail,
        survivor_words(stopping, kill, PLAIN),
        survivor_words(make_snapshot(KILLED, termination=kill), kill, PLAIN),
        killed_by(kill, PLAIN),
        waited_words(kill, PLAIN),
        draining_words(make_run(**KILLING), kill, PLAIN),
        saved_work_words(changed, kill, PLAIN),
        *change_lines(changed, PLAIN),
        line_about_tests(changed, PLAIN),
        *restored_lines([moved], PLAIN),
        *not_carried_lines([large], PLAIN),
        *notice_lines(make_snapshot(notices=(requeued,)), PLAIN),
    ]

    assert all(lines)
    assert not [
        line
        for line in lines
        if set("*_`<>") & set(line.replace("ws_1", "").replace("worker_lost", ""))
    ]
