"""Failures of the agent program: its error output, and the SDK's errors as `AgentFailed`."""

from __future__ import annotations

import re
import signal
from collections import deque
from collections.abc import Collection

from claude_agent_sdk import (
    CLIConnectionError,
    CLIJSONDecodeError,
    CLINotFoundError,
    ProcessError,
    ResultError,
)

from core.agent.protocol import AgentFailed, TranscriptMissing
from core.domain.failure_cause import FailureCause
from core.domain.redact import redact

_ROOT_REFUSED = "cannot be used with root"
_SESSION_NOT_FOUND = "No conversation found"
# What `bwrap` prints when it fails before it starts the program.
_ISOLATION_FAILED = re.compile(r"^bwrap: ", re.MULTILINE)
# Characters of a line that are kept beyond what is shown, and the mark of a line that goes on: a
# secret is recognised only as a whole.
_REDACTION_MARGIN = 1_000
_CUT = "\0"
_MAX_ERROR_CHARS = 300
_MAX_STDERR_LINES = 60
_MAX_STDERR_LINE_CHARS = 500
# Part of the SDK's message when it writes to a program that has exited.
_EXIT_CODE = re.compile(r"\(exit code: (-?\d{1,9})\)")


class ErrorOutput:
    """The last of the agent program's error output, which explains its failures."""

    def __init__(self, secrets: Collection[str]) -> None:
        self._secrets = secrets
        self._lines: deque[str] = deque(maxlen=_MAX_STDERR_LINES)

    @property
    def tail(self) -> str:
        """The last 60 lines, redacted; of each the first 500 characters at most."""
        clean = redact("\n".join(self._lines), secrets=self._secrets)
        return "\n".join(_clip_redacted(line) for line in clean.split("\n"))

    def add(self, line: str) -> None:
        """Keep a line, without the end of a very long one."""
        kept = line[: _MAX_STDERR_LINE_CHARS + _REDACTION_MARGIN].replace(_CUT, " ")
        self._lines.append(kept if len(kept) == len(line) else f"{kept}{_CUT}")

    def failure(self, problem: str, error: Exception | None = None) -> AgentFailed:
        """Build the `AgentFailed` for a failure at this moment, see `agent_failure`."""
        return agent_failure(problem, error, self.tail, secrets=self._secrets)


def _clip_redacted(line: str) -> str:
    kept, cut, _ = line.partition(_CUT)
    if cut and len(kept) < _MAX_STDERR_LINE_CHARS + _REDACTION_MARGIN:
        # What was redacted has moved the cut forward; its last word may be half a secret.
        kept = kept[: max(kept.rfind(" "), 0)]
    return kept[:_MAX_STDERR_LINE_CHARS]


def agent_failure(
    problem: str, error: Exception | None, stderr_tail: str, *, secrets: Collection[str] = ()
) -> AgentFailed:
    """Build the `AgentFailed` for a failure of the agent program.

    Args:
        problem: A verb phrase that completes "the agent program …" ("crashed", "could not be
            started").  A more specific one replaces it if `error` or the output allows.
        error: What the SDK raised, if it raised something.
        stderr_tail: The last of the program's error output, redacted.
        secrets: Texts to redact from the words of `error`.
    """
    if isinstance(error, AgentFailed):
        return error
    output = f"{error}\n{stderr_tail}"
    if _SESSION_NOT_FOUND in output:
        return TranscriptMissing(stderr_tail=stderr_tail)
    exit_code = _exit_code(error)
    if _ROOT_REFUSED in output:
        return AgentFailed(
            "refused to bypass permissions as root",
            exit_code=exit_code,
            stderr_tail=stderr_tail,
            hint="Run the worker as an ordinary user, choose another permission mode for the "
            "workflow, or set IS_SANDBOX=1 for a worker whose machine may be lost.",
        )
    if _ISOLATION_FAILED.search(stderr_tail):
        return AgentFailed(
            "could not be isolated",
            cause=FailureCause.ISOLATION_MISSING,
            exit_code=exit_code,
            stderr_tail=stderr_tail,
            hint="bubblewrap failed on this worker; its log has the details.",
        )
    if isinstance(error, CLINotFoundError):
        return AgentFailed(
            "is not installed",
            stderr_tail=stderr_tail,
            hint="Install Signalbox again: the program comes with it.",
        )
    if isinstance(error, CLIJSONDecodeError):
        return AgentFailed(
            "said something that cannot be read",
            cause=FailureCause.PROGRAM_UNREADABLE,
            exit_code=exit_code,
            stderr_tail=stderr_tail,
        )
    if isinstance(error, ResultError):
        problem = f"{problem}: {redact(str(error), secrets=secrets)[:_MAX_ERROR_CHARS]}"
    elif isinstance(error, CLIConnectionError) and not isinstance(
        error.__cause__, ProcessError | None
    ):
        # The error's own text contains paths; the name of the cause's class does not.
        problem = f"{problem} ({type(error.__cause__).__name__})"
    return AgentFailed(problem, exit_code=exit_code, stderr_tail=stderr_tail)


def _exit_code(error: Exception | None) -> int | None:
    """Return the program's exit status, if the error carries it; negative for a signal.

    The supervisor of an isolated program reports its signal as a status above 128, as shells do,
    and so does the program itself after SIGINT and SIGTERM.

    The SDK either reads the end of the program's output or fails to write to its input first;
    the two errors carry the status in different forms.
    """
    if error is None:
        return None
    for candidate in (error, error.__cause__):
        if isinstance(candidate, ProcessError) and candidate.exit_code is not None:
            return _signal_if_any(candidate.exit_code)
    match = _EXIT_CODE.search(str(error))
    return _signal_if_any(int(match[1])) if match else None


def _signal_if_any(status: int) -> int:
    return 128 - status if 128 < status <= 128 + signal.NSIG else status
