"""The checks find each figure that is not true: of a run that is right, one fact is changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest

from bot.web.api.diff_answers import diff_answer
from bot.web.api.statuses.status_answer import StatusQuery, status_answer
from core.domain.progress.enrichment import StatusRows, compose
from core.domain.runs.outcome import Outcome, OutcomeReason
from core.domain.runs.run import CostSource, Run, RunStatus, StopReason, Usage
from core.domain.runs.snapshot import RunSnapshot
from core.domain.runs.step import Step, StepStatus
from core.domain.runs.work.diff import CommitInfo, DiffStat, FileChange
from core.services.runs.status import StatusReport
from tests.truth.account import Figures
from tests.truth.check import differences
from tests.truth.effects import COMPLETED, PENDING, Task, TestRun
from tests.truth.plan import Disturbance, End, Leg, Plan
from tests.truth.programs import Status
from tests.truth.repository import RUN_BRANCH, ChangedFile, Changes
from tests.truth.seen import SeenLeg

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
RUN_ID = "run_0123456789ab"
BRANCH = f"signalbox/implement/{RUN_ID}"
USAGE = Usage(input_tokens=1_000, output_tokens=200, cache_read_tokens=5_000)
FIGURES = Figures(
    turns=4,
    calls=7,
    own_calls=5,
    usage=USAGE,
    cost_usd=Decimal("0.009"),
    last_words="All tests pass.",
    report="## Summary\n\nReport 3: it works.",
    changes=Changes(
        files=frozenset(
            {
                ChangedFile(path="src/part 1.txt", added=12, removed=3, is_committed=True),
                ChangedFile(path="icon.bin", added=None, removed=None, is_committed=False),
                ChangedFile(path="a.txt", added=2, removed=0, is_committed=True, branch="feat/1"),
            }
        ),
        commits=MappingProxyType(
            {"Add 1": frozenset({RUN_BRANCH}), "Aside": frozenset({"feat/1"})}
        ),
        merged=2,
    ),
    tests=TestRun(passed=10, failed=1, skipped=2),
    tasks={1: Task("Task 1", COMPLETED), 2: Task("Task 2", PENDING)},
)
PLAN = Plan(
    number=1,
    model="claude-opus-5-5",
    disturbance=Disturbance.NONE,
    legs=(Leg(end=End.FINISHED, part=0, answers=4, turn_limit=50),),
    parts={},
    helpers={},
    branch="main",
)
DIFF = DiffStat(
    files=(
        FileChange(path="src/part 1.txt", added=12, removed=3),
        FileChange(path="icon.bin", added=None, removed=None, committed=False),
        FileChange(path="a.txt", added=2, removed=0, branch="feat/1"),
    ),
    commits=(
        CommitInfo(sha="1" * 40, subject="Add 1", branch=BRANCH),
        CommitInfo(sha="2" * 40, subject="Aside", branch="feat/1"),
    ),
    branch=BRANCH,
    merged_commits=2,
)
ON_FEAT = replace(DIFF.commits[0], branch="feat/1")
STEPS = (
    Step(step_id=1, name="Task 1", status=StepStatus.COMPLETED, source_id="1"),
    Step(step_id=2, name="Task 2", source_id="2"),
)
RUN = Run(
    id=UUID(int=1),
    run_id=RUN_ID,
    workflow_name="implement",
    task_input="Work.",
    status=RunStatus.COMPLETED,
    created_at=NOW - timedelta(minutes=2),
    updated_at=NOW,
    session_id=UUID(int=2),
    git_repo="/srv/repository",
    git_branch=BRANCH,
    diff=DIFF,
    result="## Summary\n\nReport 3: it works.\n\n---\n\nAll tests pass.",
    started_at=NOW - timedelta(minutes=1),
    completed_at=NOW,
    cost_usd=Decimal("0.009"),
    cost_source=CostSource.REPORTED,
    usage=USAGE,
    metadata={"tests": {"passed": 10, "failed": 1, "skipped": 2}},
    stop_reason=StopReason.SUCCESS,
    turns=4,
    max_turns=50,
    tool_calls=7,
    outcome=Outcome.ATTENTION,
    outcome_reasons=(
        OutcomeReason.TESTS_FAILED,
        OutcomeReason.STEPS_LEFT,
        OutcomeReason.UNCOMMITTED_CHANGES,
    ),
)


def seen(run: Run = RUN, *, steps: tuple[Step, ...] = STEPS, told: Run | None = None) -> SeenLeg:
    """A run as its row and the surfaces show it; the API is told of another run if one is given."""
    api_run = told or run
    report = StatusReport(
        run=api_run, enrichment=compose(StatusRows(run=api_run, steps=steps), now=NOW)
    )
    status = status_answer(report, StatusQuery(), now=NOW).model_dump(mode="json")
    changes = diff_answer(api_run).model_dump(mode="json")
    return SeenLeg(
        plan=PLAN,
        leg=PLAN.legs[0],
        run_branch=BRANCH,
        snapshot=RunSnapshot(run=run, steps=steps),
        figures=FIGURES,
        earlier=(),
        now=NOW,
        answers={"API": Status(status=status, changes=changes)},
    )


def with_diff(**changed: Any) -> Run:
    return replace(RUN, diff=replace(DIFF, **changed))


def with_file(number: int, **changed: Any) -> Run:
    files = list(DIFF.files)
    files[number] = replace(files[number], **changed)
    return with_diff(files=tuple(files))


def test_of_a_true_run_nothing_differs() -> None:
    assert differences(seen()) == []


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (replace(RUN, turns=5), "turns 5"),
        (replace(RUN, tool_calls=8), "tool calls 8"),
        (replace(RUN, usage=Usage(input_tokens=1)), "tokens"),
        (replace(RUN, cost_usd=Decimal("0.01")), "cost"),
        (replace(RUN, result="All tests pass."), "result"),
        (replace(RUN, diff=None, changes_unknown="No git."), "no changes (No git.)"),
        (with_file(0, added=13), "added"),
        (with_file(1, committed=True), "icon.bin"),
        (with_file(2, branch=None), "feat/1"),
        (with_diff(files=DIFF.files[1:]), "lacks [('src/part 1.txt'"),
        (with_diff(commits=DIFF.commits[:1]), "commits ['Add 1'], not"),
        (with_diff(commits=(ON_FEAT, DIFF.commits[1])), "on feat/1"),
        (with_diff(merged_commits=0), "merged"),
        (with_diff(branch="feat/1"), "branch"),
        (replace(RUN, git_branch="main"), "is on main"),
        (replace(RUN, metadata={}), "tests None"),
        (replace(RUN, metadata={"tests": {"passed": 10, "failed": 0, "skipped": 2}}), "tests"),
        (replace(RUN, outcome=Outcome.CLEAN, outcome_reasons=()), "outcome reasons"),
    ],
)  # fmt: skip
def test_a_false_figure_is_found(run: Run, words: str) -> None:
    found = differences(seen(run))

    assert any(words in one for one in found), found


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (replace(RUN, turns=5), "the API has (shown, true) {'turns': (5, 4)"),
        (replace(RUN, tool_calls=8), "'tool_calls': (8, 7)"),
        (replace(RUN, usage=Usage()), "'tokens': (None, 1200)"),
        (replace(RUN, cost_usd=None), "the API has a cost of None"),
        (with_file(0, removed=4), "the API has removed lines 4, not 3"),
        (with_diff(files=DIFF.files[1:]), "the API has files 2, not 3"),
        (with_diff(commits=DIFF.commits[:1]), "the API has commits 1, not 2"),
        (with_diff(merged_commits=1), "the API has merged commits 1, not 2"),
        (replace(RUN, metadata={}), "the API has passed tests None, not 10"),
    ],
)
def test_a_false_figure_of_the_api_alone_is_found(told: Run, words: str) -> None:
    found = differences(seen(told=told))

    assert any(words in one for one in found), found
    assert all("the API" in one for one in found), found


@pytest.mark.parametrize(
    "steps",
    [
        (),
        STEPS[:1],
        (STEPS[0], replace(STEPS[1], step_id=3)),
        (STEPS[0], replace(STEPS[1], status=StepStatus.COMPLETED)),
    ],
)
def test_a_false_step_is_found(steps: tuple[Step, ...]) -> None:
    assert any("steps" in one for one in differences(seen(steps=steps)))


def test_each_surface_that_says_less_is_found() -> None:
    found = differences(seen(with_diff(files=(), commits=(), merged_commits=0)))

    for surface in ("row", "card", "details", "reply", "API"):
        assert any(f"the {surface} " in one for one in found), surface


def test_the_live_ids_of_steps_must_stay() -> None:
    live = RunSnapshot(run=RUN, steps=(replace(STEPS[0], step_id=2),))

    (found,) = differences(replace(seen(), live=live))

    assert found.endswith("step 2 (Task 1) has the id 1 at the end")


def test_checks_do_not_depend_on_the_order_of_files() -> None:
    assert differences(seen(with_diff(files=DIFF.files[::-1]))) == []
