"""The class of a failure, from what was reported in a structured form.  Pure.

What the agent wrote never decides: the stop reason comes from the worker and from the agent
program's result, the cause from HTTP statuses, error codes and the program's own error texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.domain.failure_cause import FailureCause
from core.domain.failures.failure_class import FailureClass
from core.domain.runs.run import StopReason

CLASS_OF_CAUSE: Mapping[FailureCause, FailureClass] = MappingProxyType(
    {
        FailureCause.NO_CREDENTIALS: FailureClass.AUTHENTICATION,
        FailureCause.CREDENTIALS_REFUSED: FailureClass.AUTHENTICATION,
        FailureCause.ACCESS_DENIED: FailureClass.AUTHENTICATION,
        FailureCause.NO_CREDIT: FailureClass.AUTHENTICATION,
        FailureCause.UNKNOWN_MODEL: FailureClass.REJECTED,
        FailureCause.OUTPUT_LIMIT: FailureClass.REJECTED,
        FailureCause.REQUEST_REJECTED: FailureClass.REJECTED,
        FailureCause.USAGE_LIMIT: FailureClass.USAGE_LIMIT,
        FailureCause.REFUSAL: FailureClass.REFUSAL,
        FailureCause.PROMPT_TOO_LONG: FailureClass.CONTEXT_TOO_LONG,
        FailureCause.REQUEST_TOO_LARGE: FailureClass.CONTEXT_TOO_LONG,
        FailureCause.OVERLOADED: FailureClass.OVERLOADED,
        FailureCause.RATE_LIMIT: FailureClass.TRANSIENT,
        FailureCause.API_FAILED: FailureClass.TRANSIENT,
        FailureCause.API_UNREACHABLE: FailureClass.TRANSIENT,
        # Probably not the API at all: a login page, a wrong address.
        FailureCause.BAD_ANSWER: FailureClass.SETUP,
        FailureCause.REPOSITORY_UNREACHABLE: FailureClass.WORKSPACE,
        FailureCause.REPOSITORY_DENIED: FailureClass.WORKSPACE,
        FailureCause.REPOSITORY_MISSING: FailureClass.WORKSPACE,
        FailureCause.NOT_A_REPOSITORY: FailureClass.WORKSPACE,
        FailureCause.REPOSITORY_NOT_ALLOWED: FailureClass.WORKSPACE,
        FailureCause.UNKNOWN_HOST_KEY: FailureClass.WORKSPACE,
        FailureCause.BRANCH_MISSING: FailureClass.WORKSPACE,
        FailureCause.NOT_WRITABLE: FailureClass.WORKSPACE,
        FailureCause.DISK_FULL: FailureClass.DISK_FULL,
        FailureCause.PROGRAM_CRASHED: FailureClass.AGENT_CRASH,
        FailureCause.PROGRAM_UNREADABLE: FailureClass.AGENT_CRASH,
        FailureCause.CONVERSATION_MISSING: FailureClass.SETUP,
        FailureCause.CONVERSATION_DAMAGED: FailureClass.SETUP,
        FailureCause.ISOLATION_MISSING: FailureClass.SETUP,
        FailureCause.WORKFLOW_MISSING: FailureClass.SETUP,
    }
)
# Of a failure without a known cause.  `None`: that end is no failure.
CLASS_OF_REASON: Mapping[StopReason, FailureClass | None] = MappingProxyType(
    {
        StopReason.SUCCESS: None,
        StopReason.KILLED: None,
        StopReason.MAX_TURNS: FailureClass.MAX_TURNS,
        StopReason.BUDGET: FailureClass.BUDGET,
        StopReason.TIMEOUT: FailureClass.TIMEOUT,
        StopReason.USAGE_LIMIT: FailureClass.USAGE_LIMIT,
        StopReason.API_ERROR: FailureClass.TRANSIENT,
        StopReason.AGENT_ERROR: FailureClass.UNKNOWN,
        StopReason.NO_RESULT: FailureClass.NO_RESULT,
        StopReason.WORKER_LOST: FailureClass.WORKER_LOST,
        StopReason.WORKSPACE_ERROR: FailureClass.WORKSPACE,
        StopReason.SETUP_ERROR: FailureClass.SETUP,
    }
)
# These say more than any cause: a limit of the run ended it, whatever failed besides.
_DECIDING_REASONS = frozenset(
    {
        StopReason.MAX_TURNS,
        StopReason.BUDGET,
        StopReason.TIMEOUT,
        StopReason.USAGE_LIMIT,
        StopReason.WORKER_LOST,
    }
)


def class_of(
    stop_reason: StopReason, cause: FailureCause | None, *, is_conversation_incomplete: bool = False
) -> FailureClass | None:
    """The class of the failure that ended an attempt; `None` if it did not fail.

    Args:
        stop_reason: Why it stopped.
        cause: Its cause, if that is known.
        is_conversation_incomplete: Whether a part of its conversation could not be stored.  Then
            the conversation cannot be resumed, which matters more than what the agent failed for.
    """
    by_reason = CLASS_OF_REASON[stop_reason]
    if by_reason is None:
        return None
    if is_conversation_incomplete:
        return FailureClass.MIRROR_FAILED
    if cause is None or stop_reason in _DECIDING_REASONS:
        return by_reason
    return CLASS_OF_CAUSE[cause]
