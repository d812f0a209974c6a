"""What a thread lacks, found without touching anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from bot.slack.client.rate_limits import Priority
from bot.slack.client.refusals import Meaning, meaning_of
from bot.slack.drawing.posting import UNSENT, content_hash
from bot.slack.views.message import Message, TextFile
from bot.slack.views.thread.thread import CARD
from core.domain.runs.run import Run
from core.domain.runs.snapshot import Shown, ShownState, Thread

# A channel that took nothing is asked again after this, if its thread has news.
RETRY_PLACE_AFTER = timedelta(minutes=5)
# The reason of a row whose message somebody deleted in Slack.
DELETED = "deleted"


class Kind(Enum):
    """What is to be done with a message."""

    POST = auto()
    FIND = auto()
    UPDATE = auto()


@dataclass(frozen=True, kw_only=True)
class Todo:
    """The next thing a thread lacks."""

    kind: Kind
    slot: str
    message: Message | TextFile
    shown: Shown | None
    channel_id: str
    thread_ts: str | None

    @property
    def method(self) -> str:
        """The Web API method whose permit it takes."""
        if isinstance(self.message, TextFile):
            return "files.completeUploadExternal"
        return "chat.postMessage" if self.kind is Kind.POST else "chat.update"


def is_lost(shown: Shown) -> bool:
    """Whether a message cannot be shown any more, for a reason."""
    return shown.state is ShownState.GONE and shown.error != UNSENT


def may_be_back(shown: Shown, now: datetime) -> bool:
    """Whether a place that was lost is worth another try: the bot may be invited again."""
    is_place = meaning_of(shown.error or "") is Meaning.PLACE_LOST
    return is_lost(shown) and is_place and now - shown.updated_at >= RETRY_PLACE_AFTER


def kind_of(shown: Shown | None, message: Message | TextFile) -> Kind | None:
    """What a message lacks."""
    if shown is None:
        return Kind.POST
    if shown.state is ShownState.SENDING:
        return Kind.FIND
    if shown.state is ShownState.GONE and is_lost(shown):
        return None
    if shown.state is ShownState.GONE:
        return Kind.POST
    if isinstance(message, TextFile):
        return None
    return None if shown.content_hash == content_hash(message) else Kind.UPDATE


def newest(thread: Thread) -> Run:
    """The newest leg of a thread."""
    return thread.legs[-1].run


def version_of(thread: Thread) -> int:
    """What `behind` compares a card's version with."""
    return max(leg.run.version for leg in thread.legs)


def priority_of(thread: Thread, todo: Todo, *, is_idle: bool) -> Priority:
    """Ends go before answers (a first card, a kill, a question), answers before steps."""
    run = newest(thread)
    if not run.is_live:
        return Priority.FINAL
    if todo.kind is not Kind.UPDATE or run.kill_requested_at or run.waiting_on:
        return Priority.ANSWER
    return Priority.IDLE if is_idle else Priority.STEP


def lacking(
    thread: Thread, drawn: Mapping[str, Message | TextFile], *, now: datetime
) -> Todo | None:
    """The first thing a thread lacks, as far as it can be had there.

    Args:
        thread: As it is.
        drawn: What it should show, by slot, the card first.
        now: The present.
    """
    card = thread.shown.get(CARD)
    if card is not None and may_be_back(card, now):
        card = _as_if_back(card)
        thread = replace(thread, shown={**thread.shown, CARD: card})
    if card is not None and is_lost(card) and card.error != DELETED:
        return None
    root = (card.thread_ts or card.message_ts) if card is not None else None
    for slot, message in drawn.items():
        shown = thread.shown.get(slot)
        if slot != CARD and root is None:
            continue
        kind = kind_of(shown, message)
        if kind is not None:
            return Todo(
                kind=kind,
                slot=slot,
                message=message,
                shown=shown,
                channel_id=thread.channel_id,
                thread_ts=root if slot != CARD else shown.thread_ts if shown else None,
            )
    return None


def is_untold(thread: Thread) -> bool:
    """Whether the newest leg has ended and its thread takes no word of that.

    Where somebody deleted a message, they have read it.
    """
    run = newest(thread)
    ends = (thread.shown.get(CARD), thread.shown.get(f"result:{run.run_id}"))
    return not run.is_live and any(
        row is not None and is_lost(row) and row.error != DELETED for row in ends
    )


def _as_if_back(card: Shown) -> Shown:
    if card.message_ts:
        return replace(card, state=ShownState.SHOWN, error=None, content_hash=None)
    return replace(card, state=ShownState.GONE, error=UNSENT, content_hash=None)
