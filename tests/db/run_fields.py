"""A value for every field of a run that can change."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from core.domain.runs.changes import RunChanges
from core.domain.runs.run import CostSource, Usage, WaitingOn
from core.domain.runs.work.diff import CommitInfo, DiffStat, FileChange
from tests.database import NOW

LATER = NOW + timedelta(seconds=90)
DIFF = DiffStat(
    files=(
        FileChange(path="a.py", added=3, removed=1),
        FileChange(path="b.png", added=None, removed=None, committed=False, branch="feat"),
    ),
    commits=(CommitInfo(sha="a" * 40, subject="Add a", branch="main"),),
    branch="main",
    omitted_files=2,
    omitted_commits=3,
    merged_commits=4,
)
FIELDS: RunChanges = {
    "agent_type": "coder",
    "ai_model": "sonnet",
    "session_name": "auth",
    "git_repo": "https://example.org/a.git",
    "git_branch": "main",
    "initial_commit_hash": "1" * 40,
    "final_commit_hash": "2" * 40,
    "initial_branches": {"refs/heads/main": "1" * 40},
    "diff": DIFF,
    "changes_unknown": "The repository is gone.",
    "work_due_at": LATER,
    "result": "Done",
    "error_message": "no",
    "workspace_id": "ws_1",
    "workspace_persistent": False,
    "workspace_cleaned_up": True,
    "workspace_path": "/srv/ws 1",
    "cost_usd": Decimal("1.4468734"),
    "cost_source": CostSource.REPORTED,
    "usage": Usage(
        input_tokens=3_000_000_000,
        output_tokens=2,
        cache_read_tokens=3,
        cache_creation_tokens=4,
    ),
    "metadata": {"plan": [1, None]},
    "waiting_on": WaitingOn.APPROVAL,
    "turns": 30,
    "max_turns": 30,
    "budget_usd": Decimal("5.0000000"),
    "timeout": timedelta(minutes=30),
    "tool_calls": 7,
    "tools_used": ("Bash", "Edit"),
    "priority": -3,
    "last_activity_at": NOW,
    "last_activity": "Bash: make",
    "slack_team_id": "T2",
    "slack_channel_id": "C2",
    "thread_key": "run_0",
    "job_id": 2**40,
}
