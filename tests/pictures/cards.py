"""The twelve cards that people see most: for the tests of the views, and for the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType

from core.domain.failure_cause import FailureCause
from core.domain.kills.termination import Phase
from core.domain.runs.activity.awaited import AWAITED_KEY, Awaited, AwaitedKind
from core.domain.runs.failure_analysis import FAILURE_KEY, FailureAnalysis
from core.domain.runs.outcome import Outcome, OutcomeReason
from core.domain.runs.run import CostSource, Run, RunStatus, StopReason, Usage
from core.domain.runs.snapshot import RunSnapshot
from core.domain.runs.step import Step, StepStatus
from core.domain.runs.work.diff import CommitInfo, DiffStat, FileChange
from tests.unit.view_helpers import NOW, make_ended_run, make_kill, make_run, make_snapshot

DONE, OPEN, NOW_AT = StepStatus.COMPLETED, StepStatus.PENDING, StepStatus.IN_PROGRESS
_NAMES = (
    ("Look at the code", "Looking at the code"),
    ("Write the limiter", "Writing the limiter"),
    ("Run the tests", "Running the tests"),
    ("Commit", "Committing"),
)
_COMMITTED = DiffStat(
    files=(
        FileChange(path="api/limits.py", added=37, removed=0),
        FileChange(path="tests/test_limits.py", added=12, removed=0),
    ),
    commits=(CommitInfo(sha="4f6d0c2b9a", subject="Limit requests per key"),),
)
_UNCOMMITTED = replace(
    _COMMITTED,
    files=tuple(replace(change, committed=False) for change in _COMMITTED.files),
    commits=(),
)
_SILENT_SINCE = NOW - timedelta(minutes=9)
_MODEL_AWAITED = Awaited(kind=AwaitedKind.MODEL, since=_SILENT_SINCE, heard_at=_SILENT_SINCE)
_NO_PROGRESS = {"turns": 0, "usage": Usage(), "cost_usd": None, "last_activity": None}


def make_plan(*statuses: StepStatus, interrupted: int | None = None) -> tuple[Step, ...]:
    """The plan of four steps with these statuses; the one at `interrupted` was begun."""
    return tuple(
        Step(
            step_id=number + 1,
            name=name,
            active_name=active_name,
            status=status,
            started_at=NOW if number == interrupted or status is not OPEN else None,
        )
        for number, ((name, active_name), status) in enumerate(zip(_NAMES, statuses, strict=True))
    )


def ended(reason: StopReason, **changes: object) -> Run:
    """An ended run of 18 of 60 turns that took 4 min 12 s and cost $0.099."""
    values: dict[str, object] = {
        "turns": 18,
        "max_turns": 60,
        "cost_usd": Decimal("0.0991"),
        "cost_source": CostSource.REPORTED,
    }
    return make_ended_run(reason, **(values | changes))


def _caused(cause: FailureCause, subject: str | None = None) -> dict[str, object]:
    return {FAILURE_KEY: FailureAnalysis(cause=cause, subject=subject).to_json()}


def _attention(*reasons: OutcomeReason) -> dict[str, object]:
    return {"outcome": Outcome.ATTENTION, "outcome_reasons": reasons}


CARDS: Mapping[str, RunSnapshot] = MappingProxyType(
    {
        "queued": make_snapshot(
            make_run(status=RunStatus.PENDING, started_at=None, **_NO_PROGRESS), queue_position=3
        ),
        "live": make_snapshot(
            make_run(turns=9, max_turns=60), steps=make_plan(DONE, DONE, NOW_AT, OPEN)
        ),
        "waiting-long": make_snapshot(
            make_run(
                max_turns=60,
                started_at=_SILENT_SINCE,
                last_activity_at=_SILENT_SINCE,
                metadata={AWAITED_KEY: _MODEL_AWAITED.to_json()},
                **_NO_PROGRESS,
            )
        ),
        "completed": make_snapshot(
            ended(
                StopReason.SUCCESS,
                outcome=Outcome.CLEAN,
                diff=_COMMITTED,
                metadata={"tests": {"passed": 4, "failed": 0}},
            ),
            steps=make_plan(DONE, DONE, DONE, DONE),
        ),
        "tests-fail": make_snapshot(
            ended(
                StopReason.SUCCESS,
                diff=_UNCOMMITTED,
                metadata={"tests": {"passed": 3, "failed": 1}},
                **_attention(
                    OutcomeReason.TESTS_FAILED,
                    OutcomeReason.NOTHING_COMMITTED,
                    OutcomeReason.STEPS_LEFT,
                    OutcomeReason.UNCOMMITTED_CHANGES,
                ),
            ),
            steps=make_plan(DONE, DONE, OPEN, OPEN, interrupted=2),
        ),
        "nothing-changed": make_snapshot(
            ended(
                StopReason.SUCCESS,
                diff=DiffStat(),
                **_attention(OutcomeReason.NOTHING_COMMITTED),
            )
        ),
        "turn-limit": make_snapshot(
            ended(StopReason.MAX_TURNS, turns=60, diff=_UNCOMMITTED),
            steps=make_plan(DONE, DONE, OPEN, OPEN, interrupted=2),
        ),
        "killed": make_snapshot(
            ended(StopReason.KILLED, turns=7, diff=_UNCOMMITTED),
            termination=make_kill(
                Phase.CONFIRMED,
                requested_by_name="Ben Okafor",
                work_saved={"commit": "0123456789abcdef0123", "uncommitted_files": 2},
            ),
            steps=make_plan(DONE, OPEN, OPEN, OPEN, interrupted=1),
        ),
        "killing": make_snapshot(
            make_run(kill_requested_at=NOW, max_turns=60),
            termination=make_kill(Phase.INTERRUPTED),
            steps=make_plan(DONE, NOW_AT, OPEN, OPEN),
        ),
        "no-repository": make_snapshot(
            make_ended_run(
                StopReason.WORKSPACE_ERROR,
                git_repo="https://nowhere.invalid/acme/api",
                started_at=NOW - timedelta(seconds=2.4),
                error_message="Cannot reach `https://nowhere.invalid/acme/api`. Check the address "
                "and the worker's network, then start again.",
                metadata=_caused(FailureCause.REPOSITORY_UNREACHABLE, "nowhere.invalid"),
                **_NO_PROGRESS,
            )
        ),
        "model-failed": make_snapshot(
            ended(
                StopReason.API_ERROR,
                turns=3,
                error_message="API Error: 529 Overloaded",
                metadata=_caused(FailureCause.OVERLOADED),
                diff=DiffStat(),
            ),
            steps=make_plan(DONE, StepStatus.FAILED, OPEN, OPEN),
        ),
        "lost-worker": make_snapshot(
            ended(
                StopReason.WORKER_LOST,
                cost_source=CostSource.ESTIMATED,
                error_message="Three workers were lost with this run.",
            ),
            steps=make_plan(DONE, DONE, OPEN, OPEN, interrupted=2),
        ),
    }
)
