"""What an isolated agent does not see of the machine's own file systems."""

from __future__ import annotations

from pathlib import Path

from core.agent.process.system_view import private_mounts


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
