"""Compares what a drawable shows with what it should show.  Pure: no I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from bot.slack.client.refusals import RefusalKind, refusal_kind
from bot.slack.drawing.messages.forms import CHARTS_REFUSED
from bot.slack.drawing.messages.posting import UNSENT, content_hash
from bot.slack.views.message import Content, HomeView, PictureFile, ThreadFile
from core.domain.drawables import SlackMessage, SlackMessageState

# A lost channel is retried after this time, when a drawable in it changes.
RETRY_CHANNEL_AFTER = timedelta(minutes=5)
_ABOUT_THE_MESSAGE = frozenset(
    {RefusalKind.MESSAGE_FROZEN, RefusalKind.CONTENT_REFUSED, RefusalKind.TRANSIENT}
)
# `SlackMessage.error` of a message that somebody deleted in Slack.
DELETED = "deleted"


class ActionKind(Enum):
    """What to do with a message."""

    POST = auto()
    FIND = auto()
    UPDATE = auto()
    PUBLISH = auto()


@dataclass(frozen=True, kw_only=True)
class DrawAction:
    """The next action that brings a drawable up to date.

    Attributes:
        message: The desired content of the slot.
        current: The stored row of the slot, if there is one.
        channel_id: The channel to send to; `None` until `PlaceFinder` has resolved it from the
            place of the drawable.
    """

    kind: ActionKind
    slot: str
    message: Content
    current: SlackMessage | None
    channel_id: str | None
    thread_ts: str | None

    @property
    def method(self) -> str:
        """The Web API method whose rate limit applies to this action."""
        if isinstance(self.message, ThreadFile):
            return "files.completeUploadExternal"
        if isinstance(self.message, HomeView):
            return "views.publish"
        return "chat.postMessage" if self.kind is ActionKind.POST else "chat.update"


def is_lost(shown: SlackMessage) -> bool:
    """Whether a message can no longer be shown; `error` gives the reason."""
    return shown.state is SlackMessageState.GONE and shown.error != UNSENT


def is_worth_retrying(shown: SlackMessage, now: datetime) -> bool:
    """Whether to retry a lost channel now: the bot may have been invited again."""
    is_place = refusal_kind(shown.error or "") is RefusalKind.PLACE_LOST
    return is_lost(shown) and is_place and now - shown.updated_at >= RETRY_CHANNEL_AFTER


def action_kind(shown: SlackMessage | None, message: Content) -> ActionKind | None:
    """The action that brings one message up to date; `None` if there is none."""
    if shown is not None and is_lost(shown):
        return None
    if isinstance(message, HomeView):
        is_shown = shown is not None and shown.content_hash == content_hash(message)
        return None if is_shown else ActionKind.PUBLISH
    if shown is None or shown.state is SlackMessageState.GONE:
        return ActionKind.POST
    if shown.state is SlackMessageState.SENDING:
        return ActionKind.FIND
    if isinstance(message, ThreadFile):
        return None
    return None if shown.content_hash == content_hash(message) else ActionKind.UPDATE


def next_action(
    messages: Mapping[str, SlackMessage],
    desired: Mapping[str, Content],
    *,
    channel_id: str | None,
    now: datetime,
    held: Collection[str] = (),
    posts_only: bool = False,
) -> DrawAction | None:
    """The first action that brings a drawable up to date.

    `None` if it is up to date, or if no more is possible now: nothing can be shown in a lost
    channel, and no reply can be posted before its head.

    Args:
        messages: The stored rows of the messages, by slot.
        desired: What the drawable should show, by slot.  The first message is the head; the
            others are replies to it.
        channel_id: The channel of the drawable; `None` if it is shown to a person.
        now: The current time.
        held: The slots that cannot be drawn now.
        posts_only: Pass over messages that have to be updated.
    """
    head_slot = next(iter(desired), None)
    head = messages.get(head_slot) if head_slot is not None else None
    if head is not None and is_worth_retrying(head, now):
        head = _reset_for_retry(head)
        messages = {**messages, head.slot: head}
    if head is not None and _is_thread_lost(head):
        return None
    root = (head.thread_ts or head.message_ts) if head is not None else None
    for slot, message in desired.items():
        shown = messages.get(slot)
        if slot in held or (slot != head_slot and root is None):
            continue
        if isinstance(message, PictureFile) and not _needs_pictures(head):
            continue
        kind = action_kind(shown, message)
        if kind is not None and not (posts_only and kind is ActionKind.UPDATE):
            return DrawAction(
                kind=kind,
                slot=slot,
                message=message,
                current=shown,
                channel_id=(shown.channel_id or None) if shown and not channel_id else channel_id,
                thread_ts=root if slot != head_slot else shown.thread_ts if shown else None,
            )
    return None


def _needs_pictures(head: SlackMessage | None) -> bool:
    """Whether the head is shown without its charts."""
    return head is not None and head.error == CHARTS_REFUSED


def _is_thread_lost(head: SlackMessage) -> bool:
    """Whether no replies are possible: not if only the head itself is gone or cannot be changed."""
    if not is_lost(head) or head.error == DELETED:
        return False
    is_head_only = refusal_kind(head.error or "") in _ABOUT_THE_MESSAGE
    return not (is_head_only and (head.message_ts or head.thread_ts))


def _reset_for_retry(head: SlackMessage) -> SlackMessage:
    if head.message_ts:
        return replace(head, state=SlackMessageState.SHOWN, error=None, content_hash=None)
    return replace(head, state=SlackMessageState.GONE, error=UNSENT, content_hash=None)
