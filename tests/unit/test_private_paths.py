"""The search for what not every user of the machine may read."""

from __future__ import annotations

import os
import socket
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from core.agent.process.private_paths import (
    condense,
    find_private_paths,
    is_private,
    modes_of,
)

LIMIT = timedelta(minutes=1)


class FakeEntry:
    """An entry of a directory; without a mode it is one that cannot be looked at."""

    def __init__(self, path: str, mode: int | None) -> None:
        self.path = path
        self.mode = mode

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        if self.mode is None:
            raise PermissionError(self.path)
        return os.stat_result((self.mode, *[0] * 9))


def make(path: Path, mode: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(mode)
    return path


def test_private_files_and_directories_are_found_at_any_depth(tmp_path: Path) -> None:
    make(tmp_path / "open", 0o644)
    closed = make(tmp_path / "a" / "b" / "closed", 0o640)
    (tmp_path / "a" / "dir").mkdir()
    (tmp_path / "a" / "dir").chmod(0o711)
    make(tmp_path / "a" / "dir" / "inside", 0o600)
    tmp_path.chmod(0o755)

    found = find_private_paths([str(tmp_path)], limit=LIMIT)

    assert found.private == (str(closed), str(tmp_path / "a" / "dir"))
    assert found.unsearched == ()


def test_a_private_root_is_found_and_a_missing_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)

    found = find_private_paths([str(tmp_path / "closed"), str(tmp_path / "gone")], limit=LIMIT)

    assert found.private == (str(tmp_path / "closed"),)


def test_a_root_may_be_a_link_and_other_links_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path / "lib" / "closed", 0o600)
    make(tmp_path / "elsewhere" / "closed", 0o600)
    (tmp_path / "lib64").symlink_to("lib")
    (tmp_path / "lib" / "link").symlink_to(tmp_path / "elsewhere")

    found = find_private_paths([str(tmp_path / "lib64")], limit=LIMIT)

    assert found.private == (str(tmp_path / "lib64" / "closed"),)


def test_an_entry_that_cannot_be_looked_at_does_not_end_the_search() -> None:
    entries = [
        FakeEntry("/x/mount", None),
        FakeEntry("/x/closed", stat.S_IFREG | 0o600),
    ]

    assert list(modes_of(entries)) == [("/x/closed", stat.S_IFREG | 0o600)]


def test_what_time_did_not_suffice_for_is_named(tmp_path: Path) -> None:
    make(tmp_path / "closed", 0o600)
    tmp_path.chmod(0o755)

    found = find_private_paths([str(tmp_path)], limit=timedelta(0))

    assert found.private == ()
    assert found.unsearched == (str(tmp_path),)


def test_more_than_fifty_thousand_entries_are_searched(tmp_path: Path) -> None:
    for number in range(26):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder / "one", 0o644)
        for other in range(2000):
            os.link(folder / "one", folder / str(other))
    closed = make(tmp_path / "25" / "deep" / "closed", 0o600)
    tmp_path.chmod(0o755)

    assert find_private_paths([str(tmp_path)], limit=LIMIT).private == (str(closed),)


def test_a_private_directory_of_programs_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "versions" / "3.12" / "bin").mkdir(parents=True)
    make(tmp_path / "versions" / "3.12" / "bin" / "python", 0o700)
    (tmp_path / "versions" / "3.12").chmod(0o700)
    other = tmp_path / "versions" / "other"
    other.mkdir(mode=0o700)

    found = find_private_paths(
        [str(tmp_path / "versions")],
        limit=LIMIT,
        needed=[str(tmp_path / "versions" / "3.12" / "bin")],
    )

    assert found.private == (str(other),)


@pytest.mark.parametrize(
    ("kind", "mode", "expected"),
    [
        (stat.S_IFREG, 0o644, False),
        (stat.S_IFREG, 0o640, True),
        (stat.S_IFDIR, 0o755, False),
        (stat.S_IFDIR, 0o711, True),
        (stat.S_IFDIR, 0o754, True),
        (stat.S_IFLNK, 0o700, False),
        # Others may read it, but not connect to it.
        (stat.S_IFSOCK, 0o755, True),
        (stat.S_IFSOCK, 0o777, False),
        (stat.S_IFIFO, 0o600, True),
    ],
)
def test_what_is_private(kind: int, mode: int, *, expected: bool) -> None:
    assert is_private(kind | mode) is expected


def test_a_private_socket_is_found(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        (tmp_path / "socket").chmod(0o755)

        found = find_private_paths([str(tmp_path)], limit=LIMIT)

    assert found.private == (str(tmp_path / "socket"),)


def test_few_paths_stay_as_they_are_without_those_inside_others() -> None:
    paths = ["/etc/shadow", "/opt/app", "/opt/app-2/x", "/opt/app/x/y"]

    assert condense(paths, limit=3) == ("/etc/shadow", "/opt/app", "/opt/app-2/x")


def test_the_most_crowded_directory_stands_for_its_content() -> None:
    crowd = [f"/opt/app/data/{number}" for number in range(10)]

    assert condense(["/etc/shadow", *crowd], limit=5) == ("/etc/shadow", "/opt/app/data")


def test_without_crowds_the_deepest_directories_stand_for_their_content() -> None:
    paths = ["/etc/ssl/private", *(f"/opt/app/{number}/x/closed" for number in range(10))]

    assert condense(paths, limit=5) == ("/etc/ssl/private", "/opt/app")


def test_the_root_never_stands_for_its_directories() -> None:
    assert condense(["/etc", "/opt", "/usr/x"], limit=1) == ("/etc", "/opt", "/usr")
