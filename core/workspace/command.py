"""Git commands with a time limit, without prompts, and with a clean environment."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from git.cmd import Git as GitProgram
from git.exc import GitCommandNotFound

from core.domain.redact import redact
from core.workspace.bounded_process import TooMuchOutput, communicate
from core.workspace.errors import GitFailed, WorkspaceError
from core.workspace.settings import names_to_unset

log = logging.getLogger(__name__)

# More than a killed process needs to close its pipes.
_EXIT_LIMIT = timedelta(seconds=5)
# A confined program that a signal ended has this exit status plus the signal's number; git itself
# exits with 129 at most.
_FIRST_SIGNAL_STATUS = 128
# A list of a million references or files has 100 MB.  A hostile server can send a list without end.
_MAX_OUTPUT_BYTES = 300_000_000
SSH_COMMAND = "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ForwardAgent=no"
# With these, git runs no program that a repository names, and never prompts for a password.
_FIXED_VARIABLES = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "file:https:ssh",
    "GIT_SSH_COMMAND": SSH_COMMAND,
    "GIT_SSH_VARIANT": "ssh",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ADVICE": "0",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "false",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "LC_ALL": "C",
    "LANGUAGE": "C",
}
_FIXED_CONFIG: tuple[str, ...] = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "gc.autoDetach=false",
    "maintenance.autoDetach=false",
    "core.quotePath=false",
    # Files in Git LFS stay pointers.
    "filter.lfs.smudge=",
    "filter.lfs.process=",
    "filter.lfs.required=false",
)


# For commands in a workspace.  A reflog can be a link to a file of the worker's, and a commit
# graph can tell another history than the commits.
_WORKSPACE_CONFIG = ("core.logAllRefUpdates=false", "core.commitGraph=false")
# What a confined command gets of the worker's variables.
_CONFINED_VARIABLES = frozenset({"PATH", "TZ"})


# Returns the command prefix that lets a program see and write only these directories.
Confine = Callable[[Sequence[Path]], list[str]]


class Git:
    """Runs git commands one after another in one thread; any thread may call `stop`.

    Every command gets a process group of its own, so that a timeout also ends its helpers (ssh,
    remote helpers).
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        timeout: timedelta,
        global_config: Path | None,
        temporary_dir: Path | None = None,
        confine: Confine | None = None,
    ) -> None:
        """Run nothing yet.

        Args:
            environment: The variables for every command.
            timeout: The time limit of one command.
            global_config: Replaces the user's git configuration; `None` leaves it.
            temporary_dir: Where callers create temporary files; `None` is the system's default.
            confine: Keeps commands in a workspace to the workspace and their git directory, so
                that links which an agent left there lead nowhere, and a program that git can be
                made to run reaches nothing; `None` does not.
        """
        self.environment = {**environment, **_FIXED_VARIABLES}
        if global_config is not None:
            self.environment["GIT_CONFIG_GLOBAL"] = str(global_config)
        self.timeout = timeout
        self.temporary_dir = temporary_dir
        self._confine = confine
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._is_stopped = False
        # Set while a caller waits for others that work in this folder.
        self.awaited_folder: Path | None = None

    @property
    def running_pid(self) -> int | None:
        """The process of the running command; `None` between commands."""
        running = self._running
        return None if running is None else running.pid

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called, so that no further command starts."""
        return self._is_stopped

    def run(
        self,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        accept: Collection[int] = (0,),
        secrets: Sequence[str] = (),
        first_bytes: int | None = None,
    ) -> bytes:
        """Run one command and return its standard output.

        Args:
            arguments: The subcommand and its arguments.
            cwd: The working directory.
            env: Additional variables for this command.
            settings: Additional git configuration.  It is passed in the environment, which other
                users of the machine cannot read.
            stdin: The standard input.
            accept: Exit codes that are not errors.
            secrets: Texts to redact from the error output.
            first_bytes: How much of the output is wanted; the command is ended if it prints more.

        Raises:
            GitFailed: If it exits with another code, takes too long, or `stop` was called.
            WorkspaceError: If git is not installed.
        """
        subcommand = arguments[0]
        variables = {**(env or {}), **_config_variables(settings or {})}
        environment = {**self.environment, **variables}
        config = _FIXED_CONFIG
        prefix: list[str] = []
        # Commands on a repository that an agent can write name its git directory explicitly.
        git_dir = variables.get("GIT_DIR")
        if git_dir is not None:
            config += _WORKSPACE_CONFIG
            if self._confine is not None:
                directories = {cwd, Path(git_dir)}
                prefix = self._confine([
                    one for one in directories if not directories & {*one.parents}
                ])  # fmt: skip
                environment = {**self._confined_environment(), **variables}
        options = [part for setting in config for part in ("-c", setting)]
        handle = self._start([*prefix, "git", *options, *arguments], environment, cwd)
        process: subprocess.Popen[bytes] | None = handle.proc
        if process is None:
            raise GitFailed(subcommand, None, "did not start")
        most = _MAX_OUTPUT_BYTES if first_bytes is None else first_bytes
        try:
            out, err = communicate(process, stdin, limit=self.timeout, max_bytes=most)
        except subprocess.TimeoutExpired as error:
            _end_process(process)
            raise GitFailed(subcommand, None, "took too long") from error
        except TooMuchOutput as error:
            _end_process(process)
            if first_bytes is not None:
                return error.printed[:first_bytes]
            raise GitFailed(subcommand, None, "printed too much") from error
        finally:
            with self._lock:
                self._running = None
        stderr = redact(err.decode(errors="replace"), secrets=secrets)
        status = process.returncode
        if prefix and status > _FIRST_SIGNAL_STATUS + 1:
            status = _FIRST_SIGNAL_STATUS - status
        if status not in accept:
            if self._is_stopped:
                stderr = "was stopped"
            raise GitFailed(subcommand, status, stderr)
        return out

    def run_text(self, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> str:
        """Run one command and return its output as text, without trailing newlines."""
        return self.run(*arguments, cwd=cwd, env=env).decode(errors="replace").rstrip("\n")

    def _confined_environment(self) -> dict[str, str]:
        names = _CONFINED_VARIABLES | _FIXED_VARIABLES.keys()
        return {name: value for name, value in self.environment.items() if name in names}

    def stop(self) -> None:
        """Kill the running command, and prevent further ones from starting."""
        with self._lock:
            self._is_stopped = True
            running = self._running
            if running is not None and running.poll() is None:
                _kill_process_group(running)

    def _start(
        self, command: list[str], environment: Mapping[str, str], cwd: Path
    ) -> GitProgram.AutoInterrupt:
        # GitPython passes on the whole environment of this process.  `env -u` removes what git
        # must not see; it takes only names, so no value shows in a list of processes.
        unset_options = [part for name in names_to_unset(environment) for part in ("-u", name)]
        with self._lock:
            if self._is_stopped:
                raise GitFailed(command[-1], None, "was stopped")
            try:
                handle = GitProgram(str(cwd)).execute(
                    ["env", *unset_options, *command],
                    istream=subprocess.PIPE,
                    as_process=True,
                    env=environment,
                    start_new_session=True,
                )
            except GitCommandNotFound as error:
                raise WorkspaceError(
                    "git is not installed",
                    user_message="git is missing on the worker. Install it, then start again.",
                ) from error
            self._running = handle.proc
        return handle


def _config_variables(settings: Mapping[str, str]) -> dict[str, str]:
    numbered = {"GIT_CONFIG_COUNT": str(len(settings))} if settings else {}
    for index, (name, value) in enumerate(settings.items()):
        numbered[f"GIT_CONFIG_KEY_{index}"] = name
        numbered[f"GIT_CONFIG_VALUE_{index}"] = value
    return numbered


def _end_process(process: subprocess.Popen[bytes]) -> None:
    _kill_process_group(process)
    try:
        process.wait(timeout=_EXIT_LIMIT.total_seconds())
    except subprocess.TimeoutExpired:
        log.warning(
            "git process %s does not end",
            process.pid,
            extra={"event": "git_process.kill_timed_out", "pid": process.pid},
        )


def _kill_process_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
