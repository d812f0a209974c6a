"""Isolation of an agent in Linux namespaces, by the program bubblewrap (`bwrap`).

The agent program and everything that it starts live in PID, IPC, mount and user namespaces of
their own.  They see the machine's programs read-only, their workspace, and their own home and
temporary files; no process and no file of the worker's.  Paths are the same inside and outside.

`bwrap` stays outside as the supervisor, and its child is the namespace's first process.  When
either ends, the kernel ends every process in the namespace, so no process of a run can stay.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.agent.process.current_view import CurrentView
from core.agent.process.system_view import SystemView

# The name of both `bwrap` processes of an attempt, as the process table shows it.
SUPERVISOR_NAME = "bwrap"
# Where the system's programs and libraries are.  In `/usr` everybody may read everything, except
# perhaps in `/usr/local`.
PROGRAM_DIRS = frozenset({"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"})


@dataclass(frozen=True, kw_only=True)
class AgentView:
    """What one agent sees besides the machine's programs.

    Attributes:
        workspace: The directory in which it works.
        state_dir: The attempt's state; only its `writable` subdirectories can be written.
        tmp_dir: Shown as `/tmp` and `/var/tmp`, too.
        writable: Directories that it may write, beside the workspace.
        read_only: Further directories and files that it may read.
        home: The agent's home directory.
        is_workspace_read_only: Whether the workspace cannot be written.
        has_network: Whether it shares the machine's network.
    """

    workspace: Path
    state_dir: Path
    tmp_dir: Path
    home: Path
    writable: tuple[Path, ...] = ()
    read_only: tuple[Path, ...] = ()
    is_workspace_read_only: bool = False
    has_network: bool = True


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """How to isolate a program on this machine.

    Attributes:
        program: The path of `bwrap`.
        version: Its version, for people.
        system: What every agent sees of the machine, at present.
        has_user_namespace: Whether a user namespace is made, too; without one only root can make
            the others.
        shares: Files of the worker's user that agents may read, by the settings.
        real_homes: The home directories of the worker's user: what is shared of them is also found
            in the agent's home.
        has_system_git: Whether git is one of the system's programs in `/usr`.
    """

    program: str
    version: str
    system: CurrentView
    has_user_namespace: bool = True
    shares: tuple[Path, ...] = ()
    real_homes: tuple[Path, ...] = ()
    has_system_git: bool = False

    def agent_arguments(self, view: AgentView) -> list[str]:
        """Return the arguments of `bwrap` for an agent.  Blocking: see `CurrentView.renewed`.

        The caller adds further mounts, `--remount-ro /` and the agent's command.
        """
        arguments = self._base_arguments(self.system.renewed(), has_network=view.has_network)
        arguments += _bind(view.tmp_dir, Path("/tmp"))  # noqa: S108 - the agent's own
        arguments += _bind(view.tmp_dir, Path("/var/tmp"))  # noqa: S108 (as above)
        arguments += _read_only(view.state_dir)
        for path in view.writable:
            arguments += _bind(path, path)
        for path in (*view.read_only, *self.shares):
            arguments += _read_only(path)
        for path in self.shares:
            home = next((home for home in self.real_homes if path.is_relative_to(home)), None)
            if home is not None:
                seen_at = view.home / path.relative_to(home)
                arguments += ["--ro-bind-try", str(path), str(seen_at)]
        if view.is_workspace_read_only:
            arguments += _read_only(view.workspace)
        else:
            arguments += _bind(view.workspace, view.workspace)
        return [*arguments, "--chdir", str(view.workspace)]

    def confine(self, directories: Sequence[Path]) -> list[str]:
        """Return the command prefix that lets git see and write only these directories.

        What the agent left in its workspace, such as links out of it, then leads nowhere.  Git of
        the system sees nothing else but the system's programs, which takes half the time (3 ms)
        of what an agent sees.  This does not wait for a new search of the machine: a kill waits
        for it.
        """
        system = self.system.last
        if self.has_system_git:
            arguments = [*self._namespaces(has_network=False), *_programs_of(system)]
        else:
            arguments = self._base_arguments(system, has_network=False)
        for path in directories:
            arguments += _bind(path, path)
        return [self.program, *arguments, "--remount-ro", "/", "--"]

    def _namespaces(self, *, has_network: bool) -> list[str]:
        arguments = ["--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-cgroup-try"]
        if self.has_user_namespace:
            arguments.append("--unshare-user")
        if not has_network:
            arguments.append("--unshare-net")
        return [*arguments, "--cap-drop", "ALL"]

    def _base_arguments(self, system: SystemView, *, has_network: bool) -> list[str]:
        arguments = [*self._namespaces(has_network=has_network), *_links_of(system)]
        for path in system.directories:
            arguments += ["--ro-bind-try", path, path]
        for path in system.masked:
            arguments += _mask(path)
        for path in system.toolchains:
            arguments += ["--ro-bind-try", path, path]
        for path in system.masked_in_toolchains:
            arguments += _mask(path)
        arguments += ["--proc", "/proc", "--dev", "/dev", "--dir", "/run"]
        # This also keeps a nested namespace from mounting a `/proc` of its own.
        for path in system.kernel_settings:
            arguments += ["--ro-bind-try", path, path]
        for path in system.kernel_secrets:
            arguments += _mask(path)
        return arguments


def write_arguments(path: Path, arguments: Iterable[str]) -> None:
    """Write arguments in the form in which `bwrap --args` reads them.  Blocking."""
    path.write_bytes(b"".join(os.fsencode(argument) + b"\0" for argument in arguments))


def _links_of(system: SystemView) -> list[str]:
    return [part for name, target in system.links for part in ("--symlink", target, name)]


def _programs_of(system: SystemView) -> list[str]:
    """Show the system's own programs and libraries, and the devices that every program needs."""
    arguments = _links_of(system)
    for path in system.directories:
        if path in PROGRAM_DIRS:
            arguments += ["--ro-bind-try", path, path]
    return [*arguments, *_mask("/usr/local"), "--dev", "/dev"]


def _bind(source: Path, destination: Path) -> list[str]:
    return ["--bind", str(source), str(destination)]


def _read_only(path: Path) -> list[str]:
    return ["--ro-bind-try", str(path), str(path)]


def _mask(path: str) -> list[str]:
    """Replace a file or directory by something empty, if it is still there.

    In a directory that is shown read-only `bwrap` cannot create what a mount covers, so a file that
    is gone since the search (the swap file of an editor, a package that was upgraded) would end
    every start.
    """
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return []
    if stat.S_ISLNK(mode):
        # It leads to a path that is judged itself.
        return []
    if stat.S_ISDIR(mode):
        return ["--tmpfs", path]
    return ["--ro-bind-try", os.devnull, path]
