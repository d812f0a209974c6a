"""The file by which commands of this machine find its server: private, whole, replaced at once."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.assembly.web.local_access import (
    LocalAccess,
    access_file,
    local_url,
    read_access,
    write_access,
)
from bot.assembly.web.local_token import token_name
from core.domain.actor import Role
from core.domain.token import NewToken
from core.private_files import read_private_file, write_private_file

ACCESS = LocalAccess(url="http://127.0.0.1:8765", token="sbx_secret")


def test_only_its_owner_can_read_what_was_written(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        write_access(tmp_path, ACCESS)
    finally:
        os.umask(previous)

    assert stat.S_IMODE(access_file(tmp_path).stat().st_mode) == 0o600
    assert read_access(tmp_path) == ACCESS
    assert [path.name for path in tmp_path.iterdir()] == ["cli.json"]
    assert "sbx_secret" not in repr(ACCESS)


def test_a_file_is_replaced_and_not_changed_in_place(tmp_path: Path) -> None:
    write_access(tmp_path, LocalAccess(url="http://127.0.0.1:1", token="sbx_old"))
    with access_file(tmp_path).open() as opened:
        write_access(tmp_path, ACCESS)

        assert "sbx_old" in opened.read()
    assert read_access(tmp_path) == ACCESS


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_may_touch_does_not_count(tmp_path: Path, mode: int) -> None:
    write_access(tmp_path, ACCESS)
    access_file(tmp_path).chmod(mode)

    assert read_access(tmp_path) is None


def test_a_link_does_not_count(tmp_path: Path) -> None:
    write_private_file(tmp_path / "elsewhere", json.dumps({"url": "http://x", "token": "sbx_x"}))
    access_file(tmp_path).symlink_to(tmp_path / "elsewhere")

    assert read_access(tmp_path) is None


def test_a_folder_or_a_pipe_does_not_count_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)

    assert read_private_file(tmp_path / "pipe") is None
    assert read_private_file(tmp_path / "folder") is None


@given(content=st.text(max_size=100) | st.builds(json.dumps, st.dictionaries(st.text(), st.none())))
def test_a_damaged_file_does_not_count(
    tmp_path_factory: pytest.TempPathFactory, content: str
) -> None:
    home = tmp_path_factory.mktemp("home")
    access_file(home).write_bytes(content.encode("utf-8", "surrogatepass"))
    access_file(home).chmod(0o600)

    assert read_access(home) is None


@pytest.mark.parametrize(
    ("bound", "reached"),
    [
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("http://0.0.0.0:80", "http://127.0.0.1:80"),
        ("http://10.1.2.3:8765", "http://10.1.2.3:8765"),
        ("http://:::8765", "http://[::1]:8765"),
        ("http://::1:8765", "http://[::1]:8765"),
        ("http://fd00::2:8765", "http://[fd00::2]:8765"),
    ],
)
def test_a_server_is_reached_where_it_listens(bound: str, reached: str) -> None:
    assert local_url(bound) == reached


def test_two_homes_have_tokens_of_different_names(tmp_path: Path) -> None:
    homes = [tmp_path / "one", tmp_path / "two"]
    for home in homes:
        home.mkdir()

    names = {token_name(home) for home in homes}

    assert len(names) == 2
    assert token_name(homes[0]) in names
    for name in names:
        NewToken(name=name, role=Role.OPERATOR).check()


def test_the_name_of_a_token_is_valid_whatever_the_machine_is_called(tmp_path: Path) -> None:
    for machine in ("x" * 100, "--", "Büro.local", "a_b"):
        (tmp_path / "disk-id").write_text(f"{machine}-0a1b2c3d\n")

        name = token_name(tmp_path)

        NewToken(name=name, role=Role.OPERATOR).check()
        assert name.endswith("-0a1b2c3d")
