"""What an isolated agent does not see of the machine's own file systems."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from core.agent.process.private_paths import PrivatePaths
from core.agent.process.system_view import (
    MAX_MASKS,
    SystemView,
    find_system_view,
    private_mounts,
    system_masks,
    toolchain_masks,
)
from core.agent.process.toolchains import Toolchains

NO_TOOLCHAINS = Toolchains(paths=(), programs=())


def test_a_mounted_directory_that_not_everybody_may_enter_is_found(tmp_path: Path) -> None:
    for name, mode in {
        "debug": 0o700,
        "pool": 0o755,
        "two words": 0o711,
        "elsewhere": 0o700,
    }.items():
        (tmp_path / "sys" / name).mkdir(parents=True)
        (tmp_path / "sys" / name).chmod(mode)
    (tmp_path / "private").mkdir(mode=0o700)
    below = f"{tmp_path}/sys"
    mounts = (
        f"debugfs {below}/debug debugfs rw 0 0\n"
        f"cgroup2 {below}/pool cgroup2 rw 0 0\n"
        f"other {below}/two\\040words other rw 0 0\n"
        f"gone {below}/gone other rw 0 0\n"
        f"disk {tmp_path}/private ext4 rw 0 0\n"
        f"debugfs {below}/debug debugfs rw 0 0\n"
    )

    assert private_mounts(mounts, below=below) == (f"{below}/debug", f"{below}/two words")


def test_a_line_without_a_mount_is_passed_over() -> None:
    assert private_mounts("\nnonsense\n", below="/sys") == ()


def find(tmp_path: Path, *search_path: Path) -> SystemView:
    return find_system_view(
        search_path=":".join(map(str, search_path)),
        homes=[tmp_path / "home"],
        hidden=tmp_path / "signalbox",
        limit=timedelta(minutes=1),
    )


def make_application(folder: Path) -> Path:
    """An application as administrators set it up, with a secret beside its programs."""
    for name, mode in {
        "bin/tool": 0o755,
        "bin/token": 0o600,
        "lib/library": 0o644,
        "lib/closed/library": 0o644,
        ".env": 0o600,
        "config": 0o644,
    }.items():
        path = folder / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.touch()
        path.chmod(mode)
    (folder / "lib" / "closed").chmod(0o700)
    return folder


def test_an_application_on_the_path_shows_neither_its_settings_nor_its_private_files(
    tmp_path: Path,
) -> None:
    app = make_application(tmp_path / "app")

    view = find(tmp_path, app / "bin")

    assert [path for path in view.toolchains if path.startswith(f"{tmp_path}/")] == [
        f"{app}/bin",
        f"{app}/lib",
    ]
    assert {f"{app}/bin/token", f"{app}/lib/closed"} <= set(view.masked_in_toolchains)


def test_of_a_toolchain_that_is_private_as_a_whole_nothing_is_masked(tmp_path: Path) -> None:
    app = make_application(tmp_path / "app")
    # As with the umask 077.
    for path in (app, *app.iterdir(), app / "bin" / "tool"):
        path.chmod(path.stat().st_mode & 0o700)

    view = find(tmp_path, app / "bin")

    assert f"{app}/lib" in view.toolchains
    assert not [path for path in view.masked_in_toolchains if path.startswith(f"{app}/")]


def test_what_was_not_searched_of_the_system_is_masked_and_told() -> None:
    search = PrivatePaths(private=("/etc/shadow",), unsearched=("/opt/data/a", "/opt/data/b"))

    masks = system_masks([search], NO_TOOLCHAINS, hidden=("/opt/signalbox",))

    assert masks.paths == ("/etc/shadow", "/opt/data/a", "/opt/data/b", "/opt/signalbox")
    (notice,) = masks.notices
    assert "not finished" in notice
    assert "2 directories (/opt/data/a, /opt/data/b)" in notice


def test_toolchains_that_were_not_searched_stay_and_are_told() -> None:
    toolchains = Toolchains(paths=("/usr/local/lib",), programs=("/usr/local/bin",))
    search = PrivatePaths(unsearched=("/usr/local/lib/big",))

    masks = system_masks([search], toolchains)
    elsewhere = toolchain_masks(PrivatePaths(unsearched=("/srv/app/lib/big",)), ())

    assert masks.paths == elsewhere.paths == ()
    assert "agents can read private files in /usr/local/lib/big" in masks.notices[0]
    assert "agents can read private files in /srv/app/lib/big" in elsewhere.notices[0]


def test_of_too_many_private_files_their_directories_are_masked_and_told() -> None:
    many = tuple(f"/opt/mail/{number}" for number in range(MAX_MASKS + 1))

    masks = system_masks([PrivatePaths(private=("/etc/shadow", *many))], NO_TOOLCHAINS)

    assert masks.paths == ("/etc/shadow", "/opt/mail")
    assert masks.notices == (
        f"more than {MAX_MASKS} files are private, so agents do not see anything of /opt/mail",
    )


def test_a_directory_of_programs_is_never_masked() -> None:
    many = tuple(f"/srv/app/bin/{number}" for number in range(MAX_MASKS + 1))

    masks = toolchain_masks(PrivatePaths(private=many), ["/srv/app/bin"])

    assert masks.paths == ()
    assert masks.notices


def test_a_search_that_was_complete_has_no_notice() -> None:
    search = PrivatePaths(private=("/etc/shadow",))

    assert system_masks([search], NO_TOOLCHAINS).notices == ()
    assert toolchain_masks(search, ()).notices == ()
