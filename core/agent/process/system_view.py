"""What an isolated agent sees of the machine: what any user of it may read, and its tools.

The worker may own files under `/etc` that others must not read, such as a file with its tokens.
An isolated agent has the worker's user id, so these files are masked.  Programs that are installed
in a home directory (pyenv, nvm, a virtual environment) are found by `PATH` and shown read-only.
"""

from __future__ import annotations

import functools
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Directories of the root that hold programs, libraries and their configuration, by distribution.
_SYSTEM_DIRS = (
    "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "opt", "sys",
    "nix", "gnu", "snap",
)  # fmt: skip
# Files that `/etc` may only link to, with targets outside the directories above.
_LINKED_FILES = (
    "/etc/resolv.conf", "/etc/hosts", "/etc/localtime", "/etc/nsswitch.conf", "/etc/ssl/certs",
    "/etc/ssl/cert.pem", "/etc/pki/tls/certs",
)  # fmt: skip
# Where administrators put files that not everybody may read.
_MASKED_DIRS = ("/etc", "/usr/local", "/opt")
# Bounds the search for such files: 0.3 s for so many entries.
_MAX_SEARCHED = 50_000
_BIN_NAMES = ("bin", "sbin", "shims")
# Directories of `/proc` that steer the whole kernel.  Its files are judged by their modes.
_KERNEL_DIRS = ("acpi", "bus", "driver", "fs", "irq", "pressure", "scsi", "sys", "tty")
_INTERPRETERS = ("python", "node", "ruby", "perl", "java", "go", "php", "npm", "npx")
# A directory for programs of several kinds, whose parent holds much else.
_SHARED_PREFIXES = (".local", ".cargo", ".config", ".cache")


@dataclass(frozen=True, kw_only=True)
class SystemView:
    """The read-only part of an agent's file system; the same for every agent of a worker.

    Attributes:
        links: Symbolic links of the root directory, as name and target (`/bin` to `usr/bin`).
        directories: Directories and files to show under their own path, parents first.
        masked_dirs: Directories in them to replace by empty ones.
        masked_files: Files in them to replace by an unreadable one.
        kernel_settings: Entries of `/proc` that root could write even without any capability,
            such as `/proc/sys/kernel/core_pattern`: shown read-only.
        kernel_secrets: Files of `/proc` that not everybody may read: masked.
    """

    links: tuple[tuple[str, str], ...]
    directories: tuple[str, ...]
    masked_dirs: tuple[str, ...] = ()
    masked_files: tuple[str, ...] = ()
    kernel_settings: tuple[str, ...] = ()
    kernel_secrets: tuple[str, ...] = ()


def find_system_view(*, search_path: str, homes: Iterable[Path], hidden: Path) -> SystemView:
    """Look up what to show of this machine.  Blocking: it reads a few thousand directory entries.

    Args:
        search_path: The `PATH` of the agents.
        homes: Home directories: programs in them are shown, but never a home as a whole.
        hidden: A directory that must not be shown, nor a parent of it: Signalbox's own home.
    """
    links: list[tuple[str, str]] = []
    shown: list[str] = []
    for name in _SYSTEM_DIRS:
        path = f"/{name}"
        if os.path.islink(path):  # noqa: PTH114
            links.append((path, os.readlink(path)))  # noqa: PTH115
        elif os.path.isdir(path):  # noqa: PTH112
            shown.append(path)
    for path in _LINKED_FILES:
        target = os.path.realpath(path)
        if os.path.exists(target) and not _is_inside(target, shown):  # noqa: PTH110
            shown.append(target)
    forbidden = {Path("/"), *(home.resolve() for home in homes)}
    visible = [*shown, *(name for name, _ in links)]
    toolchains = sorted(_find_toolchains(search_path, visible, forbidden, hidden.resolve()))
    for toolchain in toolchains:
        if not _is_inside(toolchain, shown):
            shown.append(toolchain)
    masked_dirs, masked_files = _find_private(_MASKED_DIRS)
    kernel_settings, kernel_secrets = _find_kernel_files()
    return SystemView(
        links=tuple(links),
        directories=tuple(shown),
        masked_dirs=(*masked_dirs, *_private_kernel_mounts()),
        masked_files=masked_files,
        kernel_settings=tuple(kernel_settings),
        kernel_secrets=tuple(kernel_secrets),
    )


