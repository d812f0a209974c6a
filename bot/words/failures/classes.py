"""The words for classes of failures, and for what helps: one table per enum, each complete."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.words.runs.failures import FAILURES, cause_title
from core.domain.failures.advice import Advice
from core.domain.failures.failed_attempt import FailedAttempt
from core.domain.failures.failure_class import FailureClass

# What failed, as a title without markup; of a failure with a known cause that says more.
CLASS_TITLES: Mapping[FailureClass, str] = MappingProxyType(
    {
        FailureClass.TRANSIENT: "The model's API failed",
        FailureClass.OVERLOADED: "The model's API is overloaded",
        FailureClass.USAGE_LIMIT: "The account's usage limit is reached",
        FailureClass.AUTHENTICATION: "The worker's credentials are not accepted",
        FailureClass.REJECTED: "The model's API rejected the request",
        FailureClass.CONTEXT_TOO_LONG: "The conversation is too long for the model",
        FailureClass.REFUSAL: "The model refused the task",
        FailureClass.MAX_TURNS: "The turn limit was reached",
        FailureClass.BUDGET: "The cost limit was reached",
        FailureClass.TIMEOUT: "The time limit was reached",
        FailureClass.AGENT_CRASH: "The agent program failed",
        FailureClass.NO_RESULT: "The agent program ended without a result",
        FailureClass.MIRROR_FAILED: "A part of the conversation could not be stored",
        FailureClass.WORKSPACE: "The workspace could not be prepared",
        FailureClass.DISK_FULL: "The worker's disk is full",
        FailureClass.SETUP: "The run could not be set up",
        FailureClass.WORKER_LOST: "The worker was lost",
        FailureClass.UNKNOWN: "It failed for an unknown reason",
    }
)

# What to do, as sentences that hold on every surface.
ADVICE_WORDS: Mapping[Advice, str] = MappingProxyType(
    {
        Advice.CONTINUE_LATER: "This mostly passes: wait some minutes, then continue the run.",
        Advice.CONTINUE_AFTER_RESET: "Wait until the limit has reset, then continue the run.",
        Advice.FIX_CREDENTIALS: "An admin replaces the worker's credentials, or adds credit to the "
        "account; then continue the run.",
        Advice.CHANGE_REQUEST: "Start a new run with another model, or without what the API "
        "objects to.",
        Advice.START_SMALLER: "Start a new run with a smaller part of the task.",
        Advice.REPHRASE: "Start a new run with the task in other words, or with another model.",
        Advice.ADD_TURNS: "Continue the run with more turns.",
        Advice.ADD_BUDGET: "Look at what it did; if that is worth more, continue the run.",
        Advice.ADD_TIME: "Check that it was not going in circles; then continue the run.",
        Advice.CONTINUE: "Continue the run; if it fails the same way, an admin looks at the "
        "worker's log.",
        Advice.RECOVER: "Go on in a recovery leg: a new conversation that begins with a summary of "
        "this one, on the files as they are.",
        Advice.FIX_REPOSITORY: "Check the repository's address, its branch, and who may read it.",
        Advice.FREE_DISK: "Free some space on the worker's disk, then continue the run.",
        Advice.FIX_WORKER: "An admin runs signalbox doctor on the worker.",
    }
)


def failed_title(failed: FailedAttempt) -> str:
    """What failed in an attempt, as plain text without markup."""
    if failed.cause is not None and failed.failure_class is not FailureClass.MIRROR_FAILED:
        return cause_title(failed.cause, failed.subject)
    return CLASS_TITLES[failed.failure_class]


def failed_advice(failed: FailedAttempt) -> str:
    """What to do about a failure, as sentences that hold on every surface."""
    if failed.cause is not None and failed.failure_class is not FailureClass.MIRROR_FAILED:
        return FAILURES[failed.cause].remedy
    return ADVICE_WORDS[failed.advice]
