"""When a message that Slack no longer lets the bot change is replaced by a new one.

Slack refuses some updates for good: the workspace limits how long messages may be edited, or the
message is not the bot's any more.  A new message then takes the old one's place.  A workspace that
allows no edits at all must not get a new message for every change, so replacements are few, and
further and further apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from bot.slack.drawing.messages.posting import UNSENT
from bot.slack.views.message import Content, Message
from bot.slack.views.replacement import with_replacement_note
from core.domain.drawables import SlackMessage, SlackMessageState

# So old a message must be for its replacement: the first one, then each replacement.
_MIN_AGES = (timedelta(0), timedelta(minutes=1), timedelta(minutes=10))
MAX_REPLACEMENTS = len(_MIN_AGES)
# An unknown refusal counts as final after so many in a row, with pauses of 2 s to 16 s.
UNKNOWN_REFUSALS = 5


class Verdict(Enum):
    """What happens to a message that cannot be changed."""

    REPLACE = auto()
    WAIT = auto()
    GIVE_UP = auto()


def verdict(shown: SlackMessage, *, is_final: bool, now: datetime) -> Verdict:
    """What to do with a message that Slack refuses to change.

    Args:
        shown: The row of the message.
        is_final: Whether its subject has ended: that is shown by one more replacement, at once.
        now: The current time.
    """
    if shown.attempts >= MAX_REPLACEMENTS:
        is_extra = is_final and shown.attempts == MAX_REPLACEMENTS
        return Verdict.REPLACE if is_extra else Verdict.GIVE_UP
    if is_final or now - _posted_at(shown, now) >= _MIN_AGES[shown.attempts]:
        return Verdict.REPLACE
    return Verdict.WAIT


def seconds_until_replaceable(shown: SlackMessage, now: datetime) -> float:
    """How long to wait after the verdict `WAIT`."""
    return (_posted_at(shown, now) + _MIN_AGES[shown.attempts] - now).total_seconds()


def with_notes(
    desired: Mapping[str, Content], messages: Mapping[str, SlackMessage], *, archive_url: str
) -> Mapping[str, Content]:
    """Mark the messages that replace earlier ones as such.

    Args:
        desired: What a drawable should show, by slot, the head first.
        messages: The stored rows of its messages, by slot.
        archive_url: The beginning of the addresses of messages; empty if it is not known.
    """
    head = next(iter(desired), None)
    noted: dict[str, Content] = {}
    for slot, content in desired.items():
        shown = messages.get(slot)
        if isinstance(content, Message) and shown is not None and shown.attempts:
            # A head that was posted again is a reply in the thread of the first one.
            root = shown.thread_ts if slot == head and archive_url else None
            link = f"{archive_url}/{shown.channel_id}/p{root.replace('.', '')}" if root else None
            noted[slot] = with_replacement_note(content, link=link)
        else:
            noted[slot] = content
    return noted


def reset_for_repost(
    shown: SlackMessage, *, thread_ts: str | None, replaced: str | None, now: datetime
) -> SlackMessage:
    """The row with which a message is posted again.

    Args:
        shown: The present row.
        thread_ts: The thread to post it in; `None` posts it in the channel.
        replaced: The message to delete after the post; `None` if it is gone already.
        now: The current time.
    """
    return replace(
        shown,
        state=SlackMessageState.GONE,
        error=UNSENT,
        message_ts=replaced,
        thread_ts=thread_ts,
        content_hash=None,
        attempts=shown.attempts + 1,
        updated_at=now,
    )


def _posted_at(shown: SlackMessage, now: datetime) -> datetime:
    """When Slack posted a message: its `ts` is that time."""
    try:
        return datetime.fromtimestamp(float(shown.message_ts or ""), UTC)
    except (ValueError, OverflowError, OSError):
        return now
