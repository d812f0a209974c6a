"""Words about the end of a run: one table with all stop reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from bot.words import money, texts, times
from bot.words.runs.failures import failure_title, failure_words
from bot.words.runs.outcomes import ATTENTION_ICON, attention_title
from core.domain.runs.event import EventKind
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import SETUP_FAILURES, Run, StopReason
from core.domain.runs.snapshot import RunSnapshot

# A title on a phone is two lines at most.
_CAUSE_LIMIT = 90


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The words for one stop reason.  Each surface adds what to do next.

    Attributes:
        title: May contain `{turns}`, `{budget}` or `{timeout}`, for the limit in brackets.
        explanation: What it means, in one or two sentences.
    """

    icon: str
    title: str
    explanation: str


ENDINGS: Mapping[StopReason, Ending] = MappingProxyType(
    {
        StopReason.SUCCESS: Ending(
            icon="✅",
            title="Completed",
            explanation="The agent finished and reported.",
        ),
        StopReason.MAX_TURNS: Ending(
            icon="⏸️",
            title="Stopped at its turn limit{turns}, not finished",
            explanation="Its work so far is kept.",
        ),
        StopReason.BUDGET: Ending(
            icon="⏸️",
            title="Stopped at its cost limit{budget}, not finished",
            explanation="Its work so far is kept.",
        ),
        StopReason.TIMEOUT: Ending(
            icon="⏸️",
            title="Stopped at its time limit{timeout}, not finished",
            explanation="Its work so far is kept.",
        ),
        StopReason.KILLED: Ending(
            icon="🛑",
            title="Killed",
            explanation="Somebody stopped it.",
        ),
        StopReason.USAGE_LIMIT: Ending(
            icon="⏸️",
            title="Stopped by the account's usage limit, not finished",
            explanation="The run's work is kept. The Claude account has no usage left for now.",
        ),
        StopReason.API_ERROR: Ending(
            icon="❌",
            title="Stopped: the model's API failed",
            explanation="The API kept failing although the agent tried again. Its work is kept.",
        ),
        StopReason.AGENT_ERROR: Ending(
            icon="❌",
            title="Stopped: the agent program failed",
            explanation="The program that runs the agent ended with an error. Its work is kept.",
        ),
        StopReason.NO_RESULT: Ending(
            icon="❌",
            title="Ended without a result",
            explanation="The agent program ended, but never said how the work went.",
        ),
        StopReason.WORKER_LOST: Ending(
            icon="❌",
            title="Stopped: its worker was lost",
            explanation="The machine or process that ran it disappeared.",
        ),
        StopReason.WORKSPACE_ERROR: Ending(
            icon="❌",
            title="Not done: its workspace could not be prepared",
            explanation="The repository or the disk failed; the agent was not the cause.",
        ),
        StopReason.SETUP_ERROR: Ending(
            icon="❌",
            title="Not started: it could not be set up",
            explanation="Something it needs is missing or wrong.",
        ),
    }
)

# The same reasons in a few words, for lists and statistics.
REASON_WORDS: Mapping[StopReason, str] = MappingProxyType(
    {
        StopReason.SUCCESS: "done",
        StopReason.MAX_TURNS: "turn limit",
        StopReason.BUDGET: "cost limit",
        StopReason.TIMEOUT: "time limit",
        StopReason.KILLED: "killed",
        StopReason.USAGE_LIMIT: "usage limit of the account",
        StopReason.API_ERROR: "the model's API failed",
        StopReason.AGENT_ERROR: "the agent program failed",
        StopReason.NO_RESULT: "no result",
        StopReason.WORKER_LOST: "worker lost",
        StopReason.WORKSPACE_ERROR: "workspace not ready",
        StopReason.SETUP_ERROR: "not set up",
    }
)

# Of these a class is stored with the run, see `failures`.
_REASONS_WITH_CAUSES = SETUP_FAILURES | {StopReason.API_ERROR, StopReason.AGENT_ERROR}


def ending_title(run: Run) -> str:
    """How a run ended, as plain text: with the limit that it reached, or what made it fail."""
    if run.stop_reason is None:
        return run.status.value.capitalize()
    if run.outcome is Outcome.ATTENTION:
        return attention_title(run)
    if _is_being_measured(run):
        return "Finished, saving the work…"
    if run.stop_reason in _REASONS_WITH_CAUSES:
        named = failure_title(run)
        if named is not None:
            return named
    if run.stop_reason in SETUP_FAILURES and run.error_message:
        return _first_sentence(run.error_message)
    return ENDINGS[run.stop_reason].title.format(
        turns=f" ({run.turns}/{run.max_turns})" if run.max_turns else "",
        budget=f" ({money.dollars(run.budget_usd)})" if run.budget_usd is not None else "",
        timeout=f" ({times.time_limit(run.timeout)})" if run.timeout is not None else "",
    )


def ending_explanation(run: Run) -> str:
    """What the end of a run means, in one to three sentences; empty if it has not ended."""
    if run.stop_reason is None:
        return ""
    cause = failure_words(run) if run.stop_reason in _REASONS_WITH_CAUSES else None
    if cause is None:
        return ENDINGS[run.stop_reason].explanation
    is_set_up = run.stop_reason not in SETUP_FAILURES
    return f"{cause.explanation} Its work is kept." if is_set_up else cause.explanation


def ending_icon(run: Run) -> str:
    """The icon of a run that has ended for a known reason."""
    if run.stop_reason is None or run.outcome is Outcome.ATTENTION:
        return ATTENTION_ICON
    if _is_being_measured(run):
        return "💾"
    return ENDINGS[run.stop_reason].icon


def _is_being_measured(run: Run) -> bool:
    """Whether it is still open if a run that ended by itself left something to do."""
    return run.stop_reason is StopReason.SUCCESS and run.is_work_pending


def _first_sentence(message: str) -> str:
    """The first sentence of an error, which names its cause; the rest is advice."""
    line = texts.plain_line(message, 400).replace("`", "").replace("https://", "")
    return texts.clip(line.split(". ")[0].rstrip("."), _CAUSE_LIMIT)


def usage_reset(snapshot: RunSnapshot) -> datetime | None:
    """When the usage limit resets, as last reported; `None` if unknown."""
    for notice in reversed(snapshot.notices):
        if notice.kind is EventKind.RATE_LIMIT:
            try:
                return datetime.fromisoformat(str(notice.data.get("resets_at")))
            except ValueError:
                continue
    return _stored_reset(snapshot.run)


def _stored_reset(run: Run) -> datetime | None:
    try:
        return datetime.fromisoformat(str(run.metadata.get("usage_limit_resets_at")))
    except ValueError:
        return None
