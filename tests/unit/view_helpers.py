"""Runs to draw and comparisons of drawings, shared by the tests of the views.

`UPDATE_SNAPSHOTS=1 pytest tests/unit/test_views_*.py` rewrites the JSON snapshots; check
the difference before you commit it.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from bot.sandbox.slack.blocks.block_check import check_message, check_view, count_characters
from bot.slack.views import blocks
from bot.slack.views.message import Message
from core.domain.actor import User
from core.domain.kills.termination import Phase, ProcessIdentity, ProofMethod, Termination
from core.domain.runs.run import CostSource, Run, RunStatus, StopReason, Usage
from core.domain.runs.snapshot import RunSnapshot, Thread
from core.domain.runs.step import Step, StepStatus
from core.domain.runs.work.diff import CommitInfo, DiffStat, FileChange

# Only the owner may be mentioned, and only by an id that Slack could have given.
_MENTION = re.compile(r"<!(?!date\^)|<@(?!U0ADA>)")
# A run, a command, a row, or a channel.
_BUTTON_VALUE = re.compile(
    r"run_|kill |continue |restart |[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}\Z|C[A-Z0-9]+\Z"
)
_SNAPSHOTS_DIR = Path(__file__).parent / "snapshots"
MAX_BUTTONS = 3
NOW = datetime(2026, 11, 21, 3, 14, 7, tzinfo=UTC)
RUN_ID = "run_0a1b2c3d4e5f"
# Texts that grow when escaped, that try to end code, and that mention people.
AWKWARD_TEXTS = tuple(
    piece * (6000 // len(piece))
    for piece in (
        "<!channel> & ",
        "```\n",
        "&",
        "<",
        "[a](b)",
        "\n",
        "`*_~",
        "word ",
        "- **x** `y`\n",
        "https://a.b/c ",
        "<@U0EVE>",
        "\U0001f600",
    )
)
ADA = User(id=UUID(int=7), name="Ada Lovelace", slack_team_id="T0ACME", slack_user_id="U0ADA")
DIFF = DiffStat(
    files=(
        FileChange(path="api/limits.py", added=120, removed=14),
        FileChange(path="tests/test_limits.py", added=80, removed=0),
        FileChange(path="logo.png", added=None, removed=None, committed=False),
    ),
    commits=(
        CommitInfo(sha="0123456789abcdef", subject="Count requests per key", branch="main"),
        CommitInfo(sha="fedcba9876543210", subject="Refuse what is over the limit", branch="main"),
    ),
    branch="main",
)
REPORT = """## Summary

Requests over **100 a minute** are refused with `429`.

