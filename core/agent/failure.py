"""What an error of the SDK means, in our words."""

from __future__ import annotations

import re

from claude_agent_sdk import (
    CLIConnectionError,
    CLIJSONDecodeError,
    CLINotFoundError,
    ProcessError,
    ResultError,
)

from core.agent.protocol import AgentFailed, TranscriptMissing
from core.domain.redact import redact

_ROOT_REFUSED = "cannot be used with root"
_SESSION_NOT_FOUND = "No conversation found"
_MAX_ERROR_CHARS = 300
# How the SDK words that there is nobody to write to any more.
_EXIT_CODE = re.compile(r"\(exit code: (-?\d+)\)")


def agent_failure(problem: str, error: Exception | None, stderr_tail: str) -> AgentFailed:
    """Build the error for a program that `what` ("crashed", "could not be started")."""
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
    if isinstance(error, CLINotFoundError):
        return AgentFailed(
            "is not installed",
            stderr_tail=stderr_tail,
            hint="Install Signalbox again: the program comes with it.",
        )
    if isinstance(error, CLIJSONDecodeError):
        problem = "said something that cannot be read"
    elif isinstance(error, ResultError):
        problem = f"{problem}: {redact(str(error))[:_MAX_ERROR_CHARS]}"
    elif isinstance(error, CLIConnectionError) and not isinstance(
        error.__cause__, ProcessError | None
    ):
        # Its own text names paths; the cause's first words do not.
        problem = f"{problem} ({type(error.__cause__).__name__})"
    return AgentFailed(problem, exit_code=exit_code, stderr_tail=stderr_tail)


def _exit_code(error: Exception | None) -> int | None:
    """The status the program ended with, if the error tells it, in whichever way it does.

    Whether the SDK reads its end first or fails to write to it is a race.
    """
    if error is None:
        return None
    for one in (error, error.__cause__):
        if isinstance(one, ProcessError):
            return one.exit_code
    match = _EXIT_CODE.search(str(error))
    return int(match[1]) if match else None
