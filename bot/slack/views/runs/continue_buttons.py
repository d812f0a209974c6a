"""The buttons that continue an ended run."""

from __future__ import annotations

from bot.slack import ids
from bot.slack.views import blocks
from bot.slack.views.message import Block
from core.domain.runs.run import SETUP_FAILURES, Run


def continue_buttons(run: Run) -> list[Block]:
    """The buttons that apply to an ended run, the likeliest one with emphasis.

    More turns are offered where the turn limit ended the run.  Otherwise what was left of the limit
    is: it is never taken away.  A button that can only fail is left out.
    """
    if run.is_live or run.stop_reason is None:
        return []
    if run.stop_reason in SETUP_FAILURES and not run.can_continue:
        return []
    more = blocks.button("Continue…", action_id=ids.CONTINUE_MORE, value=run.run_id)
    if not run.can_continue:
        return [more]
    if run.turns_left:
        return [continue_left_button(run), more]
    return [
        blocks.button(
            f"+{turns} turns",
            action_id=action_id,
            value=run.run_id,
            style="primary" if action_id == ids.CONTINUE_20 else None,
        )
        for action_id, turns in ids.CONTINUE_TURNS.items()
    ] + [more]


def continue_left_button(run: Run) -> Block:
    """The button that continues a run for the turns that it had left."""
    return blocks.button(
        f"Continue ({turns_left_words(run)})",
        action_id=ids.CONTINUE_LEFT,
        value=run.run_id,
        style="primary",
    )


def turns_left_words(run: Run) -> str:
    """The turns that a run had left: `57 turns left`."""
    return f"{run.turns_left} turn{'' if run.turns_left == 1 else 's'} left"
