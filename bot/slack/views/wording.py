"""The words for every state a run can be in: one table per enum, each of them total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from bot.slack import figures, markdown, text
from bot.slack.views.kills.wording import (
    draining_words,
    has_visible_survivors,
    is_unconfirmed,
    survivor_words,
)
from core.domain.fleet.workers import QueueReason
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.event import EventKind
from core.domain.runs.run import SETUP_FAILURES, Run, RunStatus, StopReason, WaitingOn
from core.domain.runs.snapshot import RunSnapshot
from core.domain.runs.step import StepStatus

# Characters of a report that the card shows.
_FIRST_WORDS = 300

STATUS_ICONS: Mapping[RunStatus, str] = MappingProxyType(
    {
        RunStatus.PENDING: "⏳",
        RunStatus.RUNNING: "▶️",
        RunStatus.COMPLETED: "✅",
        RunStatus.FAILED: "❌",
        RunStatus.KILLED: "🛑",
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

# What a run waits for that a cap keeps; mrkdwn.
HOLD_WORDS: Mapping[QueueReason, str] = MappingProxyType(
    {
        QueueReason.PERSON: "one of {owner}'s runs",
        QueueReason.REPOSITORY: "a run on the same repository",
        QueueReason.FLEET: "any run",
    }
)

STOPPING_TITLES: Mapping[Phase, str] = MappingProxyType(
    {
        Phase.REQUESTED: "Stopping: telling its worker…",
        Phase.ACKNOWLEDGED: "Stopping: its worker has the request…",
        Phase.DRAINING: "Stopping: letting a critical command finish…",
        Phase.INTERRUPTED: "Stopping: waiting for the interrupt…",
        Phase.TERMINATED: "Stopping: asking its processes to end…",
        Phase.KILLED: "Stopping: ending what is left by force…",
        Phase.CONFIRMED: "Stopped, nothing left running: writing it down…",
        Phase.UNCONFIRMED: "Not stopped yet: some processes survive",
    }
)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How the end of a run is told.

    Attributes:
        title: May hold `{turns}`, `{budget}`, `{timeout}`: the limit, in brackets.
        explanation: What that means, in a sentence.
        advice: What to do next.
    """

    icon: str
    title: str
    explanation: str
    advice: str


