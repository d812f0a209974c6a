"""The buttons of a card: at most three, and a menu for what is wanted less often."""

from __future__ import annotations

from bot.slack import ids
from bot.slack.views import blocks
from bot.slack.views.message import Block
from bot.slack.views.runs.continue_buttons import continue_buttons, restart_buttons
from bot.slack.views.runs.links import NO_LINKS, ThreadLinks
from bot.words.kills import (
    FORCE_KILL,
    KillQuestion,
    force_question,
    kill_question,
    may_force_kill,
)
from core.domain.runs.snapshot import RunSnapshot

# The menu is one of them.
MAX_BUTTONS = 3


def run_buttons(snapshot: RunSnapshot, links: ThreadLinks = NO_LINKS) -> list[Block]:
    """The buttons that apply to a run now; a button that can only fail is left out.

    Where the dashboard's address is known, the menu leads to the run's page.
    """
    run = snapshot.run
    applicable = (
        live_buttons(snapshot) if run.is_live else [*continue_buttons(run), *restart_buttons(run)]
    )
    details = blocks.button("Details", action_id=ids.DETAILS, value=run.run_id)
    return _folded([*applicable, details], run.run_id, links.page(run.run_id))


def _folded(buttons: list[Block], run_id: str, page: str | None) -> list[Block]:
    """What fits in one row of a narrow phone, and a menu with the others, if any.

    That is two buttons, or one that says how many turns are left.
    """
    if len(buttons) < MAX_BUTTONS and page is None:
        return buttons
    likely = [one for one in buttons if one.get("style") or one["action_id"] == ids.CONTINUE_MORE]
    is_long = any(one["action_id"] == ids.CONTINUE_LEFT for one in buttons)
    shown = likely[: 1 if is_long else MAX_BUTTONS - 1]
    options = {
        ids.menu_value(one["action_id"], one["value"]): one["text"]["text"]
        for one in buttons
        if one not in shown
    }
    if page is None:
        return [*shown, blocks.overflow(ids.CARD_MENU, options)]
    opens_page = ids.menu_value(ids.DASHBOARD, run_id)
    options[opens_page] = "Dashboard"
    return [*shown, blocks.overflow(ids.CARD_MENU, options, {opens_page: page})]


def live_buttons(snapshot: RunSnapshot, *, question: str | None = None) -> list[Block]:
    """The buttons that stop a live run, at most one; none if that can only fail.

    Args:
        snapshot: The run.
        question: What is asked before a kill; `None` for a question with the cost so far.
    """
    if snapshot.run.kill_requested_at is None:
        asked = kill_question(snapshot)
        return [_button(snapshot, ids.KILL, asked.label, asked, words=question or asked.words)]
    if not may_force_kill(snapshot.termination):
        return []
    asked = force_question(snapshot)
    return [_button(snapshot, ids.FORCE_KILL, FORCE_KILL, asked, words=asked.words)]


def _button(
    snapshot: RunSnapshot, action_id: str, label: str, asked: KillQuestion, *, words: str
) -> Block:
    return blocks.button(
        label,
        action_id=action_id,
        value=snapshot.run.run_id,
        style="danger",
        confirm=blocks.confirm(title=asked.title, words=words, yes=asked.yes, no=asked.no),
    )
