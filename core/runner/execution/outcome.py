"""What an execution says to its agent, and what its end means.  Pure."""

from __future__ import annotations

import errno

from core.agent.outcome import Outcome, determine_outcome
from core.agent.protocol import AgentFailed
from core.domain.errors import OpsError
from core.domain.runs.run import Run, StopReason
from core.runner.execution.attempt import Attempt, Cause, Failure
from core.runner.execution.history import SessionHistory

RESUME_PROMPT = (
    "Your work was interrupted because the machine it ran on was restarted. Look at the state "
    "of the workspace and go on with the task from where you stopped."
)


def prompt_of(run: Run, history: SessionHistory) -> str:
    """What this attempt says to the agent first."""
    if history.has_received_task:
        return RESUME_PROMPT
    if run.parent_run_id is not None and not history.has_transcript:
        # The earlier runs ended before the agent received the task.
        return (
            history.first_task
            if run.task_input == history.first_task
            else (f"{history.first_task}\n\n{run.task_input}")
        )
    return run.task_input


def outcome_of(attempt: Attempt, failure: Failure | None) -> Outcome:
    """Why an attempt stopped: ended from outside, failed early, or by the agent's own account."""
    if attempt.cause is Cause.KILL:
        return Outcome(stop_reason=StopReason.KILLED, result=None, error=None)
    if failure is not None and failure.stop_reason is not StopReason.AGENT_ERROR:
        return Outcome(
            stop_reason=failure.stop_reason, result=None, error=failure.error.user_message
        )
    return determine_outcome(
        result=attempt.progress.result,
        texts=attempt.progress.texts,
        is_timed_out=attempt.cause is Cause.TIMEOUT,
        failure=failure.error if failure and isinstance(failure.error, AgentFailed) else None,
        rate_limit=attempt.progress.rate_limit,
    )


def failure_of_os(error: OSError) -> Failure:
    """What an error of the operating system means to a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(
            stop_reason=StopReason.WORKSPACE_ERROR,
            error=OpsError(
                "disk full",
                user_message="The worker's disk is full. Free some space on it (old workspaces "
                "first), then continue the run; one that had not begun is started again.",
            ),
        )
    return Failure(
        stop_reason=StopReason.SETUP_ERROR,
        error=OpsError(
            f"operating system: {error}",
            user_message="The worker could not set the run up (an error of its operating system). "
            "Its log has the details. Once that is mended, continue the run; one that had not "
            "begun is started again.",
        ),
    )


def unexpected_error(run: Run) -> OpsError:
    """A fault of our own, as told to a person."""
    return OpsError(
        f"unexpected failure of {run.run_id}",
        user_message="Signalbox failed while it set this run up; that is a fault of ours. The "
        f"worker's log has the details under {run.run_id}. Nothing is left running.",
    )
