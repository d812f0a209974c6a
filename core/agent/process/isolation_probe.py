"""Finding out whether this machine can isolate agents, and what to do if it cannot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from core.agent.process.current_view import CurrentView
from core.agent.process.isolation import AgentView, Isolation
from core.agent.process.system_view import find_system_view
from core.domain.errors import OpsError
from core.domain.failure_cause import FailureCause
from core.domain.isolation import IsolationMode, IsolationStatus

PROGRAM = "bwrap"
# The first version with `--cap-drop` for unprivileged users, `--args` and `--remount-ro` as used.
_MIN_VERSION = (0, 4)
_VERSION = re.compile(r"(\d+)\.(\d+)")
# Measured: 0.03 s.
_TRIAL_LIMIT = timedelta(seconds=20)
_TRIAL_TEXT = "isolated"
_INSTALL = (
    "install the package bubblewrap (Debian, Ubuntu: apt-get install bubblewrap; "
    "Fedora: dnf install bubblewrap)"
)
# What `bwrap` prints, and how to mend it.
_CAUSES = {
    ("setting up uid map", "No permissions to create", "Creating new namespace failed"): (
        "the kernel or the container forbids user namespaces: set the sysctl "
        "kernel.unprivileged_userns_clone=1 (on Ubuntu "
        "kernel.apparmor_restrict_unprivileged_userns=0), or start the container with "
        "--security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    ),
    ("mount proc", "mounting proc"): (
        "the container hides parts of /proc, so it allows no new one: start it with "
        "--security-opt systempaths=unconfined"
    ),
}


class IsolationUnavailable(OpsError):
    """The settings require isolation, and this machine cannot provide it.

    Attributes:
        reason: What is missing, and how to mend it.
    """

    code = "isolation_unavailable"
    cause = FailureCause.ISOLATION_MISSING

    def __init__(self, reason: str) -> None:
        text = (
            f"agents cannot be isolated here: {reason}. Mend that, or set `[agent] isolation` in "
            "signalbox.toml to `auto` or `none` if this machine may be lost to an agent"
        )
        super().__init__(text, user_message=f"{text[0].upper()}{text[1:]}.")
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class FoundIsolation:
    """What a machine offers.

    Attributes:
        isolation: How to isolate agents; `None` if they are not isolated.
        status: The same for people.
    """

    isolation: Isolation | None
    status: IsolationStatus

    @property
    def has_notices(self) -> bool:
        """Whether isolated agents see more or less of the machine than they should."""
        return self.isolation is not None and bool(self.isolation.system.last.notices)


NOT_ISOLATED = FoundIsolation(
    isolation=None, status=IsolationStatus(is_active=False, detail="it was not tried")
)


def find_isolation(
    mode: IsolationMode,
    *,
    home: Path,
    real_homes: Sequence[Path],
    search_path: str,
    shares: Sequence[Path] = (),
    program: str = PROGRAM,
) -> FoundIsolation:
    """Try out whether agents can be isolated on this machine.

    Blocking, for about 0.1 s and the search for private files (see `CurrentView`).

    Args:
        mode: What the settings ask for.
        home: Signalbox's home, which agents must not see.
        real_homes: The home directories of the worker's user: by `HOME`, and by its account.
        search_path: The `PATH` of the agents.
        shares: What agents may read of the worker's user.
        program: The name or path of `bwrap`.

    Raises:
        IsolationUnavailable: If it is required, and does not work.
    """
    if mode is IsolationMode.NONE:
        return _without("the settings switch it off")
    reason = _unsuitable(program)
    if reason is None:
        path = shutil.which(program) or program
        version = _version_of(path)
        system = CurrentView(
            partial(find_system_view, search_path=search_path, homes=real_homes, hidden=home)
        )
        reason = ""
        for has_user_namespace in _variants():
            isolation = Isolation(
                program=path,
                version=version,
                system=system,
                has_user_namespace=has_user_namespace,
                shares=tuple(shares),
                real_homes=tuple(real_homes),
                has_system_git=_has_system_git(search_path),
            )
            problem = _try_out(isolation, home)
            if problem is None:
                detail = "; ".join((f"bubblewrap {version}", *system.last.notices))
                return FoundIsolation(
                    isolation=isolation, status=IsolationStatus(is_active=True, detail=detail)
                )
            reason = reason or problem
    if mode is IsolationMode.REQUIRED:
        raise IsolationUnavailable(reason)
    return _without(reason)


def _has_system_git(search_path: str) -> bool:
    found = shutil.which("git", path=search_path)
    path = Path(found).resolve() if found is not None else Path()
    return path.is_relative_to("/usr") and not path.is_relative_to("/usr/local")


def _without(reason: str) -> FoundIsolation:
    return FoundIsolation(isolation=None, status=IsolationStatus(is_active=False, detail=reason))


def _variants() -> tuple[bool, ...]:
    # Root can do without a user namespace, which some containers forbid.
    return (True, False) if os.geteuid() == 0 else (True,)


def _unsuitable(program: str) -> str | None:
    if sys.platform != "linux":
        return "only Linux has the namespaces that it needs"
    path = shutil.which(program)
    if path is None:
        return f"bubblewrap is missing: {_INSTALL}"
    version = _version_of(path)
    found = _VERSION.search(version)
    if found is None:
        return f"{path} does not tell its version: {_INSTALL}"
    if (int(found[1]), int(found[2])) < _MIN_VERSION:
        return f"bubblewrap {version} is too old, at least 0.4 is needed: {_INSTALL}"
    return None


def _version_of(path: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the program that the settings name
            [path, "--version"],
            capture_output=True,
            timeout=_TRIAL_LIMIT.total_seconds(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip().rpartition(" ")[2][:40]


def _try_out(isolation: Isolation, home: Path) -> str | None:
    """Run a program in a workspace like an agent's; return why it failed.

    The directory is on the file system of the workspaces, which may lack what a mount needs.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".isolation-", dir=home) as folder:
        state, workspace = Path(folder) / "state", Path(folder) / "workspace"
        tmp_dir = state / "tmp"
        tmp_dir.mkdir(parents=True)
        workspace.mkdir()
        view = AgentView(workspace=workspace, state_dir=state, tmp_dir=tmp_dir, home=state / "home")
        script = f"echo {_TRIAL_TEXT} $$ > trial"
        command = [
            *(isolation.program, *isolation.agent_arguments(view)),
            *("--remount-ro", "/", "--", "/bin/sh", "-c", script),
        ]  # fmt: skip
        try:
            done = subprocess.run(  # noqa: S603 (as above)
                command,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_TRIAL_LIMIT.total_seconds(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "a trial of bubblewrap did not end"
        except OSError as error:
            return f"bubblewrap cannot be started ({error.strerror})"
        written = workspace / "trial"
        if done.returncode != 0:
            return _explain(done.stderr.decode(errors="replace"))
        # In a namespace of its own the shell has one of the first pids.
        if not written.is_file() or not _is_early_pid(written.read_text()):
            return "a trial of bubblewrap was not isolated"
    return None


def _is_early_pid(text: str) -> bool:
    words = text.split()
    return len(words) == 2 and words[0] == _TRIAL_TEXT and words[1] in ("1", "2", "3")


def _explain(stderr: str) -> str:
    said = " ".join(stderr.split())[-200:]
    for signs, advice in _CAUSES.items():
        if any(sign in stderr for sign in signs):
            return f"{advice} ({said})"
    return f"bubblewrap failed ({said or 'without a message'})"
