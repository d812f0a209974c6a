from __future__ import annotations

import pytest
from claude_agent_sdk import CLIConnectionError, ProcessError

from core.agent.failure import agent_failure
from core.agent.protocol import AgentFailed

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


@pytest.mark.parametrize(("status", "expected"), [(-9, -9), (137, -9), (143, -15), (128, 128)])
def test_a_signal_is_found_in_the_supervisors_status_too(status: int, expected: int) -> None:
    failure = agent_failure("crashed", ProcessError("Command failed", exit_code=status), "")

    assert failure.exit_code == expected


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [(3, "crashed (exit code 3)"), (-9, "crashed (ended by SIGKILL)"), (None, "crashed"),
     (-60, "crashed (ended by signal 60)")],
)  # fmt: skip
def test_the_words_name_the_exit_status_or_the_signal(exit_code: int | None, words: str) -> None:
    assert str(AgentFailed("crashed", exit_code=exit_code)) == words


def test_another_cause_is_named_without_its_text() -> None:
    failure = agent_failure(WHAT, connection_error_from(BrokenPipeError("/secret/path")), "")

    assert f"{WHAT} (BrokenPipeError)" in str(failure)
    assert "secret" not in str(failure)
    assert failure.exit_code is None
