"""Messages about channels that begin or end: an offer to subscribe, and what ended with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bot.slack import ids, text
from bot.slack.commands.alerts.command_text import subscribe_command_text
from bot.slack.views import blocks
from bot.slack.views.message import Message
from bot.words import counts
from core.domain.alerts.channels.subscription import Subscription

CHANNEL_ARCHIVED = "channel_archived"
CHANNEL_DELETED = "channel_deleted"
BOT_REMOVED = "bot_removed"

# By the reason: what happened, and what to do to have the alerts here again.
_ENDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        CHANNEL_ARCHIVED: (
            "was archived",
            "When it is unarchived, or in another channel that I am in, type",
        ),
        CHANNEL_DELETED: ("was deleted", "In another channel that I am in, type"),
        BOT_REMOVED: (
            "is one that I was removed from",
            "Invite me again (`/invite @signalbox`) or choose another channel, and type there",
        ),
    }
)
_COMMANDS_LIMIT = 2600


def offer_message(channel_id: str) -> Message:
    """The offer to the person who invited the bot to a channel."""
    where = text.channel(channel_id) or "this channel"
    words = (
        f"Thanks for the invitation to {where}. Shall I tell alerts there: runs that fail or "
        "stall, lost workers, rising costs? Nothing is told unless somebody subscribes it."
    )
    button = blocks.button(
        "Subscribe to alerts…",
        action_id=ids.SUBSCRIBE_ALERTS,
        value=channel_id,
        style="primary",
    )
    return Message(
        text=words,
        blocks=(
            blocks.section(words),
            blocks.actions(ids.ALERTS_ACTIONS, [button]),
            blocks.context("Later: `/workflow alerts subscribe` in the channel."),
        ),
    )


def ended_message(channel_id: str, ended: Sequence[Subscription], *, reason: str) -> Message:
    """The direct message to the person whose subscriptions ended with their channel.

    Args:
        channel_id: The channel.
        ended: The person's own subscriptions of it.
        reason: One of this module's reasons.
    """
    happened, advice = _ENDS[reason]
    where = text.channel(channel_id) or "A channel"
    count = counts.plural(len(ended), "subscription")
    lead = (
        f"🔕 {where} {happened}, so your {count} to alerts there "
        f"{'has' if len(ended) == 1 else 'have'} ended: nobody is told there any more."
    )
    commands = blocks.fit_lines(
        [text.escape(f"/workflow {subscribe_command_text(one)}") for one in ended], _COMMANDS_LIMIT
    )
    return Message(
        text=lead,
        blocks=(
            blocks.section(lead),
            blocks.section(f"{advice}:\n```\n" + "\n".join(commands) + "\n```"),
        ),
    )
