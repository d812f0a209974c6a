"""What the end of an attempt means, and what people read about its failures.  Pure."""

from __future__ import annotations

import errno
from datetime import datetime
from typing import Any
from uuid import uuid4

from core.agent.protocol import AgentFailed
from core.agent.results.attempt_result import AttemptResult, determine_attempt_result
from core.domain.errors import OpsError
from core.domain.failure_cause import FailureCause
from core.domain.runs.failure_analysis import FAILURE_KEY, FailureAnalysis
from core.domain.runs.outcome import READ_ONLY_KEY
from core.domain.runs.run import Run, StopReason
from core.domain.runs.session import Message, MessageRole, MessageType
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


def run_metadata(attempt: Attempt, end: AttemptResult) -> dict[str, Any]:
    """Metadata of a run that has no columns: limits, the cause of a failure."""
    found: dict[str, Any] = {}
    if attempt.definition.read_only:
        found[READ_ONLY_KEY] = True
    if end.resets_at is not None:
        found["usage_limit_resets_at"] = end.resets_at.isoformat()
    if end.analysis is not None:
        found[FAILURE_KEY] = end.analysis.to_json()
    return found


def result_message(run: Run, result: str, now: datetime) -> Message:
    """The report of an attempt as a message of its session."""
    return Message(
        id=uuid4(),
        session_id=run.session_id,
        role=MessageRole.ASSISTANT,
        message_type=MessageType.RESULT,
        text_content=result,
        created_at=now,
        run_id=run.id,
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


def start_failed(run: Run) -> OpsError:
    """The error that a person sees when no worker could begin a run."""
    return OpsError(
        f"{run.run_id} could not be started",
        user_message="Signalbox failed several times while it started this run; that is a defect "
        f"of its own. The workers' logs have the details under {run.run_id}. Once that is fixed, "
        "continue the run; one that had not begun is started again.",
    )


def reassignment_failed(run: Run) -> OpsError:
    """The error that a person sees when a run cannot be taken over from its lost worker."""
    return OpsError(
        f"{run.run_id} could not be reassigned",
        user_message="The worker of this run was lost, and another one could not take it over; "
        f"that is a defect of Signalbox. The workers' logs have the details under {run.run_id}. "
        "What the agent said and committed until then is kept: continue the run to go on from "
        "there.",
    )


def unrecorded_outcome(run: Run) -> OpsError:
    """The error that a person sees when Signalbox could not store how a run ended."""
    return OpsError(
        f"outcome of {run.run_id} not recorded",
        user_message="How this run ended could not be recorded; that is a defect of Signalbox. The "
        f"worker's log has the details under {run.run_id}. Nothing is left running; what the agent "
        "said and committed is kept.",
    )
