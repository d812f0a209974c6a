"""What a run failed for, in finer classes than its stop reason."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class FailureCause(StrEnum):
    """The class of a failure; each has its own words and its own remedy."""

    # The model's API.
    NO_CREDENTIALS = "no_credentials"
    CREDENTIALS_REFUSED = "credentials_refused"
    ACCESS_DENIED = "access_denied"
    UNKNOWN_MODEL = "unknown_model"
    NO_CREDIT = "no_credit"
    USAGE_LIMIT = "usage_limit"
    RATE_LIMIT = "rate_limit"
    REFUSAL = "refusal"
    PROMPT_TOO_LONG = "prompt_too_long"
    REQUEST_TOO_LARGE = "request_too_large"
    OUTPUT_LIMIT = "output_limit"
    REQUEST_REJECTED = "request_rejected"
    OVERLOADED = "overloaded"
    API_FAILED = "api_failed"
    API_UNREACHABLE = "api_unreachable"
    BAD_ANSWER = "bad_answer"
    # The repository, and the disk of the worker.
    REPOSITORY_UNREACHABLE = "repository_unreachable"
    REPOSITORY_DENIED = "repository_denied"
    REPOSITORY_MISSING = "repository_missing"
    NOT_A_REPOSITORY = "not_a_repository"
    REPOSITORY_NOT_ALLOWED = "repository_not_allowed"
    UNKNOWN_HOST_KEY = "unknown_host_key"
    BRANCH_MISSING = "branch_missing"
    DISK_FULL = "disk_full"
    NOT_WRITABLE = "not_writable"
    # The agent program, and what it needs.
    PROGRAM_CRASHED = "program_crashed"
    PROGRAM_UNREADABLE = "program_unreadable"
    CONVERSATION_MISSING = "conversation_missing"
    CONVERSATION_DAMAGED = "conversation_damaged"
    ISOLATION_MISSING = "isolation_missing"
    WORKFLOW_MISSING = "workflow_missing"


_BY_STATUS: Mapping[int, FailureCause] = MappingProxyType(
    {
        401: FailureCause.CREDENTIALS_REFUSED,
        402: FailureCause.NO_CREDIT,
        403: FailureCause.ACCESS_DENIED,
        404: FailureCause.UNKNOWN_MODEL,
        413: FailureCause.REQUEST_TOO_LARGE,
        429: FailureCause.RATE_LIMIT,
        529: FailureCause.OVERLOADED,
    }
)
_BY_ERROR_TYPE: Mapping[str, FailureCause] = MappingProxyType(
    {
        "authentication_failed": FailureCause.CREDENTIALS_REFUSED,
        "billing_error": FailureCause.NO_CREDIT,
        "rate_limit": FailureCause.RATE_LIMIT,
        "overloaded": FailureCause.OVERLOADED,
        "server_error": FailureCause.API_FAILED,
    }
)


def retry_cause(status: int | None, error_type: str | None) -> FailureCause:
    """Tell why a call to the model's API failed which the agent program repeats.

    Args:
        status: The HTTP status; `None` if there was no answer.
        error_type: The program's class of the error.
    """
    known = _BY_STATUS.get(status or 0) or _BY_ERROR_TYPE.get(error_type or "")
    if known is not None:
        return known
    return FailureCause.API_UNREACHABLE if status is None else FailureCause.API_FAILED
