"""Leftovers in a worker's home are found, unless a live worker owns them."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tests.faults.fleet_check import leftover_paths

OWNER = "worker-0123456789ab"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a temporary directory, its lock, and a workspace."""
    for name in ("agents", f"tmp/{OWNER}", "workspaces/ws_1"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / f"tmp/{OWNER}.lock").touch()
    return tmp_path


def test_the_temporary_directory_of_a_live_worker_may_stay(home: Path) -> None:
    (home / f"workspaces/.ws_2.{OWNER}-01234567").mkdir()

    with (home / f"tmp/{OWNER}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        left = leftover_paths(home)

    assert left == []


def test_the_temporary_directory_of_a_dead_worker_may_not_stay(home: Path) -> None:
    (home / f"workspaces/.ws_2.{OWNER}-01234567").mkdir()

    assert leftover_paths(home) == [
        f"tmp/{OWNER}",
        f"tmp/{OWNER}.lock",
        f"workspaces/.ws_2.{OWNER}-01234567",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "agents/run_1-1",
        "tmp/claude-resume-xyz",
        f"tmp/{OWNER}/claude-resume-xyz",
        "workspaces/.ws_2.01234567",
    ],
)
def test_a_path_without_an_owner_is_found(home: Path, name: str) -> None:
    (home / name).mkdir()

    with (home / f"tmp/{OWNER}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        left = leftover_paths(home)

    assert left == [name]
