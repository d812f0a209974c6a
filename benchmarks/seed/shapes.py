"""Shapes of runs: a few hundred different courses that a run can take, from which many are made.

A shape has everything of a run that does not name it: its status and its end, what it used, its
steps and its events with their times since its start.  Runs of one shape differ in ids, times,
owner, repository, branch and task.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from core.domain.runs.event import EventKind
from core.domain.runs.outcome import Outcome, OutcomeReason
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.step import StepStatus

# Shares of the ends of runs in percent, and of the workflows.
_ENDS: dict[StopReason, float] = {
    StopReason.SUCCESS: 78,
    StopReason.KILLED: 6,
    StopReason.MAX_TURNS: 6,
    StopReason.AGENT_ERROR: 2.5,
    StopReason.API_ERROR: 2,
    StopReason.TIMEOUT: 1.5,
    StopReason.USAGE_LIMIT: 1,
    StopReason.BUDGET: 1,
    StopReason.WORKSPACE_ERROR: 1,
    StopReason.SETUP_ERROR: 0.4,
    StopReason.WORKER_LOST: 0.3,
    StopReason.NO_RESULT: 0.3,
}
WORKFLOWS: dict[str, float] = {
    "implement": 35,
    "fix": 20,
    "review": 15,
    "test": 10,
    "document": 8,
    "refactor": 6,
    "architect": 3,
    "pr": 3,
}
_ATTENTION_PERCENT = 22
_TOOLS = ("Read", "Grep", "Edit", "Bash", "Write", "Glob", "TaskUpdate")
_STEP_NAMES = (
    "Read the present code",
    "Write a failing test",
    "Change the parser",
    "Run the test suite",
    "Update the documentation",
    "Check the types",
    "Clean up and commit",
    "Review the difference",
)
_SENTENCES = (
    "The limiter now counts requests by key and window, and rejects the rest with 429.",
    "I found the cause: the cache key did not contain the tenant, so two of them shared a value.",
    "The migration is reversible and was tried on a copy with data in both directions.",
    "All callers were moved to the new function; the old one is gone.",
    "Two edge cases had no test: an empty list, and a name of more than 255 characters.",
    "The handler validates its input before it opens a transaction.",
)
_FILES = ("core/limits.py", "core/cache.py", "api/routes.py", "tests/test_limits.py", "README.md")
# Calls of tools in a run: half of the runs have up to five, one in fifty has forty.
_CALLS = ((50, 2, 5), (38, 5, 7), (10, 8, 14), (2, 40, 40))
_SECONDS_A_CALL = (4, 30)


@dataclass(frozen=True, kw_only=True)
class StepShape:
    """A step; times in seconds since the run's start, `None` if it has not come to that."""

    name: str
    status: StepStatus
    begins: float | None
    ends: float | None
    result: str | None
    tools: str
    calls: int
    cost: Decimal | None


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A course of a run.

    Attributes:
        reason: `None` for a run that has not ended.
        seconds: From its start to its end, or so far.
        steps: Its plan.
        events: Kind, seconds since the start, and data as JSON.
    """

    workflow: str
    status: RunStatus
    reason: StopReason | None
    outcome: Outcome | None
    outcome_reasons: str
    turns: int
    max_turns: int
    calls: int
    tools: str
    input_tokens: int
    output_tokens: int
    cost: Decimal
    seconds: float
    result: str | None
    error: str | None
    diff: str
    added: int | None
    removed: int | None
    files: int | None
    metadata: str
    steps: Sequence[StepShape]
    events: Sequence[tuple[EventKind, float, str]]


def ended_shapes(random: Random, count: int) -> list[Shape]:
    """Shapes of ended runs, with about the shares of ends and workflows above.

    There is at least one of each end, if there are so many.
    """
    chosen = random.choices(list(_ENDS), list(_ENDS.values()), k=max(count - len(_ENDS), 0))
    ends = [*_ENDS, *chosen][:count]
    workflows = random.choices(list(WORKFLOWS), list(WORKFLOWS.values()), k=count)
    return [_shape(random, workflow, end) for workflow, end in zip(workflows, ends, strict=True)]


def running_shapes(random: Random, count: int) -> list[Shape]:
    """Shapes of runs that are in the middle of their work."""
    workflows = random.choices(list(WORKFLOWS), list(WORKFLOWS.values()), k=count)
    return [_shape(random, workflow, None) for workflow in workflows]


def _shape(random: Random, workflow: str, reason: StopReason | None) -> Shape:
    weights = [weight for weight, _, _ in _CALLS]
    _, least, most = random.choices(_CALLS, weights)[0]
    has_begun = reason not in (StopReason.WORKSPACE_ERROR, StopReason.SETUP_ERROR)
    calls = random.randint(least, most) if has_begun else 0
    events, seconds, tools = _events(random, calls, reason)
    status = RunStatus.RUNNING if reason is None else reason.final_status
    is_completed = status is RunStatus.COMPLETED
    reasons = _outcome_reasons(random) if is_completed else []
    diff = _diff(random, has_uncommitted=OutcomeReason.UNCOMMITTED_CHANGES in reasons)
    has_diff = has_begun and reason is not None
    failed = 2 if OutcomeReason.TESTS_FAILED in reasons else 0
    tests = {"passed": random.randint(5, 400), "failed": failed, "skipped": 0}
    changes = diff["files"] if has_diff else []
    return Shape(
        workflow=workflow,
        status=status,
        reason=reason,
        outcome=None if not is_completed else Outcome.ATTENTION if reasons else Outcome.CLEAN,
        outcome_reasons=json.dumps([one.value for one in reasons]),
        turns=calls + 1 if has_begun else 0,
        max_turns=calls + 1 if reason is StopReason.MAX_TURNS else 60,
        calls=calls,
        tools=json.dumps(tools),
        input_tokens=calls * random.randint(200, 900),
        output_tokens=calls * random.randint(100, 500),
        cost=Decimal(random.randint(10_000, 900_000) * max(calls, 1)).scaleb(-7),
        seconds=seconds,
        result=None if not is_completed else _report(random),
        error=None if is_completed or reason is None else f"The run ended: {reason.value}.",
        diff=json.dumps(diff) if has_diff else "{}",
        added=sum(change["added"] for change in changes) if has_diff else None,
        removed=sum(change["removed"] for change in changes) if has_diff else None,
        files=len(changes) if has_diff else None,
        metadata=json.dumps({"tests": tests} if is_completed and random.random() < 0.7 else {}),
        steps=_steps(random, calls, seconds, reason),
        events=events,
    )


def _outcome_reasons(random: Random) -> list[OutcomeReason]:
    if random.random() * 100 >= _ATTENTION_PERCENT:
        return []
    chosen = random.sample(list(OutcomeReason), random.choice((1, 1, 2)))
    return [reason for reason in OutcomeReason if reason in chosen]


def _diff(random: Random, *, has_uncommitted: bool) -> dict[str, Any]:
    files = [
        {
            "path": path,
            "added": random.randint(1, 120),
            "removed": random.randint(0, 40),
            "committed": not has_uncommitted,
            "branch": None,
        }
        for path in random.sample(_FILES, random.randint(1, len(_FILES)))
    ]
    sha = f"{random.getrandbits(160):040x}"
    return {
        "files": files,
        "commits": [{"sha": sha, "subject": "Limit requests", "branch": "work"}],
        "branch": "work",
        "omitted_files": 0,
        "omitted_commits": 0,
        "merged_commits": 0,
    }


def _report(random: Random) -> str:
    said = random.sample(_SENTENCES, 3)
    return "## Summary\n\n" + said[0] + "\n\n## Changes\n- " + said[1] + "\n- " + said[2]


def _steps(
    random: Random, calls: int, seconds: float, reason: StopReason | None
) -> list[StepShape]:
    is_left = reason is not StopReason.SUCCESS
    # The end of a run interrupts its step in progress.
    begun = StepStatus.IN_PROGRESS if reason is None else StepStatus.PENDING
    count = min(random.randint(3, 6), len(_STEP_NAMES)) if calls else 0
    done = random.randint(0, count - 1) if is_left and count else count
    length = seconds / max(done + 1, 1)
    found = []
    for number, name in enumerate(_STEP_NAMES[:count]):
        is_done = number < done
        has_begun = number <= done and (is_done or is_left)
        found.append(
            StepShape(
                name=name,
                status=StepStatus.COMPLETED
                if is_done
                else begun
                if has_begun
                else StepStatus.PENDING,
                begins=number * length if has_begun else None,
                ends=(number + 1) * length if is_done else None,
                result=random.choice(_SENTENCES) if is_done else None,
                tools=json.dumps(random.sample(_TOOLS, 2)) if has_begun else "[]",
                calls=max(calls // max(count, 1), 1) if has_begun else 0,
                cost=Decimal(random.randint(1000, 90_000)).scaleb(-6) if is_done else None,
            )
        )
    return found


def _events(
    random: Random, calls: int, reason: StopReason | None
) -> tuple[list[tuple[EventKind, float, str]], float, list[str]]:
    """The events of a run, its length in seconds, and the tools that it used."""
    found: list[tuple[EventKind, float, str]] = []
    now, tools = 0.0, dict[str, None]()

    def add(kind: EventKind, **data: Any) -> None:
        found.append((kind, now, json.dumps(data)))

    add(EventKind.RUN_STARTED, worker="worker-1", attempt=1)
    if calls:
        add(EventKind.WORKSPACE_READY, branch="work")
        add(EventKind.AGENT_STARTED, model="claude-sonnet-5", program_version="2.1.329")
    for number in range(calls):
        now += random.uniform(*_SECONDS_A_CALL)
        name, identity = random.choice(_TOOLS), f"toolu_{random.getrandbits(64):016x}"
        tools[name] = None
        if number % 3 == 0:
            text = random.choice(_SENTENCES)
            add(EventKind.AGENT_TEXT, text=text, uuid=None, subagent=False)
        summary = random.choice(_FILES)
        add(EventKind.TOOL_STARTED, id=identity, name=name, summary=summary, subagent=False)
        now += random.uniform(0.1, 6)
        output = random.choice(_SENTENCES)
        add(EventKind.TOOL_FINISHED, id=identity, error=False, output=output)
    if reason is StopReason.SUCCESS:
        add(EventKind.AGENT_TEXT, text=_report(random), uuid=None, subagent=False)
        add(EventKind.AGENT_RESULT, subtype="success", errors=[])
    if reason is not None:
        now += 1
        add(EventKind.RUN_ENDED, stop_reason=reason.value)
    return found, max(now, 2.0), list(tools)
