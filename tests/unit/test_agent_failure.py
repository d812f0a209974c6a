from __future__ import annotations

import pytest
from claude_agent_sdk import CLIConnectionError, ProcessError, ResultError

from core.agent.protocol import AgentFailed
from core.agent.results.failure import ErrorOutput, agent_failure

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


def _output(*lines: str, secrets: tuple[str, ...] = ()) -> ErrorOutput:
    output = ErrorOutput(secrets)
    for line in lines:
        output.add(line)
    return output


@pytest.mark.parametrize("before", range(440, 500, 6))
def test_a_secret_across_the_cut_of_a_long_line_is_not_shown_in_part(before: int) -> None:
    key = f"sk-ant-api03-{'Zq8' * 30}"
    output = _output(f"{'word ' * (before // 5)}{key} and more")

    assert "sk-ant" not in output.tail
    assert "Zq8" not in output.tail


def test_the_first_half_of_a_known_secret_does_not_move_into_sight() -> None:
    known = "Correct" + "horse" * 60
    # What is replaced in front moves the rest forward, and with it the cut.
    output = _output(f"{f'{known} ' * 10}{known}", secrets=(known,))

    assert "horse" not in output.tail


def test_a_key_in_many_lines_is_still_one_key() -> None:
    body = ["".join(f"{row:02}abcdefGH{column}" for column in range(6))[:64] for row in range(5)]
    output = _output("-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----")

    assert "abcdef" not in output.tail


def test_a_long_line_keeps_its_beginning_and_no_line_is_longer() -> None:
    output = _output("x" * 9_000, "short", f"{'word ' * 900}end")

    first, second, third = output.tail.split("\n")
    assert (first, second) == ("x" * 500, "short")
    assert third.startswith("word word")
    assert len(third) <= 500


def test_a_known_secret_is_not_part_of_the_words_about_an_error() -> None:
    output = _output(secrets=("correct horse battery",))

    failure = output.failure("crashed", ResultError("no access with correct horse battery"))

    assert "horse" not in str(failure)