- counters live in Redis
- [details](https://example.com/limits)

| case | status |
|---|---|
| over | 429 |
"""


def make_run(**changes: Any) -> Run:
    """A running run that started four minutes ago."""
    values: dict[str, Any] = {
        "id": UUID(int=1),
        "run_id": RUN_ID,
        "workflow_name": "implement",
        "task_input": "Add rate limiting to the API",
        "status": RunStatus.RUNNING,
        "created_at": NOW - timedelta(minutes=5),
        "updated_at": NOW,
        "session_id": UUID(int=2),
        "git_repo": "https://github.com/acme/api",
        "git_branch": "main",
        "started_at": NOW - timedelta(minutes=4, seconds=12),
        "max_turns": 30,
        "turns": 7,
        "usage": Usage(input_tokens=1200, output_tokens=940, cache_read_tokens=341_000),
        "cost_usd": Decimal("0.1234"),
        "cost_source": CostSource.ESTIMATED,
        "timeout": timedelta(minutes=30),
        "user_id": ADA.id,
        "last_activity": "Bash: make test",
        "last_activity_at": NOW - timedelta(seconds=9),
        "worker_id": "w1",
        "slack_team_id": "T0ACME",
        "slack_channel_id": "C0BUILDS",
        "thread_key": RUN_ID,
    }
    return Run(**(values | changes))


def make_ended_run(reason: StopReason, **changes: Any) -> Run:
    """A run that ended for this reason, with the fields of a real row."""
    values: dict[str, Any] = {
        "status": reason.final_status,
        "stop_reason": reason,
        "completed_at": NOW,
        "turns": 30 if reason is StopReason.MAX_TURNS else 12,
        "cost_usd": Decimal("1.4468734"),
        "cost_source": CostSource.REPORTED,
        "budget_usd": Decimal("1.50"),
        "kill_requested_at": NOW if reason is StopReason.KILLED else None,
    }
    return make_run(**(values | changes))


def make_snapshot(run: Run | None = None, **changes: Any) -> RunSnapshot:
    """A run with its owner."""
    values: dict[str, Any] = {"run": run or make_run(), "owner": ADA}
    return RunSnapshot(**(values | changes))


def make_thread(*legs: RunSnapshot) -> Thread:
    """A thread of these runs."""
    return Thread(thread_key=RUN_ID, team_id="T0ACME", channel_id="C0BUILDS", legs=legs)


def make_kill(phase: Phase, **changes: Any) -> Termination:
    """A kill in this phase."""
    is_over = phase is Phase.CONFIRMED
    values: dict[str, Any] = {
        "id": UUID(int=3),
        "run_id": UUID(int=1),
        "phase": phase,
        "requested_at": NOW - timedelta(seconds=1.8),
        "requested_by_name": "Ada Lovelace",
        "reason": "wrong branch",
        "processes_seen": 5 if is_over else 0,
        "proof_by": ProofMethod.KERNEL_NAMESPACE if is_over else None,
        "phases": {Phase.REQUESTED: 0, phase: 1800},
        "survivors": (ProcessIdentity(pid=42, started_ticks=1, name="sleep"),)
        if phase is Phase.UNCONFIRMED
        else (),
        "completed_at": NOW if is_over else None,
        "work_saved": {"commit": "0123456789abcdef0123"} if is_over else {},
    }
    return Termination(**(values | changes))


def make_steps(*statuses: StepStatus) -> tuple[Step, ...]:
    """Steps with these statuses."""
    return tuple(
        Step(
            step_id=number,
            name=f"Step number {number}",
            active_name=f"Doing step {number}",
            status=status,
            started_at=NOW - timedelta(seconds=30),
            completed_at=NOW if status is StepStatus.COMPLETED else None,
        )
        for number, status in enumerate(statuses, start=1)
    )


def text_of(drawn: Message | dict[str, Any]) -> str:
    """All texts of a drawing, for searching."""
    content = [drawn.text, *drawn.blocks] if isinstance(drawn, Message) else [drawn]
    elements = _elements(content)
    texts = [one[key] for one in elements for key in ("text", "initial_value") if key in one]
    return "\n".join(text for text in [*content[:1], *texts] if isinstance(text, str))


def buttons_of(message: Message) -> list[str]:
    """The labels of a message's buttons; those of a menu's options begin with a dot."""
    return [label for element in _pressable(message) for label in _labels(element)]


def _pressable(message: Message) -> list[dict[str, Any]]:
    return [
        element
        for element in _elements(list(message.blocks))
        if element.get("type") in ("button", "overflow")
    ]


def _labels(element: dict[str, Any]) -> list[str]:
    if element["type"] == "overflow":
        return [f"· {option['text']['text']}" for option in element["options"]]
    return [element["text"]["text"]]


def problems_of(message: Message) -> list[str]:
    """Everything in a message that Slack or the project's rules forbid."""
    found = check_message(list(message.blocks), message.text)
    total = count_characters(list(message.blocks))
    if total > blocks.MESSAGE_LIMIT:
        found.append(f"{total} characters in all")
    if not message.text.strip() or len(message.text) > 2000:
        found.append(f"a notification of {len(message.text)} characters")
    for element in _elements(list(message.blocks)):
        kind, text = element.get("type"), element.get("text")
        if kind == "plain_text" and element["emoji"] is not False:
            found.append("emoji in plain text")
        if kind == "button" and not _BUTTON_VALUE.match(element["value"]):
            found.append("neither an id nor a command in a button")
        if kind in {"mrkdwn", "markdown"} and isinstance(text, str) and _MENTION.search(text):
            found.append(f"calls people: {text[:80]!r}")
    rows = [block["elements"] for block in message.blocks if block["type"] == "actions"]
    if any(len(row) > MAX_BUTTONS for row in rows):
        found.append("more than three buttons and a menu")
    if _MENTION.search(message.text):
        found.append("calls people in the notification")
    return found


def assert_fits(message: Message) -> None:
    """Assert that a message can be sent."""
    assert problems_of(message) == []


def assert_view_fits(view: dict[str, Any]) -> None:
    """Assert that Slack accepts a view."""
    assert check_view(view) == []


def assert_matches_snapshot(name: str, drawn: Message | dict[str, Any]) -> None:
    """Assert that the drawing matches its snapshot."""
    content = asdict(drawn) if is_dataclass(drawn) else drawn
    snapshot = json.dumps(content, indent=1, ensure_ascii=False, default=list) + "\n"
    path = _SNAPSHOTS_DIR / f"{name}.json"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(snapshot, encoding="utf-8")
    assert path.exists(), f"no snapshot {path.name}; write it with UPDATE_SNAPSHOTS=1"
    assert snapshot == path.read_text(encoding="utf-8"), f"{path.name} differs"


def _elements(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, dict):
        return [content, *(one for value in content.values() for one in _elements(value))]
    if isinstance(content, list | tuple):
        return [one for value in content for one in _elements(value)]
    return []
