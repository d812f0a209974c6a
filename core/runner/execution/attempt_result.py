"""What the end of an attempt means, and what people read about its failures.  Pure."""

from __future__ import annotations

import errno

from core.agent.attempt_result import AttemptResult, determine_attempt_result
from core.agent.protocol import AgentFailed
from core.domain.errors import OpsError
from core.domain.failure_cause import FailureCause
from core.domain.runs.failure_analysis import FailureAnalysis
from core.domain.runs.run import Run, StopReason
from core.runner.execution.attempt import Attempt, Cause, Failure
from core.workspace.errors import WorkspaceError


def attempt_result_of(attempt: Attempt, failure: Failure | None) -> AttemptResult:
    """Say why an attempt stopped: a kill, a failure before the agent worked, or the agent's end."""
    if attempt.cause is Cause.KILL:
        return AttemptResult(stop_reason=StopReason.KILLED, result=None, error=None)
    if failure is not None and failure.stop_reason is not StopReason.AGENT_ERROR:
        return AttemptResult(
            stop_reason=failure.stop_reason,
            result=None,
            error=failure.error.user_message,
            analysis=FailureAnalysis.of_error(failure.error),
        )
    return determine_attempt_result(
        result=attempt.progress.result,
        texts=attempt.progress.texts,
        is_timed_out=attempt.cause is Cause.TIMEOUT,
        failure=failure.error if failure and isinstance(failure.error, AgentFailed) else None,
        rate_limit=attempt.progress.rate_limit,
    )


def failure_of_os(error: OSError) -> Failure:
    """The failure that an error of the operating system causes."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(
            stop_reason=StopReason.WORKSPACE_ERROR,
            error=WorkspaceError(
                "disk full",
                cause=FailureCause.DISK_FULL,
                user_message="The worker's disk is full. Free some space on it (old workspaces "
                "first), then continue the run; one that had not begun is started again.",
            ),
        )
    return Failure(
        stop_reason=StopReason.SETUP_ERROR,
        error=OpsError(
            f"operating system: {error}",
            user_message="The worker could not set the run up (an error of its operating system). "
            "Its log has the details. Once that is fixed, continue the run; one that had not "
            "begun is started again.",
        ),
    )


def unexpected_error(run: Run) -> OpsError:
    """The error that a person sees when Signalbox itself has a defect."""
    return OpsError(
        f"unexpected failure of {run.run_id}",
        user_message="Signalbox failed while it set this run up; that is a defect of its own. The "
        f"worker's log has the details under {run.run_id}. Nothing is left running.",
    )


def unrecorded_outcome(run: Run) -> OpsError:
    """The error that a person sees when Signalbox could not store how a run ended."""
    return OpsError(
        f"outcome of {run.run_id} not recorded",
        user_message="How this run ended could not be recorded; that is a defect of Signalbox. The "
        f"worker's log has the details under {run.run_id}. Nothing is left running; what the agent "
        "said and committed is kept.",
    )