ENDINGS: Mapping[StopReason, Ending] = MappingProxyType(
    {
        StopReason.SUCCESS: Ending(
            icon="✅",
            title="Completed",
            explanation="The agent finished and reported.",
            advice="To ask for more in the same conversation, press *Continue…* on the card.",
        ),
        StopReason.MAX_TURNS: Ending(
            icon="⏸️",
            title="Stopped at its turn limit{turns}, not finished",
            explanation="It used up its turns before it was done. Its work so far is kept.",
            advice="*+20 turns* on the card lets it go on exactly where it stopped.",
        ),
        StopReason.BUDGET: Ending(
            icon="⏸️",
            title="Stopped at its cost limit{budget}, not finished",
            explanation="It reached its cost limit before it was done. Its work so far is kept.",
            advice="Look at what it did; if that is worth more, a *Continue* button on the card "
            "lets it go on where it stopped.",
        ),
        StopReason.TIMEOUT: Ending(
            icon="⏸️",
            title="Stopped at its time limit{timeout}, not finished",
            explanation="It ran out of time before it was done. Its work so far is kept.",
            advice="Check that it was not going in circles; then a *Continue* button on the card "
            "lets it go on where it stopped.",
        ),
        StopReason.KILLED: Ending(
            icon="🛑",
            title="Killed",
            explanation="Somebody stopped it.",
            advice="A *Continue* button on the card lets it go on where it was stopped.",
        ),
        StopReason.USAGE_LIMIT: Ending(
            icon="⏸️",
            title="Stopped by the account's usage limit, not finished",
            explanation="The run's work is kept. The Claude account has no usage left for now.",
            advice="After the limit has reset, a *Continue* button on the card lets it go on.",
        ),
        StopReason.API_ERROR: Ending(
            icon="❌",
            title="Stopped: the model's API failed",
            explanation="The API kept failing although the agent tried again. Its work is kept.",
            advice="This mostly passes: wait some minutes, then press a *Continue* button on the "
            "card. If it comes back, ask an admin to check the API key and the API's status page.",
        ),
        StopReason.AGENT_ERROR: Ending(
            icon="❌",
            title="Stopped: the agent program failed",
            explanation="The program that runs the agent ended with an error. Its work is kept.",
            advice="A *Continue* button on the card tries again from where it stopped. If it fails "
            "the same way, ask an admin to run `signalbox doctor` on the worker.",
        ),
        StopReason.NO_RESULT: Ending(
            icon="❌",
            title="Ended without a result",
            explanation="The agent program ended, but never said how the work went.",
            advice="Look at the changes, then continue it and ask for a report: "
            "`@signalbox continue Report what is done.`",
        ),
        StopReason.WORKER_LOST: Ending(
            icon="❌",
            title="Stopped: its worker was lost",
            explanation="The machine or process that ran it disappeared.",
            advice="A *Continue* button on the card takes it up again from its conversation. "
            "What was not committed may be missing.",
        ),
        StopReason.WORKSPACE_ERROR: Ending(
            icon="❌",
            title="Not done: its workspace could not be made ready",
            explanation="The repository or the disk let it down; the agent was not to blame.",
            advice="Check the repository's address, the branch and who may read it, then start "
            "it again with `/workflow run`.",
        ),
        StopReason.SETUP_ERROR: Ending(
            icon="❌",
            title="Not started: it could not be set up",
            explanation="Something it needs is missing or wrong.",
            advice="Ask an admin to run `signalbox doctor`, then start it again with "
            "`/workflow run`.",
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class StateWords:
    """A run's state in words.

    Attributes:
        title: Plain words, not escaped: for a headline.
        detail: What it means just now; mrkdwn, may be empty.
    """

    icon: str
    title: str
    detail: str = ""


def state_of(snapshot: RunSnapshot) -> StateWords:
    """Say where a run stands."""
    run, kill = snapshot.run, snapshot.termination
    if run.is_live and run.kill_requested_at is not None:
        return _stopping(snapshot, kill)
    if run.status is RunStatus.PENDING:
        return _queued(snapshot)
    if run.status is RunStatus.RUNNING:
        title = WAITING_TITLES[run.waiting_on] if run.waiting_on else "Running"
        return StateWords(icon="✋" if run.waiting_on else STATUS_ICONS[run.status], title=title)
    if run.status is RunStatus.KILLED:
        by = killed_by(kill) if kill is not None else ""
        return StateWords(icon=STATUS_ICONS[run.status], title=killed_title(run, kill), detail=by)
    if run.stop_reason is None:
        return StateWords(icon=STATUS_ICONS[run.status], title=run.status.value.capitalize())
    ending = ENDINGS[run.stop_reason]
    detail = ending.explanation
    if run.stop_reason is StopReason.SUCCESS:
        detail = markdown.first_words(run.result or "", _FIRST_WORDS)
    return StateWords(icon=ending.icon, title=ending_title(run), detail=detail)


def advice_of(run: Run) -> str:
    """What to do next; empty of a run that has not ended."""
    if run.stop_reason is None:
        return ""
    if run.stop_reason in SETUP_FAILURES and run.can_continue:
        return (
            "Mend what is named below; then a *Continue* button on the card lets it go on. Its "
            "conversation and its work are kept."
        )
    return ENDINGS[run.stop_reason].advice


def ending_title(run: Run) -> str:
    """How it ended, with the limit it met; plain words."""
    if run.stop_reason is None:
        return run.status.value.capitalize()
    return ENDINGS[run.stop_reason].title.format(
        turns=f" ({turns_made(run)}/{run.max_turns})" if run.max_turns else "",
        budget=f" ({figures.money(run.budget_usd)})" if run.budget_usd is not None else "",
        timeout=f" ({figures.time_limit(run.timeout)})" if run.timeout is not None else "",
    )


def unconfirmed_title(snapshot: RunSnapshot, kill: Termination) -> str:
    """Why a kill is not proven; plain words."""
    if has_visible_survivors(snapshot, kill):
        return STOPPING_TITLES[Phase.UNCONFIRMED]
    return "Not confirmed: nobody could look on its machine"


def killed_title(run: Run, kill: Termination | None) -> str:
    """That it is dead, and how that is known; plain words."""
    if kill is None or kill.phase is not Phase.CONFIRMED:
        return "Killed"
    if run.started_at is None:
        return "Killed before it started, nothing was running"
    if not kill.processes_seen:
        return "Killed, nothing left running"
    ended = figures.plural(kill.processes_seen, "process", "processes")
    took = f" in {figures.duration(kill.elapsed)}" if kill.elapsed is not None else ""
    return f"Killed, nothing left running ({ended} ended{took})"


def killed_by(kill: Termination) -> str:
    """Who wanted it dead, and why; mrkdwn."""
    by = text.one_line(kill.requested_by_name or "Signalbox", 80)
    return (
        f"Killed by {by}: {text.one_line(kill.reason, 300)}" if kill.reason else f"Killed by {by}."
    )


def turns_made(run: Run) -> int:
    """Turns of this leg; the program counts the one that would have been too many."""
    return run.turns if run.max_turns is None else min(run.turns, run.max_turns)


def usage_reset(snapshot: RunSnapshot) -> datetime | None:
    """When the usage limit resets, as last reported."""
    for notice in reversed(snapshot.notices):
        if notice.kind is EventKind.RATE_LIMIT:
            try:
                return datetime.fromisoformat(str(notice.data.get("resets_at")))
            except ValueError:
                continue
    return None


def _stopping(snapshot: RunSnapshot, kill: Termination | None) -> StateWords:
    run = snapshot.run
    if kill is not None and is_unconfirmed(kill):
        title = unconfirmed_title(snapshot, kill)
        return StateWords(icon="⚠️", title=title, detail=survivor_words(snapshot, kill))
    phase = kill.phase if kill is not None else Phase.REQUESTED
    detail = "This takes a second or two, with stubborn processes up to 10 seconds."
    if kill is not None and phase is Phase.DRAINING:
        detail = draining_words(run, kill)
    return StateWords(icon="🛑", title=STOPPING_TITLES[phase], detail=detail)


def _queued(snapshot: RunSnapshot) -> StateWords:
    position = snapshot.queue_position
    requeued = "Its worker went away; it goes on by itself. " if snapshot.run.attempt > 1 else ""
    title = "Queued again" if requeued else "Queued"
    if position is not None:
        position_words = "next" if position <= 1 else figures.ordinal(position)
        title = f"{title}, {position_words} in line"
    return StateWords(
        icon=STATUS_ICONS[RunStatus.PENDING],
        title=title,
        detail=f"{requeued}{_waiting_words(snapshot)}",
    )


def _waiting_words(snapshot: RunSnapshot) -> str:
    """What has to happen before it starts; mrkdwn."""
    hold = snapshot.hold
    if not snapshot.has_available_worker:
        return (
            "No worker is up, so nothing can start. It starts by itself when one is; an admin "
            "starts one with `signalbox worker`."
        )
    if hold is None:
        return "Waits for a free worker slot."
    owner = snapshot.owner
    owner_mention = text.person(owner.slack_user_id, owner.name) if owner else "nobody known"
    awaited = HOLD_WORDS[hold.reason].format(owner=owner_mention)
    return f"Waits for {awaited} to end ({hold.in_use} of {hold.cap} live). It starts by itself."
