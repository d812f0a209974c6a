"""Confirmations of actions, seen only by the person who acted."""

from __future__ import annotations

from bot.slack.views.errors import private_message
from bot.slack.views.message import Message
from bot.words import counts, texts
from bot.words.kills import STOPPING_TITLES
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.request import StartResult
from core.domain.runs.run import Run


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


def continued(outcome: StartResult) -> Message:
    """The answer after a continuation, which may have been started before."""
    run = outcome.run
    if not outcome.is_new and not run.is_live:
        return private_message(
            f"It was continued before, as `{run.run_id}`, which has ended; nothing was started. "
            "The card in its thread has the buttons that apply now."
        )
    if not outcome.is_new:
        return private_message(
            f"It continues already, as `{run.run_id}`. The card in its thread shows it."
        )
    turns = f" for up to {run.max_turns} turns" if run.max_turns else ""
    return private_message(f"It continues as `{run.run_id}`{turns}{_queue_words(outcome)}.")


def kill_requested(run: Run | str, kill: Termination) -> Message:
    """The answer after a kill was requested, by this person or before."""
    run_id = run if isinstance(run, str) else run.run_id
    if kill.phase is Phase.CONFIRMED:
        return private_message(f"`{run_id}` is dead; nothing of it is running.")
    return private_message(
        f"`{run_id}`: {STOPPING_TITLES[kill.phase]} Its card shows the proof when it is dead."
    )


def _queue_words(outcome: StartResult) -> str:
    position = outcome.queue_position
    if position is None or position <= 1:
        return ""
    return f", {counts.ordinal(position)} in line"
