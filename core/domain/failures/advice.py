"""What helps against a failure, as a word that each surface puts in its own way.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from core.domain.failure_cause import FailureCause
from core.domain.failures.failure_class import FailureClass


class Advice(StrEnum):
    """What a person does about a failure that is not tried again by itself."""

    CONTINUE_LATER = "continue_later"
    CONTINUE_AFTER_RESET = "continue_after_reset"
    FIX_CREDENTIALS = "fix_credentials"
    CHANGE_REQUEST = "change_request"
    START_SMALLER = "start_smaller"
    REPHRASE = "rephrase"
    ADD_TURNS = "add_turns"
    ADD_BUDGET = "add_budget"
    ADD_TIME = "add_time"
    CONTINUE = "continue"
    RECOVER = "recover"
    FIX_REPOSITORY = "fix_repository"
    FREE_DISK = "free_disk"
    FIX_WORKER = "fix_worker"


ADVICE_OF_CLASS: Mapping[FailureClass, Advice] = MappingProxyType(
    {
        FailureClass.TRANSIENT: Advice.CONTINUE_LATER,
        FailureClass.OVERLOADED: Advice.CONTINUE_LATER,
        FailureClass.USAGE_LIMIT: Advice.CONTINUE_AFTER_RESET,
        FailureClass.AUTHENTICATION: Advice.FIX_CREDENTIALS,
        FailureClass.REJECTED: Advice.CHANGE_REQUEST,
        FailureClass.CONTEXT_TOO_LONG: Advice.START_SMALLER,
        FailureClass.REFUSAL: Advice.REPHRASE,
        FailureClass.MAX_TURNS: Advice.ADD_TURNS,
        FailureClass.BUDGET: Advice.ADD_BUDGET,
        FailureClass.TIMEOUT: Advice.ADD_TIME,
        FailureClass.AGENT_CRASH: Advice.CONTINUE,
        FailureClass.NO_RESULT: Advice.CONTINUE,
        FailureClass.MIRROR_FAILED: Advice.RECOVER,
        FailureClass.WORKSPACE: Advice.FIX_REPOSITORY,
        FailureClass.DISK_FULL: Advice.FREE_DISK,
        FailureClass.SETUP: Advice.FIX_WORKER,
        FailureClass.WORKER_LOST: Advice.CONTINUE,
        FailureClass.UNKNOWN: Advice.CONTINUE,
    }
)
_ADVICE_OF_CAUSE: Mapping[FailureCause, Advice] = MappingProxyType(
    {
        FailureCause.NOT_WRITABLE: Advice.FIX_WORKER,
        FailureCause.CONVERSATION_MISSING: Advice.RECOVER,
        FailureCause.CONVERSATION_DAMAGED: Advice.RECOVER,
        FailureCause.OUTPUT_LIMIT: Advice.START_SMALLER,
    }
)


def advice_on(failure_class: FailureClass, cause: FailureCause | None) -> Advice:
    """What helps against a failure of this class and cause."""
    special = None if cause is None else _ADVICE_OF_CAUSE.get(cause)
    return special or ADVICE_OF_CLASS[failure_class]
