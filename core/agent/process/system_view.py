"""What an isolated agent sees of the machine: what any user of it may read, and its tools.

The worker may own files under `/etc` that others must not read, such as a file with its tokens.
An isolated agent has the worker's user id, so these files are masked.  Programs that are installed
in a home directory (pyenv, nvm, a virtual environment) are found by `PATH` and shown read-only.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from core.agent.process.private_paths import (
    PrivatePaths,
    condense,
    find_private_paths,
    is_inside,
    is_private,
    modes_of,
    with_parents,
)
from core.agent.process.toolchains import Toolchains, find_toolchains

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
# Where administrators put files that not everybody may read.  One group after the other is
# searched, so that no large `/opt` delays the search of `/etc`.
_SEARCHED_DIRS = (("/etc",), ("/usr/local", "/opt"))
# Each mask is a mount; `bwrap` takes 0.05 s for so many, 0.6 s for 1,000, and 3,000 at most.
MAX_MASKS = 250
# Directories of `/proc` that steer the whole kernel.  Its files are judged by their modes.
_KERNEL_DIRS = ("acpi", "bus", "driver", "fs", "irq", "pressure", "scsi", "sys", "tty")


@dataclass(frozen=True, kw_only=True)
class Masks:
    """What to mask in a part of the file system.

    Attributes:
        paths: Files and directories that an agent must not see.
        notices: What is not as it should be, for people, without a full stop.
    """

    paths: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SystemView:
    """The read-only part of an agent's file system; the same for every agent of a worker.

    What is masked was there when it was searched, and may be gone when an agent starts.

    Attributes:
        links: Symbolic links of the root directory, as name and target (`/bin` to `usr/bin`).
        directories: Directories and files to show under their own path, parents first.
        masked: Directories and files in them to replace by something empty.
        toolchains: Directories and files to show after that, also in masked directories.
        masked_in_toolchains: The same as `masked`, in `toolchains`.
        kernel_settings: Entries of `/proc` that root could write even without any capability,
            such as `/proc/sys/kernel/core_pattern`: shown read-only.
        kernel_secrets: Files of `/proc` that not everybody may read: masked.
        notices: What is not as it should be, for people, without a full stop.
    """

    links: tuple[tuple[str, str], ...]
    directories: tuple[str, ...]
    masked: tuple[str, ...] = ()
    toolchains: tuple[str, ...] = ()
    masked_in_toolchains: tuple[str, ...] = ()
    kernel_settings: tuple[str, ...] = ()
    kernel_secrets: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def find_system_view(
    *, search_path: str, homes: Iterable[Path], hidden: Path, limit: timedelta
) -> SystemView:
    """Look up what to show of this machine.  Blocking: see `find_private_paths`.

    Args:
        search_path: The `PATH` of the agents.
        homes: Home directories: programs in them are shown, but never a home as a whole.
        hidden: A directory that must not be shown, nor a parent of it: Signalbox's own home.
        limit: How long each of the three searches for private files may take.
    """
    links, shown = _find_system_dirs()
    visible = (*shown, *(name for name, _ in links))
    found = find_toolchains(search_path, system=visible, homes=homes, hidden=hidden)
    searches = [find_private_paths(_present(roots, shown), limit=limit) for roots in _SEARCHED_DIRS]
    hidden_path = str(hidden.resolve())
    masks = system_masks(
        searches, found, hidden=(hidden_path,) if is_inside(hidden_path, shown) else ()
    )
    toolchains = _outside(found.paths, visible, masks.paths)
    needed = (*found.programs, *found.paths)
    in_toolchains = toolchain_masks(
        find_private_paths(toolchains, limit=limit, needed=needed), needed
    )
    kernel_settings, kernel_secrets = _find_kernel_files()
    return SystemView(
        links=links,
        directories=shown,
        masked=(*masks.paths, *_private_kernel_mounts()),
        toolchains=toolchains,
        masked_in_toolchains=in_toolchains.paths,
        kernel_settings=tuple(kernel_settings),
        kernel_secrets=tuple(kernel_secrets),
        notices=(*masks.notices, *in_toolchains.notices),
    )


def system_masks(
    searches: Iterable[PrivatePaths], toolchains: Toolchains, *, hidden: Iterable[str] = ()
) -> Masks:
    """Decide what of the system's directories to mask.

    What was not searched is masked as a whole.  Only toolchains stay, because an agent without
    its programs would be of no use.
    """
    private = {path for search in searches for path in search.private} | set(hidden)
    unsearched = [path for search in searches for path in search.unsearched]
    open_ones = [path for path in unsearched if is_inside(path, toolchains.paths)]
    closed_ones = set(unsearched) - set(open_ones)
    paths = condense(private | closed_ones, limit=MAX_MASKS)
    notices = list(_readable(open_ones))
    if not closed_ones:
        notices += _crowded(paths, private)
    else:
        notices.append(
            "the search for private files was not finished, so agents do not see "
            f"{_count(closed_ones)} (`[agent] share` shows what they need there)"
        )
    return Masks(paths=paths, notices=tuple(notices))


def toolchain_masks(search: PrivatePaths, needed: Iterable[str]) -> Masks:
    """Decide what of the toolchains to mask: what is private, but no directory of programs."""
    paths = condense(search.private, limit=MAX_MASKS)
    kept = with_parents(needed)
    return Masks(
        paths=tuple(path for path in paths if path not in kept),
        notices=(*_crowded(paths, search.private), *_readable(search.unsearched)),
    )


def _crowded(paths: Iterable[str], found: Collection[str]) -> Iterator[str]:
    if whole := sorted(set(paths) - set(found)):
        yield (
            f"more than {MAX_MASKS} files are private, so agents do not see anything of "
            f"{_count(whole)}"
        )


def _readable(unsearched: Collection[str]) -> Iterator[str]:
    if unsearched:
        yield (
            "the search for private files was not finished, so agents can read private files in "
            f"{_count(unsearched)} of their programs"
        )


def _count(directories: Collection[str]) -> str:
    """The number of directories, and where they are."""
    places = ", ".join(condense(directories, limit=3))
    return f"{len(directories)} directories ({places})" if len(directories) > 1 else places


def _find_system_dirs() -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Find the links of the root directory, and what to show under its own path."""
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
        if os.path.exists(target) and not is_inside(target, shown):  # noqa: PTH110
            shown.append(target)
    return tuple(links), tuple(shown)


