"""What a thread lacks, found without touching anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from bot.slack.client.rate_limits import Priority
from bot.slack.client.refusals import RefusalKind, refusal_kind
from bot.slack.drawing.posting import UNSENT, content_hash
from bot.slack.views.message import Message, TextFile
from bot.slack.views.thread.slots import CARD
from core.domain.runs.run import Run
from core.domain.runs.snapshot import SlackMessage, SlackMessageState, Thread

# A channel that took nothing is asked again after this, if its thread has news.
RETRY_CHANNEL_AFTER = timedelta(minutes=5)
# The reason of a row whose message somebody deleted in Slack.
DELETED = "deleted"


class ActionKind(Enum):
    """What is to be done with a message."""

    POST = auto()
    FIND = auto()
    UPDATE = auto()


@dataclass(frozen=True, kw_only=True)
class DrawAction:
    """The next thing a thread lacks."""

    kind: ActionKind
    slot: str
    message: Message | TextFile
    current: SlackMessage | None
    channel_id: str
    thread_ts: str | None

    @property
    def method(self) -> str:
        """The Web API method whose permit it takes."""
        if isinstance(self.message, TextFile):
            return "files.completeUploadExternal"
        return "chat.postMessage" if self.kind is ActionKind.POST else "chat.update"


def is_lost(shown: SlackMessage) -> bool:
    """Whether a message cannot be shown any more, for a reason."""
    return shown.state is SlackMessageState.GONE and shown.error != UNSENT


def is_worth_retrying(shown: SlackMessage, now: datetime) -> bool:
    """Whether a place that was lost is worth another try: the bot may be invited again."""
    is_place = refusal_kind(shown.error or "") is RefusalKind.PLACE_LOST
    return is_lost(shown) and is_place and now - shown.updated_at >= RETRY_CHANNEL_AFTER


def action_kind(shown: SlackMessage | None, message: Message | TextFile) -> ActionKind | None:
    """What a message lacks."""
    if shown is None:
        return ActionKind.POST
    if shown.state is SlackMessageState.SENDING:
        return ActionKind.FIND
    if shown.state is SlackMessageState.GONE and is_lost(shown):
        return None
    if shown.state is SlackMessageState.GONE:
        return ActionKind.POST
    if isinstance(message, TextFile):
        return None
    return None if shown.content_hash == content_hash(message) else ActionKind.UPDATE


def newest_run(thread: Thread) -> Run:
    """The newest leg of a thread."""
    return thread.legs[-1].run


def target_version(thread: Thread) -> int:
    """What `behind` compares a card's version with."""
    return max(leg.run.version for leg in thread.legs)


def priority_of(thread: Thread, action: DrawAction, *, is_idle: bool) -> Priority:
    """Ends go before answers (a first card, a kill, a question), answers before steps."""
    run = newest_run(thread)
    if not run.is_live:
        return Priority.FINAL
    if action.kind is not ActionKind.UPDATE or run.kill_requested_at or run.waiting_on:
        return Priority.ANSWER
    return Priority.IDLE if is_idle else Priority.STEP


def next_action(
    thread: Thread, desired: Mapping[str, Message | TextFile], *, now: datetime
) -> DrawAction | None:
    """The first thing a thread lacks, as far as it can be had there.

    Args:
        thread: As it is.
        desired: What it should show, by slot, the card first.
        now: The present.
    """
    card = thread.messages.get(CARD)
    if card is not None and is_worth_retrying(card, now):
        card = _reset_for_retry(card)
        thread = replace(thread, messages={**thread.messages, CARD: card})
    if card is not None and is_lost(card) and card.error != DELETED:
        return None
    root = (card.thread_ts or card.message_ts) if card is not None else None
    for slot, message in desired.items():
        shown = thread.messages.get(slot)
        if slot != CARD and root is None:
            continue
        kind = action_kind(shown, message)
        if kind is not None:
            return DrawAction(
                kind=kind,
                slot=slot,
                message=message,
                current=shown,
                channel_id=thread.channel_id,
                thread_ts=root if slot != CARD else shown.thread_ts if shown else None,
            )
    return None


def needs_owner_notice(thread: Thread) -> bool:
    """Whether the newest leg has ended and its thread takes no word of that.

    Where somebody deleted a message, they have read it.
    """
    run = newest_run(thread)
    ends = (thread.messages.get(CARD), thread.messages.get(f"result:{run.run_id}"))
    return not run.is_live and any(
        row is not None and is_lost(row) and row.error != DELETED for row in ends
    )


def _reset_for_retry(card: SlackMessage) -> SlackMessage:
    if card.message_ts:
        return replace(card, state=SlackMessageState.SHOWN, error=None, content_hash=None)
    return replace(card, state=SlackMessageState.GONE, error=UNSENT, content_hash=None)