def _find_toolchains(
    search_path: str, shown: list[str], forbidden: set[Path], hidden: Path
) -> Iterator[str]:
    """Find the directories of programs that are installed outside the system's directories."""
    found = list(shown)
    pending = [Path(entry) for entry in search_path.split(":") if entry.startswith("/")]
    # The program that hands over the proxy's socket is run by this interpreter.
    pending += [Path(sys.base_prefix) / "bin"]
    examined: set[Path] = set()
    while pending:
        directory = Path(os.path.abspath(pending.pop(0)))  # noqa: PTH100 - links stay links
        # Unlike `Path.is_dir`, this is false for a directory that may not be looked at.
        if directory in examined or not os.path.isdir(directory):  # noqa: PTH112
            continue
        examined.add(directory)
        for candidate in (directory, directory.resolve()):
            prefix = _prefix_of(candidate, forbidden, hidden)
            if prefix is not None and not _is_inside(str(prefix), found):
                found.append(str(prefix))
                yield str(prefix)
        if not _is_inside(str(directory), shown):
            pending += _interpreter_dirs(directory)


def _prefix_of(directory: Path, forbidden: set[Path], hidden: Path) -> Path | None:
    """The directory to show for a directory of programs: with its libraries, if they are beside it.

    Returns:
        `None` if showing it would show a home or Signalbox's own files.
    """
    candidates = [directory]
    if directory.name in _BIN_NAMES and directory.parent.name not in _SHARED_PREFIXES:
        candidates.insert(0, directory.parent)
    for candidate in candidates:
        is_too_much = candidate in forbidden or any(
            candidate in home.parents for home in (*forbidden, hidden)
        )
        if not is_too_much and candidate != hidden and hidden not in candidate.parents:
            return candidate
    return None


def _interpreter_dirs(directory: Path) -> list[Path]:
    """The directories of the interpreters that a directory of programs only links to."""
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return []
    return [
        Path(os.path.realpath(entry.path)).parent
        for entry in entries
        if entry.is_symlink() and entry.name.startswith(_INTERPRETERS)
    ]


def _is_inside(path: str, directories: Iterable[str]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in directories)


@functools.cache
def _find_private(roots: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Find the directories and files that not every user of the machine may read.

    A process looks once; a file that is made private later is masked after a restart.
    """
    directories: list[str] = []
    files: list[str] = []
    pending = list(roots)
    examined = 0
    while pending and examined < _MAX_SEARCHED:
        try:
            with os.scandir(pending.pop(0)) as entries:
                for entry in entries:
                    examined += 1
                    mode = entry.stat(follow_symlinks=False).st_mode
                    if stat.S_ISDIR(mode):
                        if mode & stat.S_IROTH and mode & stat.S_IXOTH:
                            pending.append(entry.path)
                        else:
                            directories.append(entry.path)
                    elif stat.S_ISREG(mode) and not mode & stat.S_IROTH:
                        files.append(entry.path)
        except OSError:
            # What this user cannot list, an agent of this user cannot list either.
            continue
    return tuple(sorted(directories)), tuple(sorted(files))


def _private_kernel_mounts() -> tuple[str, ...]:
    """The file systems of the kernel in `/sys` that only root may enter, such as debugfs."""
    try:
        mounts = Path("/proc/self/mounts").read_text()
    except OSError:
        return ()
    return private_mounts(mounts, below="/sys")


def private_mounts(mounts: str, *, below: str) -> tuple[str, ...]:
    r"""Find the mounted directories that not every user may enter and list.

    Args:
        mounts: The text of `/proc/self/mounts`; it writes a space as `\040`.
        below: Only directories in this one.
    """
    found: set[str] = set()
    for line in mounts.splitlines():
        written = line.split(" ")[1] if " " in line else ""
        path = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), written)
        if not path.startswith(f"{below}/"):
            continue
        try:
            mode = Path(path).stat().st_mode
        except OSError:
            # Nor can an agent of this user.
            continue
        if stat.S_ISDIR(mode) and not (mode & stat.S_IROTH and mode & stat.S_IXOTH):
            found.add(path)
    return tuple(sorted(found))


def _find_kernel_files() -> tuple[list[str], list[str]]:
    """Find what in `/proc` steers the kernel, and what in it only root may read."""
    settings, secrets = [], []
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdecimal() or entry.is_symlink():
                continue
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                if entry.name in _KERNEL_DIRS:
                    settings.append(entry.path)
            elif not mode & stat.S_IROTH:
                secrets.append(entry.path)
            elif mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
                settings.append(entry.path)
    return sorted(settings), sorted(secrets)
