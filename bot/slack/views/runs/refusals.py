"""Refusals: which people are allowed to do it, and a button that asks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bot.slack import ids, text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Block, Message
from bot.slack.views.runs.continue_buttons import continue_buttons, restart_button
from bot.slack.views.runs.rows import kill_listed_button
from bot.words.refusals import who_can
from core.domain.actor import RUN_DEEDS, Action, Actor
from core.domain.runs.snapshot import RunSnapshot
from core.services.context import NotAllowed

# What can be asked for, by the id of the button.
ASKED_ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        ids.ASK_KILL: Action.KILL,
        ids.ASK_CONTINUE: Action.CONTINUE,
        ids.ASK_RESTART: Action.RESTART,
    }
)
_BUTTON_OF_ACTION = {action: button for button, action in ASKED_ACTIONS.items()}


def refusal_message(refusal: NotAllowed) -> Message | None:
    """Who may do it, with a button to ask; `None` unless it is about somebody else's run."""
    run = refusal.run
    if run is None or not refusal.is_foreign:
        return None
    who = who_can(refusal.deed, refusal.owner, MRKDWN)
    suffix = f" · leg {refusal.leg}" if refusal.leg > 1 else ""
    words = f"{who} {text.one_line(refusal.about, 90)}{suffix} (`{run.run_id}`)"
    drawn: list[Block] = [blocks.section(words)]
    action_id = _BUTTON_OF_ACTION.get(refusal.action)
    if action_id is not None:
        ask = blocks.button("Ask an operator", action_id=action_id, value=run.run_id)
        drawn.append(blocks.actions(ids.REFUSAL_ACTIONS, [ask]))
    return Message(text=words, blocks=tuple(drawn))


def request_to_operators(
    snapshot: RunSnapshot, action: Action, *, by: Actor, operators: Sequence[str]
) -> Message:
    """The request in the thread of a run; it calls the owner and the operators.

    Args:
        snapshot: The run.
        action: What is asked for.
        by: Who asks.
        operators: Ids of members and user groups that `[roles]` lists.
    """
    called = [MRKDWN.person(snapshot.owner)] if snapshot.owner is not None else []
    called += [mention for one in operators if (mention := _mention(one)) not in ("", *called)]
    asker = text.person(by.external_id, by.name)
    words = (
        f"{', '.join(called) or 'Operators'}: {asker} may not {RUN_DEEDS[action]} and asks you "
        "to do it."
    )
    buttons = (
        [kill_listed_button(snapshot, is_own=False)]
        if action is Action.KILL and snapshot.run.is_live
        else [restart_button(snapshot.run)]
        if action is Action.RESTART
        else continue_buttons(snapshot.run)
    )
    drawn: list[Block] = [blocks.section(words)]
    if buttons:
        drawn.append(blocks.actions(ids.REQUEST_ACTIONS, buttons))
    return Message(text=words, blocks=tuple(drawn))


def _mention(entry: str) -> str:
    if entry.startswith("S") and entry.isalnum():
        return f"<!subteam^{entry}>"
    mention = text.person(entry, "")
    return mention if mention.startswith("<@") else ""
