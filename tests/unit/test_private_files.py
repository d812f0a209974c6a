"""A home is private: new ones are made so, and existing ones are closed."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest

from core.private_files import excess_permissions, make_home_private


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_home_is_private(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"

    make_home_private(home)

    assert mode_of(home) == 0o700


def test_an_open_home_is_closed_with_its_folders_and_that_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    home, workspaces, mirrors = (tmp_path / name for name in ("", "workspaces", "mirrors"))
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    for folder in (workspaces, mirrors, outside):
        folder.mkdir()
    (home / "link").symlink_to(outside)
    for folder, mode in ((home, 0o755), (workspaces, 0o2775), (mirrors, 0o700), (outside, 0o755)):
        folder.chmod(mode)
    tool = workspaces / "tool"
    tool.touch()
    tool.chmod(0o755)

    make_home_private(home)
    make_home_private(home)

    assert mode_of(home) & 0o067 == 0
    assert mode_of(workspaces) & 0o2067 == 0
    assert mode_of(mirrors) == 0o700
    assert mode_of(outside) == 0o755
    assert mode_of(tool) == 0o755
    events = [record.__dict__["event"] for record in caplog.records]
    assert events == ["directory.made_private"] * 2


@pytest.mark.skipif(os.geteuid() != 0, reason="others have no account for their Postgres")
def test_the_home_of_root_may_let_a_group_pass_through(tmp_path: Path) -> None:
    tmp_path.chmod(0o710)
    assert not excess_permissions(tmp_path)

    tmp_path.chmod(0o751)
    assert excess_permissions(tmp_path) == stat.S_IRGRP | stat.S_IXOTH


def test_the_folder_of_another_account_is_left_to_it(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files to other users")
    folder = tmp_path / "postgres"
    folder.mkdir(mode=0o750)
    os.chown(folder, 65534, 65534)

    make_home_private(tmp_path)

    assert mode_of(folder) == 0o750
