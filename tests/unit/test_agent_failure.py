from __future__ import annotations

import pytest
from claude_agent_sdk import CLIConnectionError, ProcessError

from core.agent.failure import agent_failure

WHAT = "could not be started"


def connection_error_from(cause: BaseException) -> CLIConnectionError:
    error = CLIConnectionError("Cannot write")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        ProcessError("Command failed with exit code 3", exit_code=3),
        CLIConnectionError("Cannot write to terminated process (exit code: 3)"),
        connection_error_from(ProcessError("Command failed", exit_code=3)),
    ],
    ids=["read", "unwritten", "written-after"],
)
def test_the_exit_code_is_found_in_every_kind_of_error(error: Exception) -> None:
    failure = agent_failure(WHAT, error, "oops")

    assert failure.exit_code == 3
    assert WHAT in str(failure)
    assert failure.stderr_tail == "oops"


def test_another_cause_is_named_without_its_text() -> None:
    failure = agent_failure(WHAT, connection_error_from(BrokenPipeError("/secret/path")), "")

    assert f"{WHAT} (BrokenPipeError)" in str(failure)
    assert "secret" not in str(failure)
    assert failure.exit_code is None
