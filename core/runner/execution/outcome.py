"""What an execution says to its agent, and what its end means.  Pure."""

from __future__ import annotations

import errno

from core.agent.outcome import Outcome, judge
from core.agent.protocol import AgentFailed
from core.domain.errors import OpsError
from core.domain.runs.run import Run, StopReason
from core.runner.execution.attempt import Cause, Leg
from core.runner.execution.ledger import Past

RESUMED = (
    "Your work was interrupted because the machine it ran on was restarted. Look at the state "
    "of the workspace and go on with the task from where you stopped."
)


def prompt_of(run: Run, past: Past) -> str:
    """What this attempt says to the agent first."""
    if past.has_heard:
        return RESUMED
    if run.parent_run_id is not None and not past.has_transcript:
        # The earlier legs ended before the agent heard of the task.
        return (
            past.first_task
            if run.task_input == past.first_task
            else (f"{past.first_task}\n\n{run.task_input}")
        )
    return run.task_input


def outcome_of(leg: Leg) -> Outcome:
    """Why a leg stopped: ended from outside, never really begun, or by the agent's own account."""
    failure = leg.failure
    if leg.cause is Cause.KILL:
        return Outcome(stop_reason=StopReason.KILLED, result=None, error=None)
    if failure is not None and failure[0] is not StopReason.AGENT_ERROR:
        return Outcome(stop_reason=failure[0], result=None, error=failure[1].user_message)
    return judge(
        result=leg.progress.result,
        texts=leg.progress.texts,
        timed_out=leg.cause is Cause.TIMEOUT,
        failure=failure[1] if failure and isinstance(failure[1], AgentFailed) else None,
        rate_limit=leg.progress.rate_limit,
    )


def os_failure(error: OSError) -> tuple[StopReason, OpsError]:
    """What an error of the operating system means to a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StopReason.WORKSPACE_ERROR, OpsError(
            "disk full",
            user_message="The worker's disk is full. Free some space on it (old workspaces first), "
            "then continue the run; one that had not begun is started again.",
        )
    return StopReason.SETUP_ERROR, OpsError(
        f"operating system: {error}",
        user_message="The worker could not set the run up (an error of its operating system). "
        "Its log has the details. Once that is mended, continue the run; one that had not begun is "
        "started again.",
    )


def unexpected(run: Run) -> OpsError:
    """A fault of our own, as told to a person."""
    return OpsError(
        f"unexpected failure of {run.run_id}",
        user_message="Signalbox failed while it set this run up; that is a fault of ours. The "
        f"worker's log has the details under {run.run_id}. Nothing is left running.",
    )
