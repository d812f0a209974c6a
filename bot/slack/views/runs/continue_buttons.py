"""The buttons that continue an ended run."""

from __future__ import annotations

from bot.slack import ids
from bot.slack.views import blocks
from bot.slack.views.message import Block
from bot.words.runs.continuing import LIKELY_TURNS, continue_offer, may_restart
from core.domain.runs.run import Run


def continue_buttons(run: Run) -> list[Block]:
    """The buttons that apply to an ended run, the likeliest one with emphasis."""
    offer = continue_offer(run)
    drawn = [continue_left_button(run, offer.left)] if offer.left else []
    drawn += [
        blocks.button(
            f"+{turns} turns",
            action_id=action_id,
            value=run.run_id,
            style="primary" if turns == LIKELY_TURNS else None,
        )
        for action_id, turns in ids.CONTINUE_TURNS.items()
        if turns in offer.more_turns
    ]
    if offer.has_form:
        drawn.append(blocks.button("Continue…", action_id=ids.CONTINUE_MORE, value=run.run_id))
    if offer.has_recovery:
        drawn.append(recovery_button(run, is_likely=offer.is_recovery_likely))
    return drawn


def recovery_button(run: Run, *, is_likely: bool = False) -> Block:
    """The button that opens the form of a recovery leg, which says what that is."""
    return blocks.button(
        "Recovery leg…",
        action_id=ids.CONTINUE_RECOVERY,
        value=run.run_id,
        style="primary" if is_likely else None,
    )


def restart_buttons(run: Run) -> list[Block]:
    """The button that opens the form about a restart; none for a run that never began."""
    return [restart_button(run)] if may_restart(run) else []


def restart_button(run: Run) -> Block:
    """The button that opens the form about a restart."""
    return blocks.button("Restart…", action_id=ids.RESTART, value=run.run_id)


def continue_left_button(run: Run, label: str) -> Block:
    """The button that continues a run for the turns that it had left."""
    return blocks.button(label, action_id=ids.CONTINUE_LEFT, value=run.run_id, style="primary")
