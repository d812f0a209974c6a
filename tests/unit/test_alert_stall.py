"""When a run counts as stalled, and what is no stall."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.alerts.condition import NO_SCOPE, Condition
from core.domain.alerts.detectors.facts import LiveRun, WorkerFacts
from core.domain.alerts.detectors.fleet import conditions_of_fleet
from core.domain.alerts.detectors.limits import AlertLimits, StallLimits
from core.domain.alerts.detectors.stall import conditions_of_live_run
from core.domain.alerts.kinds import AlertKind
from core.domain.fleet.workers import WorkerState
from core.domain.runs.activity.awaited import Awaited, AwaitedKind
from core.domain.runs.run import RunStatus, WaitingOn

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
STALL = StallLimits(
    idle=timedelta(minutes=5), tool=timedelta(minutes=10), person=timedelta(minutes=30)
)
LIMITS = AlertLimits(stall=STALL)
LOOK = timedelta(seconds=10)
DURATIONS = st.timedeltas(timedelta(0), timedelta(minutes=9))
KINDS = st.sampled_from(AwaitedKind)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def waits(kind: AwaitedKind, heard: float, **fields: Any) -> Awaited:
    return Awaited(kind=kind, since=ago(heard), heard_at=ago(heard), **fields)


def live(awaited: Awaited | None = None, **fields: Any) -> LiveRun:
    usual: dict[str, Any] = {
        "id": UUID(int=1),
        "run_id": "run_0a1b2c3d4e5f",
        "workflow": "implement",
        "task": "Add rate limiting",
        "status": RunStatus.RUNNING,
        "scope": NO_SCOPE,
        "created_at": NOW,
        "started_at": NOW,
        "awaited": awaited,
    }
    return LiveRun(**(usual | fields))


def found(
    run: LiveRun, now: datetime = NOW, limits: AlertLimits = LIMITS, **context: Any
) -> dict[AlertKind, Condition]:
    return {one.kind: one for one in conditions_of_live_run(run, limits, now, **context)}


TOOL, MODEL, RETRY = AwaitedKind.TOOL, AwaitedKind.MODEL, AwaitedKind.RETRY
CLONE, PROGRAM = AwaitedKind.WORKSPACE, AwaitedKind.PROGRAM


@pytest.mark.parametrize(
    ("run", "is_stalled"),
    [
        (live(waits(MODEL, 4.9)), False),
        (live(waits(MODEL, 5)), True),
        (live(waits(PROGRAM, 5)), True),
        (live(waits(TOOL, 9.9)), False),
        (live(waits(TOOL, 10)), True),
        (live(waits(TOOL, 40, output_at=ago(9.9))), False),
        (live(waits(TOOL, 40, busy_at=ago(9.9))), False),
        (live(waits(TOOL, 40, busy_at=ago(10), output_at=ago(20))), True),
        (live(waits(CLONE, 9, busy_at=ago(4))), False),
        (live(waits(CLONE, 9, output_at=ago(0.3))), False),
        (live(waits(CLONE, 9, watched_since=ago(8))), True),
        # The pause before the next try was announced.
        (live(waits(RETRY, 9, expected_at=ago(4))), False),
        (live(waits(RETRY, 9, expected_at=ago(-20))), False),
        (live(waits(RETRY, 9, expected_at=ago(5))), True),
        (live(waits(RETRY, 5)), True),
        # It waits for a worker, for a person, or for its end.
        (live(status=RunStatus.PENDING, started_at=None, is_held=True), False),
        (live(waits(TOOL, 29, name="git push"), waiting_on=WaitingOn.APPROVAL), False),
        (live(waits(MODEL, 500), waiting_on=WaitingOn.USAGE_LIMIT), False),
        (live(waits(MODEL, 500), is_being_killed=True), False),
        (live(waits(MODEL, 500), status=RunStatus.COMPLETED), False),
        (live(None), False),
    ],
)
def test_a_stall_is_silence_that_nothing_explains(run: LiveRun, is_stalled: bool) -> None:
    assert (AlertKind.STALLED in found(run)) == is_stalled


@pytest.mark.parametrize("waiting_on", list(WaitingOn))
@pytest.mark.parametrize(("minutes", "is_told"), [(29, False), (30, True)])
def test_a_wait_for_a_person_has_its_own_limit_and_kind(
    waiting_on: WaitingOn, minutes: float, is_told: bool
) -> None:
    run = live(waits(TOOL, 60), waiting_on=waiting_on, waiting_since=ago(minutes))

    told = found(run)

    assert set(told) == ({AlertKind.WAITING} if is_told else set())


def test_a_workflow_can_have_its_own_limits() -> None:
    limits = replace(LIMITS, by_workflow={"implement": replace(STALL, tool=timedelta(hours=1))})
    run = live(waits(TOOL, 45))

    assert found(run, limits=limits) == {}
    assert AlertKind.STALLED in found(replace(run, workflow="fix"), limits=limits)


def test_what_a_silent_worker_knows_is_not_known_here() -> None:
    run = live(waits(TOOL, 12))

    assert found(run, reported_at=ago(3)) == {}
    assert AlertKind.STALLED in found(run, reported_at=ago(1.9))
    # A heartbeat is missing at times.
    assert AlertKind.STALLED in found(live(waits(TOOL, 10)), reported_at=ago(0.1))


def test_the_evidence_names_what_hangs_and_has_its_numbers() -> None:
    awaited = waits(
        TOOL,
        12,
        name="Bash: make test",
        output_at=ago(11),
        watched_since=ago(11.5),
        is_output_known=True,
    )

    stalled = found(live(awaited, turns=7))[AlertKind.STALLED]

    assert stalled.since == ago(11)
    assert stalled.evidence == {
        "task": "Add rate limiting",
        "turns": 7,
        "awaited": "tool",
        "awaited_since": ago(12).isoformat(),
        "name": "Bash: make test",
        "heard_at": ago(12).isoformat(),
        "output_at": ago(11).isoformat(),
        "busy_at": None,
        "watched_since": ago(11.5).isoformat(),
        "is_output_known": True,
        "expected_at": None,
        "limit_seconds": 600.0,
    }


def limit_of(kind: AwaitedKind) -> timedelta:
    return STALL.tool if kind is TOOL else STALL.idle


@given(
    kind=KINDS,
    heard=DURATIONS,
    signs=st.lists(DURATIONS, max_size=2),
    after=st.timedeltas(timedelta(0), timedelta(minutes=20)),
)
def test_a_stall_is_told_at_its_limit_after_the_last_sign_and_never_before(
    kind: AwaitedKind, heard: timedelta, signs: list[timedelta], after: timedelta
) -> None:
    begin = NOW
    marks = [begin + one for one in signs]
    awaited = Awaited(
        kind=kind,
        since=begin,
        heard_at=begin + heard,
        output_at=marks[0] if marks else None,
        busy_at=marks[1] if len(marks) > 1 else None,
    )
    last = max([begin + heard, *marks])

    told = AlertKind.STALLED in found(live(awaited), last + after)

    assert told == (after >= limit_of(kind))


@given(
    kind=KINDS,
    pauses=st.lists(DURATIONS, max_size=12),
    offset=st.timedeltas(timedelta(0), LOOK),
)
def test_of_looks_in_turn_the_first_after_the_limit_tells_and_none_before(
    kind: AwaitedKind, pauses: list[timedelta], offset: timedelta
) -> None:
    """A run that is heard of again and again, and then never more, judged every ten seconds."""
    limit = limit_of(kind)
    signs = [NOW]
    for pause in pauses:
        signs.append(signs[-1] + min(pause, limit - timedelta(seconds=1)))
    now, told_at = NOW + offset, None
    while told_at is None and now <= signs[-1] + limit + LOOK:
        last = max((sign for sign in signs if sign <= now), default=NOW)
        awaited = Awaited(kind=kind, since=NOW, heard_at=NOW, busy_at=last)
        if AlertKind.STALLED in found(live(awaited), now):
            told_at = now
        now += LOOK

    assert told_at is not None
    assert limit <= told_at - signs[-1] <= limit + LOOK


def test_a_pending_run_that_waits_for_a_usage_limit_is_told_like_any_wait() -> None:
    pending: dict[str, Any] = {"status": RunStatus.PENDING, "waiting_since": NOW}
    limited = live(waiting_on=WaitingOn.USAGE_LIMIT, **pending)
    tried_again = live(retry_at=NOW, **pending)

    assert found(limited, NOW + timedelta(minutes=29)) == {}
    assert set(found(limited, NOW + timedelta(minutes=30))) == {AlertKind.WAITING}
    assert found(tried_again, NOW + timedelta(hours=5)) == {}


def test_a_run_that_waits_for_its_next_attempt_is_no_backlog() -> None:
    waiting = live(
        status=RunStatus.PENDING, created_at=ago(60), retry_at=NOW + timedelta(minutes=1)
    )
    due = replace(waiting, retry_at=NOW - timedelta(seconds=1))
    worker = WorkerFacts(node="n", machine="m", state=WorkerState.UP, heartbeat_at=NOW)

    def kinds(run: LiveRun) -> set[AlertKind]:
        return {one.kind for one in conditions_of_fleet([worker], [run], LIMITS, NOW)}

    assert kinds(waiting) == set()
    assert kinds(due) == {AlertKind.QUEUE_BACKLOG}
