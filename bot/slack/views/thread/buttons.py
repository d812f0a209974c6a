"""The buttons of a card: at most three, and a menu for what is wanted less often."""

from __future__ import annotations

from bot.slack import ids
from bot.slack.views import blocks
from bot.slack.views.message import Block
from bot.slack.views.runs.continue_buttons import continue_buttons
from bot.words.kills import force_question_words, is_unconfirmed, kill_question_words
from core.domain.kills.termination import Phase
from core.domain.runs.snapshot import RunSnapshot

# The menu is one of them.
MAX_BUTTONS = 3


def run_buttons(snapshot: RunSnapshot) -> list[Block]:
    """The buttons that apply to a run now; a button that can only fail is left out."""
    run = snapshot.run
    applicable = live_buttons(snapshot) if run.is_live else continue_buttons(run)
    details = blocks.button("Details", action_id=ids.DETAILS, value=run.run_id)
    return _folded([*applicable, details])


def _folded(buttons: list[Block]) -> list[Block]:
    """What fits in one row of a narrow phone, and a menu with the others, if any.

    That is two buttons, or one that says how many turns are left.
    """
    if len(buttons) < MAX_BUTTONS:
        return buttons
    likely = [one for one in buttons if one.get("style") or one["action_id"] == ids.CONTINUE_MORE]
    is_long = any(one["action_id"] == ids.CONTINUE_LEFT for one in buttons)
    shown = likely[: 1 if is_long else MAX_BUTTONS - 1]
    options = {
        ids.menu_value(one["action_id"], one["value"]): one["text"]["text"]
        for one in buttons
        if one not in shown
    }
    return [*shown, blocks.overflow(ids.CARD_MENU, options)]


def live_buttons(snapshot: RunSnapshot, *, question: str | None = None) -> list[Block]:
    """The buttons that stop a live run, at most one; none if that can only fail.

    Args:
        snapshot: The run.
        question: What is asked before a kill; `None` for a question with the cost so far.
    """
    run, kill = snapshot.run, snapshot.termination
    if run.kill_requested_at is None:
        return [_kill_button(snapshot, question or kill_question_words(snapshot))]
    # An unconfirmed kill is retried by force anyway.
    is_forced = kill is not None and (kill.force or is_unconfirmed(kill))
    is_over = kill is not None and kill.phase is Phase.CONFIRMED
    return [] if is_forced or is_over else [_force_button(snapshot)]


def _kill_button(snapshot: RunSnapshot, question: str) -> Block:
    run = snapshot.run
    return blocks.button(
        "Kill",
        action_id=ids.KILL,
        value=run.run_id,
        style="danger",
        confirm=blocks.confirm(
            title=f"Kill this {run.workflow_name} run?",
            words=question,
            yes="Kill it",
            no="Let it run",
        ),
    )


def _force_button(snapshot: RunSnapshot) -> Block:
    run = snapshot.run
    return blocks.button(
        "Force kill",
        action_id=ids.FORCE_KILL,
        value=run.run_id,
        style="danger",
        confirm=blocks.confirm(
            title="End it by force?",
            words=force_question_words(snapshot),
            yes="Force kill",
            no="Give it time",
        ),
    )
