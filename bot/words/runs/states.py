"""The words for every state of a run: one table per enum, each complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bot.words import counts
from bot.words.failures.retries import waiting_title, waiting_words
from bot.words.kills import (
    STOPPING_TITLES,
    draining_words,
    is_unconfirmed,
    killed_title,
    killer_words,
    unconfirmed_title,
)
from bot.words.markup import Markup
from bot.words.runs.endings import (
    REASON_WORDS,
    ending_explanation,
    ending_icon,
    ending_title,
)
from core.domain.failures.failed_attempt import failed_attempts_of, last_failure_of
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import RetryAction
from core.domain.fleet.workers import QueueReason
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import Run, RunStatus, StopReason, WaitingOn
from core.domain.runs.snapshot import RunSnapshot
from core.domain.runs.step import StepStatus

STATUS_ICONS: Mapping[RunStatus, str] = MappingProxyType(
    {
        RunStatus.PENDING: "⏳",
        RunStatus.RUNNING: "▶️",
        RunStatus.COMPLETED: "✅",
        RunStatus.FAILED: "❌",
        RunStatus.KILLED: "🛑",
    }
)

STATUS_WORDS: Mapping[RunStatus, str] = MappingProxyType(
    {
        RunStatus.PENDING: "waiting",
        RunStatus.RUNNING: "running",
        RunStatus.COMPLETED: "completed",
        RunStatus.FAILED: "stopped unfinished",
        RunStatus.KILLED: "killed",
    }
)

STEP_ICONS: Mapping[StepStatus, str] = MappingProxyType(
    {
        StepStatus.PENDING: "▫️",
        StepStatus.IN_PROGRESS: "▶️",
        StepStatus.COMPLETED: "✅",
        StepStatus.FAILED: "❌",
        StepStatus.SKIPPED: "⏭️",
    }
)

WAITING_TITLES: Mapping[WaitingOn, str] = MappingProxyType(
    {
        WaitingOn.APPROVAL: "Waiting for an approval",
        WaitingOn.QUESTION: "Waiting for an answer",
        WaitingOn.BUDGET: "Waiting for more budget",
        WaitingOn.USAGE_LIMIT: "Waiting for the usage limit to reset",
    }
)

# What a run waits for if a cap holds it back.
HOLD_WORDS: Mapping[QueueReason, str] = MappingProxyType(
    {
        QueueReason.PERSON: "one of {owner}'s runs",
        QueueReason.REPOSITORY: "a run on the same repository",
        QueueReason.FLEET: "any run",
    }
)

# The reply says which processes survive; it also rings.
UNCONFIRMED_DETAIL = "What is left and what to do is said below."


@dataclass(frozen=True, kw_only=True)
class StateWords:
    """A run's state in words.

    Attributes:
        title: Plain text, not escaped, for a headline.
        detail: What it means at present, in the surface's markup; may be empty.
        is_calm: Whether everything goes as it should, so that the task matters more than the state.
    """

    icon: str
    title: str
    detail: str = ""
    is_calm: bool = False


def state_of(snapshot: RunSnapshot, markup: Markup) -> StateWords:
    """The present state of a run, in words."""
    run, kill = snapshot.run, snapshot.termination
    if run.is_live and run.kill_requested_at is not None:
        return _stopping(snapshot, kill, markup)
    if run.status is RunStatus.PENDING:
        return _queued(snapshot, markup)
    if run.status is RunStatus.RUNNING:
        title = WAITING_TITLES[run.waiting_on] if run.waiting_on else "Running"
        icon = "✋" if run.waiting_on else STATUS_ICONS[run.status]
        return StateWords(icon=icon, title=title, is_calm=run.waiting_on is None)
    if run.status is RunStatus.KILLED:
        by = killer_words(kill, markup) if kill is not None else ""
        return StateWords(icon=STATUS_ICONS[run.status], title=killed_title(run, kill), detail=by)
    if run.stop_reason is None:
        return StateWords(icon=STATUS_ICONS[run.status], title=run.status.value.capitalize())
    detail = "" if run.stop_reason is StopReason.SUCCESS else ending_explanation(run)
    return StateWords(
        icon=ending_icon(run),
        title=ending_title(run),
        detail=detail,
        is_calm=run.stop_reason is StopReason.SUCCESS and run.outcome is not Outcome.ATTENTION,
    )


def state_words(snapshot: RunSnapshot, markup: Markup) -> str:
    """The state of a run in a few words, for a list, as plain text."""
    reason = snapshot.run.stop_reason
    if reason is None or reason is StopReason.SUCCESS:
        return state_of(snapshot, markup).title
    return REASON_WORDS[reason]


def _stopping(snapshot: RunSnapshot, kill: Termination | None, markup: Markup) -> StateWords:
    run = snapshot.run
    if kill is not None and is_unconfirmed(kill):
        title = unconfirmed_title(snapshot, kill)
        return StateWords(icon="⚠️", title=title, detail=UNCONFIRMED_DETAIL)
    phase = kill.phase if kill is not None else Phase.REQUESTED
    detail = "This takes a second or two, with stubborn processes up to 10 seconds."
    if kill is not None and phase is Phase.DRAINING:
        detail = draining_words(run, kill, markup)
    return StateWords(icon="🛑", title=STOPPING_TITLES[phase], detail=detail)


def _queued(snapshot: RunSnapshot, markup: Markup) -> StateWords:
    position = snapshot.queue_position
    failed = last_failure_of(snapshot.run)
    # One whose time has come is in the queue.
    if failed is not None and position is None:
        icon = "⏳" if failed.decision.action is RetryAction.WAIT else "🔁"
        return StateWords(
            icon=icon,
            title=waiting_title(failed),
            detail=waiting_words(snapshot.run, failed, markup),
        )
    requeued = _requeue_words(snapshot.run)
    title = "Queued again" if requeued else "Queued"
    if position is not None:
        position_words = "next" if position <= 1 else counts.ordinal(position)
        title = f"{title}, {position_words} in line"
    return StateWords(
        icon=STATUS_ICONS[RunStatus.PENDING],
        title=title,
        detail=f"{requeued}{_waiting_words(snapshot, markup)}",
        is_calm=snapshot.has_available_worker,
    )


def _requeue_words(run: Run) -> str:
    """Why a run is in the queue again; empty if it never left it."""
    if run.attempt == 1:
        return ""
    before = [one for one in failed_attempts_of(run) if one.attempt == run.attempt - 1]
    if before and before[-1].failure_class is not FailureClass.WORKER_LOST:
        return "Its last attempt failed; it continues automatically. "
    return "Its worker stopped or was lost; it continues automatically. "


def _waiting_words(snapshot: RunSnapshot, markup: Markup) -> str:
    """What has to happen before the run can start."""
    hold = snapshot.hold
    if not snapshot.has_available_worker:
        return (
            "No worker is up, so nothing can start. It starts automatically when one is; an admin "
            f"starts one with {markup.code('signalbox worker')}."
        )
    if hold is None:
        return "Waits for a free worker slot."
    awaited = HOLD_WORDS[hold.reason].format(owner=markup.person(snapshot.owner))
    return (
        f"Waits for {awaited} to end ({hold.in_use} of {hold.cap} live). It starts automatically."
    )
