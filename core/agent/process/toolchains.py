"""The programs that are installed outside the system's directories, with what they need to run.

They are found by `PATH`.  Of the directory around a `bin`, which can also hold an application with
its configuration and data, only what is usual for a toolchain is shown.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from core.agent.process.private_paths import is_inside

_BIN_NAMES = ("bin", "sbin", "shims")
_INTERPRETERS = ("python", "node", "ruby", "perl", "java", "go", "php", "npm", "npx")
# A directory for programs of several kinds, whose parent holds much else.
_SHARED_PREFIXES = (".local", ".cargo", ".config", ".cache")
# What nearly every toolchain consists of.  Not `etc`: it can hold passwords for registries.
_ENTRIES = (
    "bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "share", "include", "man",
    "pyvenv.cfg",
)  # fmt: skip
# What else belongs to the toolchains that have all of these entries.
_FURTHER_ENTRIES = (
    # pyenv, rbenv, nodenv, goenv
    (("libexec", "versions"), ("shims", "version", "versions", "plugins", "completions", "*env.d")),
    # mise, asdf
    (("installs", "shims"), ("installs", "plugins", "shims")),
    # Go
    (("pkg/tool", "src"), ("VERSION", "api", "go.env", "misc", "pkg", "src")),
    # Java, Maven, Gradle
    (("bin/java",), ("conf", "jmods", "jre", "languages", "legal", "release")),
    (("bin/mvn",), ("boot", "conf")),
    (("bin/gradle",), ("init.d",)),
    # Conda: its certificates are in `ssl`.
    (
        ("conda-meta",),
        ("conda-meta", "condabin", "compiler_compat", "envs", "etc", "ssl", "*-conda*-linux-gnu"),
    ),
    # Homebrew
    (("Cellar",), ("Cellar", "etc", "opt")),
    # Ruby's gems
    (("specifications",), ("extensions", "gems", "plugins", "specifications")),
    # A compiler for other machines: a directory for each of them, such as `arm-none-eabi`.
    (("lib/gcc",), ("*-*-*", "sysroot")),
    # CUDA
    (("nvvm",), ("extras", "nvvm", "targets", "version.json")),
    # Composer's packages: each is a directory beside `bin`.
    (("composer/installed.json",), ("[!.]*",)),
)


@dataclass(frozen=True, kw_only=True)
class Toolchains:
    """What to show of the machine's programs, in the system's directories and elsewhere.

    Attributes:
        paths: Directories and files, parents first.
        programs: The directories in which programs are searched.
    """

    paths: tuple[str, ...]
    programs: tuple[str, ...]


def find_toolchains(
    search_path: str, *, system: Collection[str], homes: Iterable[Path], hidden: Path
) -> Toolchains:
    """Find the toolchains of a `PATH`, and of the interpreters that its programs are links to.

    Args:
        search_path: The `PATH`.
        system: The system's directories, whose links are not followed.
        homes: Home directories, which are never shown as a whole.
        hidden: A directory that is not shown, nor a parent of it.
    """
    forbidden = _Forbidden(homes, hidden)
    pending = deque(Path(entry) for entry in search_path.split(":") if entry.startswith("/"))
    # The program that hands over the proxy's socket is run by this interpreter.
    pending.append(Path(sys.base_prefix) / "bin")
    programs: dict[Path, None] = {}
    while pending:
        directory = Path(os.path.abspath(pending.popleft()))  # noqa: PTH100 - links stay links
        # Unlike `Path.is_dir`, this is false for a directory that may not be looked at.
        if directory in programs or not os.path.isdir(directory):  # noqa: PTH112
            continue
        programs[directory] = None
        if (real := directory.resolve()) != directory:
            pending.append(real)
        if not is_inside(str(directory), system):
            pending += _interpreter_dirs(directory)
    paths = {str(path) for one in programs for path in _paths_of(one, forbidden)}
    return Toolchains(
        paths=tuple(sorted(paths, key=lambda path: path.split("/"))),
        programs=tuple(map(str, programs)),
    )


class _Forbidden:
    """What must not be shown: the root, whole homes, Signalbox's own home, and what is around."""

    def __init__(self, homes: Iterable[Path], hidden: Path) -> None:
        self._hidden = hidden.resolve()
        self._whole = {Path("/"), self._hidden, *(home.resolve() for home in homes)}

    def __contains__(self, path: Path) -> bool:
        # A link shows the directory that it leads to.
        return any(
            one in self._whole
            or self._hidden in one.parents
            or any(one in whole.parents for whole in self._whole)
            for one in (path, path.resolve())
        )


def _paths_of(directory: Path, forbidden: _Forbidden) -> Iterator[Path]:
    """What to show for a directory of programs: itself, with what belongs to it beside it."""
    if directory not in forbidden:
        yield directory
    prefix = directory.parent
    if directory.name not in _BIN_NAMES or prefix.name in _SHARED_PREFIXES or prefix in forbidden:
        return
    for name in _entries_of(prefix, directory):
        path = prefix / name
        # A link that leads out of the toolchain leads nowhere for agents, either.
        is_inner = path.resolve().is_relative_to(prefix.resolve())
        if is_inner and path not in forbidden:
            yield path


def _entries_of(prefix: Path, directory: Path) -> set[str]:
    """The names of what belongs to a toolchain."""
    patterns = [*_ENTRIES]
    for signs, further in _FURTHER_ENTRIES:
        if all(os.path.exists(prefix / sign) for sign in signs):  # noqa: PTH110 - never raises
            patterns += further
    try:
        names = os.listdir(prefix)  # noqa: PTH208 - only names are needed
    except OSError:
        return set()
    found = {name for name in names if any(fnmatchcase(name, one) for one in patterns)}
    # Such as Homebrew's `Cellar`: programs that are links into another directory of the toolchain.
    for target in _link_targets(directory):
        if target.is_relative_to(prefix) and target != prefix:
            found.add(target.relative_to(prefix).parts[0])
    return found.intersection(names)


def _interpreter_dirs(directory: Path) -> list[Path]:
    """The directories of the interpreters that a directory of programs only links to."""
    links = list(_link_targets(directory, beginning=_INTERPRETERS))
    # A link can lead through further ones, such as uv's `cpython-3.12-linux…`.
    return [one.parent for target in links for one in (target, Path(os.path.realpath(target)))]


def _link_targets(directory: Path, *, beginning: tuple[str, ...] = ("",)) -> Iterator[Path]:
    """Where the links in a directory with such names lead, one step far."""
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink() and entry.name.startswith(beginning):
            try:
                written = os.readlink(entry.path)  # noqa: PTH115 - as `os.scandir`
            except OSError:
                continue
            yield Path(os.path.normpath(directory / written))
