"""The buttons of a card: at most three, and a menu for what is wanted less often."""

from __future__ import annotations

from bot.slack import ids
from bot.slack.views import blocks
from bot.slack.views.message import Block
from bot.words.kills import force_question_words, is_unconfirmed, kill_question_words
from core.domain.kills.termination import Phase
from core.domain.runs.run import SETUP_FAILURES, Run
from core.domain.runs.snapshot import RunSnapshot

# The number of turns that the card offers first; the menu has the others.
_LIKELY_TURNS = ids.CONTINUE_20


def run_buttons(snapshot: RunSnapshot) -> list[Block]:
    """The buttons that apply to a run now; a button that can only fail is left out."""
    run = snapshot.run
    if run.is_live:
        return [*_live_buttons(snapshot), _details_button(run)]
    if run.stop_reason is None or (run.stop_reason in SETUP_FAILURES and not run.can_continue):
        return [_details_button(run)]
    more = blocks.button("Continue…", action_id=ids.CONTINUE_MORE, value=run.run_id)
    if not run.can_continue:
        return [more, _details_button(run)]
    likely = blocks.button(
        f"+{ids.CONTINUE_TURNS[_LIKELY_TURNS]} turns",
        action_id=_LIKELY_TURNS,
        value=run.run_id,
        style="primary",
    )
    others = {
        action_id: f"+{turns} turns"
        for action_id, turns in ids.CONTINUE_TURNS.items()
        if action_id != _LIKELY_TURNS
    }
    menu = blocks.overflow(
        ids.CARD_MENU,
        {
            ids.menu_value(action_id, run.run_id): label
            for action_id, label in {**others, ids.DETAILS: "Details"}.items()
        },
    )
    return [likely, more, menu]


def _live_buttons(snapshot: RunSnapshot) -> list[Block]:
    run, kill = snapshot.run, snapshot.termination
    if run.kill_requested_at is None:
        return [_kill_button(snapshot)]
    # An unconfirmed kill is retried by force anyway.
    is_forced = kill is not None and (kill.force or is_unconfirmed(kill))
    is_over = kill is not None and kill.phase is Phase.CONFIRMED
    return [] if is_forced or is_over else [_force_button(snapshot)]


def _details_button(run: Run) -> Block:
    return blocks.button("Details", action_id=ids.DETAILS, value=run.run_id)


def _kill_button(snapshot: RunSnapshot) -> Block:
    run = snapshot.run
    return blocks.button(
        "Kill",
        action_id=ids.KILL,
        value=run.run_id,
        style="danger",
        confirm=blocks.confirm(
            title=f"Kill this {run.workflow_name} run?",
            words=kill_question_words(snapshot),
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
