"""The `PATH` of the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.search_path import system_path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_toolchains_in_a_home_directory_are_left_out(home: Path) -> None:
    (home / ".pyenv" / "shims").mkdir(parents=True)

    assert system_path(f"{home}/.pyenv/shims:{os.defpath}") == os.defpath


def test_a_directory_with_the_only_copy_of_a_needed_program_stays(home: Path) -> None:
    for name in ("promtool", "tool"):
        program = home / name / name
        program.parent.mkdir()
        program.touch(mode=0o755)

    assert system_path(f"{home}/tool:{home}/promtool") == f"{home}/promtool"
