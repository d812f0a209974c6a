"""The check of an agent's commits: it can fail."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from git import Repo

from tests.faults.results import ViolationKind
from tests.faults.rows import Row
from tests.faults.session_check import check_commits
from tests.repositories import new_repository


@pytest.fixture
def homes(tmp_path: Path) -> list[Path]:
    """Two workers' homes: the first has a workspace with a commit that the second lacks."""
    found = [tmp_path / name for name in ("worker-a", "worker-b")]
    for home in found:
        new_repository(home / "workspaces" / "ws_1")
    with Repo(found[0] / "workspaces" / "ws_1") as repo:
        repo.index.commit("New")
    return found


def lost_commit(homes: list[Path]) -> tuple[str, datetime]:
    with Repo(homes[0] / "workspaces" / "ws_1") as repo:
        return repo.head.commit.hexsha, repo.head.commit.committed_datetime


def violation_texts(homes: list[Path], *, carried: list[str], events: list[Row]) -> list[str]:
    run = {"run_id": "run_1", "workspace_path": str(homes[1] / "workspaces" / "ws_1")}
    found = list(check_commits([run], [lost_commit(homes)[0][:7]], homes, carried, events))
    assert all(one.kind is ViolationKind.WORK for one in found)
    return [one.text for one in found]


def lost_worker_events(last_heartbeat: datetime, *, cut_short: bool = True) -> list[Row]:
    return [
        {"kind": "worker_lost", "data": {"last_heard_at": last_heartbeat.isoformat()}},
        {"kind": "work_restored", "data": {"cut_short": cut_short}},
    ]


def test_a_missing_commit_is_found(homes: list[Path]) -> None:
    (text,) = violation_texts(homes, carried=[], events=[])

    assert f"it is in {homes[0]}" in text


def test_a_commit_that_was_carried_is_not_missing(homes: list[Path]) -> None:
    assert violation_texts(homes, carried=[lost_commit(homes)[0]], events=[]) == []


def test_only_a_commit_of_a_workers_last_moments_may_be_missing(homes: list[Path]) -> None:
    made_at = lost_commit(homes)[1]

    assert violation_texts(homes, carried=[], events=lost_worker_events(made_at)) == []
    assert violation_texts(
        homes, carried=[], events=lost_worker_events(made_at + timedelta(seconds=10))
    )
    assert violation_texts(homes, carried=[], events=lost_worker_events(made_at, cut_short=False))
    assert violation_texts(homes, carried=[], events=lost_worker_events(made_at)[:1])
