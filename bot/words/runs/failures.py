"""Words about the causes of failures: what it is, and what to do about it on any surface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bot.words import texts
from core.domain.failure_cause import FailureCause
from core.domain.runs.failure_analysis import FailureAnalysis
from core.domain.runs.run import Run

_MAX_SUBJECT_CHARS = 60


@dataclass(frozen=True, kw_only=True)
class FailureWords:
    """The words for one cause.  Each surface adds how to go on there.

    Attributes:
        title: What failed, as plain text.  May contain `{subject}`.
        nameless: The title if the subject is unknown.
        explanation: What it means, in one or two sentences.
        remedy: What to do, as sentences that hold on every surface.  The message of a run that
            could not be set up says it in more detail.
        is_same_again: Whether the same conversation fails again whatever is mended outside, so
            that only a new run helps.
        is_passing: Whether it mostly passes without anybody's doing.
    """

    title: str
    explanation: str
    remedy: str
    nameless: str = ""
    is_same_again: bool = False
    is_passing: bool = False


FAILURES: Mapping[FailureCause, FailureWords] = MappingProxyType(
    {
        FailureCause.NO_CREDENTIALS: FailureWords(
            title="The worker has no API key",
            explanation="The agent has no credentials for the model's API.",
            remedy="An admin sets ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN for the worker and "
            "restarts it.",
        ),
        FailureCause.CREDENTIALS_REFUSED: FailureWords(
            title="The API key is not valid",
            explanation="The model's API does not accept the worker's credentials (HTTP 401). "
            "Waiting does not help.",
            remedy="An admin replaces the worker's ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN "
            "and restarts it.",
        ),
        FailureCause.ACCESS_DENIED: FailureWords(
            title="The API key has no access",
            explanation="The model's API knows the worker's credentials, but they may not be used "
            "for this (HTTP 403). Waiting does not help.",
            remedy="An admin gives the key access in the provider's console, or sets another one "
            "for the worker.",
        ),
        FailureCause.UNKNOWN_MODEL: FailureWords(
            title="There is no model {subject}",
            nameless="The model does not exist",
            explanation="The model's API does not know this model, or the account may not use it "
            "(HTTP 404).",
            remedy="Start it again with another model, or correct the model of the workflow. If "
            "no model works, the address in ANTHROPIC_BASE_URL is wrong.",
            is_same_again=True,
        ),
        FailureCause.NO_CREDIT: FailureWords(
            title="The account has no credit left",
            explanation="The Claude account of the worker's API key has no credit, or its payment "
            "has failed. Waiting does not help.",
            remedy="Add credit to the account in the provider's console.",
        ),
        FailureCause.USAGE_LIMIT: FailureWords(
            title="The account's usage limit is reached",
            explanation="The Claude account has no usage left for now.",
            remedy="Wait until the limit has reset.",
        ),
        FailureCause.RATE_LIMIT: FailureWords(
            title="Too many requests to the model's API",
            explanation="The API, or a gateway before it, kept refusing further requests for now "
            "(HTTP 429). It is a limit of requests per minute, not the account's usage.",
            remedy="Wait some minutes. If it comes back, let fewer runs work at the same time, or "
            "have the limit raised.",
            is_passing=True,
        ),
        FailureCause.REFUSAL: FailureWords(
            title="The model refused the task",
            explanation="The model's safeguards stopped its answer. That can happen with a "
            "harmless task, too.",
            remedy="Start a new run with the task in other words, or with another model. The same "
            "conversation is probably refused again.",
            is_same_again=True,
        ),
        FailureCause.PROMPT_TOO_LONG: FailureWords(
            title="The conversation is too long for the model",
            explanation="The conversation, with the files and outputs in it, is longer than the "
            "model can read.",
            remedy="Start a new run with a smaller part of the task; ask it to read parts of large "
            "files only.",
            is_same_again=True,
        ),
        FailureCause.REQUEST_TOO_LARGE: FailureWords(
            title="The request is too large for the API",
            explanation="The files or images in the conversation are more than the API takes in "
            "one request (HTTP 413).",
            remedy="Start a new run that uses fewer or smaller ones. A gateway may have a limit of "
            "its own.",
            is_same_again=True,
        ),
        FailureCause.OUTPUT_LIMIT: FailureWords(
            title="The answer was longer than the model may write",
            explanation="The model's answers were cut at its output limit, several times in a row.",
            remedy="Ask it to work in smaller pieces, for example to write a large file in parts.",
        ),
        FailureCause.REQUEST_REJECTED: FailureWords(
            title="The model's API rejected the request",
            explanation="The API does not accept what the agent program sent. Waiting does not "
            "help.",
            remedy="The text below says what it objects to. Often it is an MCP server's tool, an "
            "image, or a gateway that does not know the program's version; without it a new run "
            "works.",
        ),
        FailureCause.OVERLOADED: FailureWords(
            title="The model's API is overloaded",
            explanation="The API has too much to do at present, and the agent's retries did not "
            "get through.",
            remedy="This mostly passes: wait some minutes.",
            is_passing=True,
        ),
        FailureCause.API_FAILED: FailureWords(
            title="The model's API failed",
            explanation="The API, or a gateway before it, kept failing although the agent tried "
            "again.",
            remedy="This mostly passes: wait some minutes. If it comes back, look at the API's "
            "status page, or at the gateway.",
            is_passing=True,
        ),
        FailureCause.API_UNREACHABLE: FailureWords(
            title="Cannot reach the model's API",
            explanation="The worker got no connection to the model's API, or no answer in time.",
            remedy="Check the worker's network, its proxy and firewall, and ANTHROPIC_BASE_URL.",
            is_passing=True,
        ),
        FailureCause.BAD_ANSWER: FailureWords(
            title="The model's API gave no usable answer",
            explanation="What answered is probably not the model's API: a proxy, a gateway or a "
            "login page in between.",
            remedy="Check ANTHROPIC_BASE_URL and the proxy of the worker.",
        ),
        FailureCause.REPOSITORY_UNREACHABLE: FailureWords(
            title="Cannot reach {subject}",
            nameless="Cannot reach the repository",
            explanation="The worker got no connection to the repository.",
            remedy="Check its address and the worker's network.",
        ),
        FailureCause.REPOSITORY_DENIED: FailureWords(
            title="No access to {subject}",
            nameless="No access to the repository",
            explanation="The repository's host does not let the worker read it.",
            remedy="Give the worker's user access: an SSH key, or a git credential helper.",
        ),
        FailureCause.REPOSITORY_MISSING: FailureWords(
            title="There is no repository {subject}",
            nameless="The repository does not exist",
            explanation="It does not exist, or the worker may not see it.",
            remedy="Check the address, and that the worker has access.",
        ),
        FailureCause.NOT_A_REPOSITORY: FailureWords(
            title="Not a git repository: {subject}",
            nameless="Not a git repository",
            explanation="What is at this address is no git repository.",
            remedy="Name a repository, or none to start with an empty one.",
        ),
        FailureCause.REPOSITORY_NOT_ALLOWED: FailureWords(
            title="May not be cloned: {subject}",
            nameless="This repository may not be cloned",
            explanation="The settings of this installation do not allow this repository.",
            remedy="An admin can list it under [repositories] in signalbox.toml.",
        ),
        FailureCause.UNKNOWN_HOST_KEY: FailureWords(
            title="Unknown SSH host key: {subject}",
            nameless="Unknown SSH host key",
            explanation="The worker does not know the host's SSH key, so it does not connect.",
            remedy="Add the key to the known_hosts of the worker's user.",
        ),
        FailureCause.BRANCH_MISSING: FailureWords(
            title="There is no branch {subject}",
            nameless="There is no such branch",
            explanation="The repository has no branch of this name.",
            remedy="Check the name, or leave the branch out.",
        ),
        FailureCause.DISK_FULL: FailureWords(
            title="The worker's disk is full",
            explanation="There was no space left on the disk of the worker.",
            remedy="Free some space there (old workspaces first).",
        ),
        FailureCause.NOT_WRITABLE: FailureWords(
            title="The worker cannot write its workspaces",
            explanation="The worker may not write to its workspace directory.",
            remedy="Give the worker's user the right to.",
        ),
        FailureCause.PROGRAM_CRASHED: FailureWords(
            title="The agent program failed ({subject})",
            nameless="The agent program failed",
            explanation="The program that runs the agent ended with an error. After SIGKILL the "
            "machine has probably run out of memory.",
            remedy="If it fails the same way again, an admin looks at the worker's log and memory.",
        ),
        FailureCause.PROGRAM_UNREADABLE: FailureWords(
            title="The agent program's output was unusable",
            explanation="Something wrote into the channel between the agent program and its "
            "worker, so the program was ended.",
            remedy="If it fails the same way again, a command of the agent writes there.",
        ),
        FailureCause.CONVERSATION_MISSING: FailureWords(
            title="The conversation is gone",
            explanation="The session has no stored conversation to go on with; its files are kept.",
            remedy="A recovery leg goes on in a new conversation, with a summary of what was said.",
            is_same_again=True,
        ),
        FailureCause.CONVERSATION_DAMAGED: FailureWords(
            title="The conversation is damaged",
            explanation="Parts of the session's stored conversation are missing, so its agent "
            "would not know all of it; its files are kept.",
            remedy="A recovery leg goes on in a new conversation, with a summary of what is left.",
            is_same_again=True,
        ),
        FailureCause.ISOLATION_MISSING: FailureWords(
            title="The worker cannot isolate agents",
            explanation="The run needs an isolated agent, and its worker cannot provide that.",
            remedy="An admin runs signalbox doctor on the worker.",
        ),
        FailureCause.WORKFLOW_MISSING: FailureWords(
            title="There is no workflow {subject} any more",
            nameless="The workflow is gone",
            explanation="The workflow's definition was removed while the run waited.",
            remedy="Choose another workflow, or restore the definition.",
            is_same_again=True,
        ),
    }
)


def cause_words(stored: object) -> FailureWords | None:
    """The words for a stored cause; `None` if it is unknown, as one of a newer version."""
    return next((words for cause, words in FAILURES.items() if cause.value == stored), None)


def failure_words(run: Run) -> FailureWords | None:
    """The words for the cause of a run's failure; `None` if it has not failed, or it is unknown."""
    analysis = FailureAnalysis.of_run(run)
    return None if analysis is None else FAILURES[analysis.cause]


def failure_title(run: Run) -> str | None:
    """What failed, as plain text without markup: "Cannot reach nowhere.invalid"."""
    analysis = FailureAnalysis.of_run(run)
    if analysis is None:
        return None
    return cause_title(analysis.cause, analysis.subject)


def cause_title(cause: FailureCause, subject: str | None) -> str:
    """What failed, by its cause, as plain text; `subject` is the name of what failed."""
    words = FAILURES[cause]
    if not words.nameless:
        return words.title
    named = texts.plain_line(subject or "", _MAX_SUBJECT_CHARS)
    return words.title.format(subject=named) if named else words.nameless
