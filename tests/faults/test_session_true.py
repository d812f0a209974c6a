"""The check on an agent's commits, checked: it can fail."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from git import Repo

from tests.faults.rows import Row
from tests.faults.session_true import check_commits
from tests.faults.verdict import Wrong
from tests.repositories import new_repository


@pytest.fixture
def homes(tmp_path: Path) -> list[Path]:
    """Two workers' homes: the first has a workspace with a commit that the second's lacks."""
    found = [tmp_path / name for name in ("worker-a", "worker-b")]
    for home in found:
        new_repository(home / "workspaces" / "ws_1")
    with Repo(found[0] / "workspaces" / "ws_1") as repo:
        repo.index.commit("New")
    return found


def lost_commit(homes: list[Path]) -> tuple[str, datetime]:
    with Repo(homes[0] / "workspaces" / "ws_1") as repo:
        return repo.head.commit.hexsha, repo.head.commit.committed_datetime


def wrongs(homes: list[Path], *, carried: list[str], events: list[Row]) -> list[str]:
    leg = {"run_id": "run_1", "workspace_path": str(homes[1] / "workspaces" / "ws_1")}
    found = list(check_commits([leg], [lost_commit(homes)[0][:7]], homes, carried, events))
    assert all(one.wrong is Wrong.WORK for one in found)
    return [one.text for one in found]


def told(heard: datetime, *, cut_short: bool = True) -> list[Row]:
    return [
        {"kind": "worker_lost", "data": {"last_heard_at": heard.isoformat()}},
        {"kind": "work_restored", "data": {"cut_short": cut_short}},
    ]


def test_a_commit_that_is_missing_is_found(homes: list[Path]) -> None:
    (text,) = wrongs(homes, carried=[], events=[])

    assert f"it is in {homes[0]}" in text


def test_a_commit_that_was_carried_is_not_missing(homes: list[Path]) -> None:
    assert wrongs(homes, carried=[lost_commit(homes)[0]], events=[]) == []


def test_only_a_commit_of_a_workers_last_moments_may_be_missing(homes: list[Path]) -> None:
    made_at = lost_commit(homes)[1]

    assert wrongs(homes, carried=[], events=told(made_at)) == []
    assert wrongs(homes, carried=[], events=told(made_at + timedelta(seconds=10)))
    assert wrongs(homes, carried=[], events=told(made_at, cut_short=False))
    assert wrongs(homes, carried=[], events=told(made_at)[:1])
