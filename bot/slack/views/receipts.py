"""Confirmations of actions, seen only by the person who acted."""

from __future__ import annotations

from bot.slack import ids
from bot.slack.views import blocks
from bot.slack.views.errors import private_message
from bot.slack.views.message import Message
from bot.slack.views.runs.continue_buttons import continue_buttons
from bot.words import counts, texts
from bot.words.kills import STOPPING_TITLES
from bot.words.markup import PLAIN
from bot.words.runs.names import leg_suffix, task_name
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.request import StartResult
from core.domain.runs.run import RUN_ID_PREFIX, Run
from core.domain.runs.snapshot import RunSnapshot


def started(outcome: StartResult) -> Message:
    """The answer after a start; the same request may have started the run before."""
    if not outcome.is_new:
        what = _named(outcome.run)
        return private_message(f"{what} was started by this before; its card is in the channel.")
    return private_message(f"{started_words(outcome)}. Its card shows how it goes.")


def started_words(outcome: StartResult) -> str:
    """What was started, and its position if it waits; not escaped, without a full stop."""
    return f"Started {_named(outcome.run)}{_queue_words(outcome)}"


def _named(run: Run) -> str:
    return f"`{run.run_id}` ({texts.plain_line(run.workflow_name, 40)})"


def continued(outcome: StartResult, *, target: str | None = None) -> Message:
    """The answer after a continuation, which may have been started before.

    Args:
        outcome: What the request led to.
        target: The run or session that the person named.
    """
    run = outcome.run
    if not outcome.is_new and not run.is_live:
        return _continued_before(run)
    if not outcome.is_new:
        return private_message(
            f"It continues already, as `{run.run_id}`. The card in its thread shows it."
        )
    turns = f" for up to {run.max_turns} turns" if run.max_turns else ""
    is_older = target is not None and target.startswith(RUN_ID_PREFIX) and outcome.continued
    newer = (
        f" `{outcome.continued}` is the newest leg, so it goes on from there."
        if is_older and not str(outcome.continued).startswith(target or "")
        else ""
    )
    return private_message(
        f"It continues as `{run.run_id}`{turns}{_queue_words(outcome)}.{newer} The card in its "
        "thread shows how it goes."
    )


def _continued_before(newest: Run) -> Message:
    """The answer to a click on a run that was continued: nothing was started, and the way on."""
    words = (
        f"It was continued before; the newest leg is `{newest.run_id}`, which has ended. Nothing "
        "was started."
    )
    buttons = continue_buttons(newest)
    if not buttons:
        return private_message(words)
    words += " To go on from there:"
    return Message(
        text=words,
        blocks=(blocks.section(words), blocks.actions(ids.CONTINUED_ACTIONS, buttons)),
    )


def kill_requested(snapshot: RunSnapshot, kill: Termination) -> Message:
    """The answer after a kill was requested, by this person or before; it names the task."""
    what = f"“{task_name(snapshot, PLAIN, 90)}”{leg_suffix(snapshot)} (`{snapshot.run.run_id}`)"
    if kill.phase is Phase.CONFIRMED:
        return private_message(f"{what} is dead; nothing of it is running.")
    return private_message(
        f"{what}: {STOPPING_TITLES[kill.phase]} Its card shows the proof when it is dead."
    )


def _queue_words(outcome: StartResult) -> str:
    position = outcome.queue_position
    if position is None or position <= 1:
        return ""
    return f", {counts.ordinal(position)} in line"