def _present(roots: Iterable[str], shown: Collection[str]) -> tuple[str, ...]:
    """The directories in what is shown; one that is a link may lead elsewhere."""
    real = (os.path.realpath(root) for root in roots)
    return tuple(dict.fromkeys(path for path in real if is_inside(path, shown)))


def _outside(
    paths: Iterable[str], visible: Collection[str], masked: Collection[str]
) -> tuple[str, ...]:
    """The paths that are not seen yet, without those in others of them; parents come first."""
    found: list[str] = []
    for path in paths:
        is_seen = is_inside(path, visible) and not is_inside(path, masked)
        if not is_seen and not is_inside(path, found):
            found.append(path)
    return tuple(found)


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
        if stat.S_ISDIR(mode) and is_private(mode):
            found.add(path)
    return tuple(sorted(found))


def _find_kernel_files() -> tuple[list[str], list[str]]:
    """Find what in `/proc` steers the kernel, and what in it only root may read."""
    settings, secrets = [], []
    with os.scandir("/proc") as entries:
        for path, mode in modes_of(entries):
            name = path.removeprefix("/proc/")
            if name.isdecimal() or stat.S_ISLNK(mode):
                continue
            if stat.S_ISDIR(mode):
                if name in _KERNEL_DIRS:
                    settings.append(path)
            elif not mode & stat.S_IROTH:
                secrets.append(path)
            elif mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
                settings.append(path)
    return sorted(settings), sorted(secrets)
