"""What a drawable lacks, found without touching anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from bot.slack.client.refusals import RefusalKind, refusal_kind
from bot.slack.drawing.posting import UNSENT, content_hash
from bot.slack.views.message import Content, HomeView, TextFile
from core.domain.drawables import SlackMessage, SlackMessageState

# A channel that took nothing is asked again after this, if there is news for it.
RETRY_CHANNEL_AFTER = timedelta(minutes=5)
# The reason of a row whose message somebody deleted in Slack.
DELETED = "deleted"


class ActionKind(Enum):
    """What is to be done with a message."""

    POST = auto()
    FIND = auto()
    UPDATE = auto()
    PUBLISH = auto()


@dataclass(frozen=True, kw_only=True)
class DrawAction:
    """The next thing a drawable lacks.

    Attributes:
        channel_id: Where it is shown; `None` for the place of the drawable.
    """

    kind: ActionKind
    slot: str
    message: Content
    current: SlackMessage | None
    channel_id: str | None
    thread_ts: str | None

    @property
    def method(self) -> str:
        """The Web API method whose permit it takes."""
        if isinstance(self.message, TextFile):
            return "files.completeUploadExternal"
        if isinstance(self.message, HomeView):
            return "views.publish"
        return "chat.postMessage" if self.kind is ActionKind.POST else "chat.update"


def is_lost(shown: SlackMessage) -> bool:
    """Whether a message cannot be shown any more, for a reason."""
    return shown.state is SlackMessageState.GONE and shown.error != UNSENT


def is_worth_retrying(shown: SlackMessage, now: datetime) -> bool:
    """Whether a place that was lost is worth another try: the bot may be invited again."""
    is_place = refusal_kind(shown.error or "") is RefusalKind.PLACE_LOST
    return is_lost(shown) and is_place and now - shown.updated_at >= RETRY_CHANNEL_AFTER


def action_kind(shown: SlackMessage | None, message: Content) -> ActionKind | None:
    """What a message lacks."""
    if shown is not None and is_lost(shown):
        return None
    if isinstance(message, HomeView):
        is_shown = shown is not None and shown.content_hash == content_hash(message)
        return None if is_shown else ActionKind.PUBLISH
    if shown is None or shown.state is SlackMessageState.GONE:
        return ActionKind.POST
    if shown.state is SlackMessageState.SENDING:
        return ActionKind.FIND
    if isinstance(message, TextFile):
        return None
    return None if shown.content_hash == content_hash(message) else ActionKind.UPDATE


def next_action(
    messages: Mapping[str, SlackMessage],
    desired: Mapping[str, Content],
    *,
    channel_id: str | None,
    now: datetime,
) -> DrawAction | None:
    """The first thing a drawable lacks, as far as it can be had there.

    Args:
        messages: What is shown, by slot.
        desired: What it should show, by slot.  The first message is the head; the others are
            replies to it.
        channel_id: Where it is shown.
        now: The present.
    """
    head_slot = next(iter(desired), None)
    head = messages.get(head_slot) if head_slot is not None else None
    if head is not None and is_worth_retrying(head, now):
        head = _reset_for_retry(head)
        messages = {**messages, head.slot: head}
    if head is not None and is_lost(head) and head.error != DELETED:
        return None
    root = (head.thread_ts or head.message_ts) if head is not None else None
    for slot, message in desired.items():
        shown = messages.get(slot)
        if slot != head_slot and root is None:
            continue
        kind = action_kind(shown, message)
        if kind is not None:
            return DrawAction(
                kind=kind,
                slot=slot,
                message=message,
                current=shown,
                channel_id=(shown.channel_id or None) if shown and not channel_id else channel_id,
                thread_ts=root if slot != head_slot else shown.thread_ts if shown else None,
            )
    return None


def _reset_for_retry(head: SlackMessage) -> SlackMessage:
    if head.message_ts:
        return replace(head, state=SlackMessageState.SHOWN, error=None, content_hash=None)
    return replace(head, state=SlackMessageState.GONE, error=UNSENT, content_hash=None)
