"""Addresses of lists of runs with every filter, for frequent and for rare values."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

from benchmarks.seed.plans import END, SESSION, repository_address, uuid_hex
from bot.web.api.values import cursor_of
from core.domain.paging import PageKey

_PATH = "/api/v1/workflows/claude-code/runs"


def filter_paths(size: int) -> dict[str, str]:
    """Name and address of each list, for a database with this number of seeded runs."""
    middle = cursor_of(PageKey(at=END - timedelta(days=365), id=UUID(int=0)))
    queries: dict[str, list[tuple[str, object]]] = {
        "no filter": [],
        "page in the middle": [("cursor", middle)],
        "status completed": [("status", "completed")],
        "status killed or failed": [("status", "killed"), ("status", "failed")],
        "status running": [("status", "running")],
        "workflow, frequent": [("workflow", "implement")],
        "workflow, rare": [("workflow", "architect")],
        "session": [("session_id", UUID(uuid_hex(1, SESSION, size // 4)))],
        "mine": [("mine", "true")],
        "waiting": [("waiting", "true")],
        "repository, frequent": [("repository", repository_address(0))],
        "repository, rare": [("repository", repository_address(59))],
        "branch, frequent": [("branch", "main")],
        "branch, unique": [("branch", f"signalbox/work-{size // 4}")],
        "stop reason, frequent": [("stop_reason", "success")],
        "stop reason, rare": [("stop_reason", "no_result")],
        "outcome clean": [("outcome", "clean")],
        "outcome attention": [("outcome", "attention")],
        "since a week": [("since", (END - timedelta(days=7)).isoformat())],
        "until a year ago": [("until", (END - timedelta(days=365)).isoformat())],
        "workflow, outcome and repository": [
            ("workflow", "review"),
            ("outcome", "attention"),
            ("repository", repository_address(30)),
        ],
        "mine, killed, in a month": [
            ("mine", "true"),
            ("status", "killed"),
            ("since", (END - timedelta(days=300)).isoformat()),
            ("until", (END - timedelta(days=270)).isoformat()),
        ],
        "what no run is": [("workflow", "pr"), ("branch", "none"), ("stop_reason", "budget")],
        "page in the middle of a filter": [("outcome", "attention"), ("cursor", middle)],
    }
    return {name: f"{_PATH}?{urlencode(query)}" for name, query in queries.items()}
