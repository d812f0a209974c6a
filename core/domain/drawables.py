"""What is shown in Slack and kept true there: a kind, a place, and versions.

A drawable is behind while its drawn version is lower than the desired one.  A run's thread is
drawn from the run; other kinds are drawn from other rows, and nothing here knows which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class DrawableKind(StrEnum):
    """The kinds that the program draws.  The database takes any other word too."""

    THREAD = "thread"
    OWNER_NOTICE = "owner_notice"
    HOME = "home"


class DrawableId(NamedTuple):
    """A drawable: its kind, and its key among those of this kind."""

    kind: str
    key: str

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    @property
    def log_fields(self) -> dict[str, object]:
        """What log lines about it have as fields."""
        return {"drawable_kind": self.kind, "drawable_key": self.key}


@dataclass(frozen=True, kw_only=True)
class DrawablePlace:
    """Where a drawable is shown: in a channel, or to one person."""

    team_id: str
    channel_id: str | None = None
    user_id: str | None = None


class SlackMessageState(StrEnum):
    """What is known of a message in Slack.

    `SENDING` is written before the call: after a crash or a lost answer the message may or
    may not be there, and is looked for before it is sent again.
    """

    SENDING = "sending"
    SHOWN = "shown"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class SlackMessage:
    """One row of `slack_messages`: what is shown where, at which version.

    Attributes:
        thread_key: Key of the drawable; of a run's thread the `run_id` that heads it.
        slot: Which message of the drawable this is: `card`, `result:<run_id>`, …
        content_hash: Of the message as last sent; equal content is not sent again.
        version: The drawable's version that it was last sent for.
        drawable_kind: Kind of the drawable.
    """

    id: UUID
    thread_key: str
    slot: str
    channel_id: str
    state: SlackMessageState
    updated_at: datetime
    message_ts: str | None = None
    thread_ts: str | None = None
    version: int = 0
    content_hash: str | None = None
    attempts: int = 0
    error: str | None = None
    drawable_kind: str = DrawableKind.THREAD

    @property
    def drawable(self) -> DrawableId:
        """What it is a part of."""
        return DrawableId(self.drawable_kind, self.thread_key)


class UncertainWriteKind(StrEnum):
    """What Slack may have done late."""

    POSTED_TWICE = "posted_twice"
    OVERWRITTEN = "overwritten"


@dataclass(frozen=True, kw_only=True)
class UncertainWrite:
    """A message that must be checked once more.

    Attributes:
        due_at: When Slack has had its time.
    """

    thread_key: str
    slot: str
    kind: UncertainWriteKind
    due_at: datetime
    drawable_kind: str = DrawableKind.THREAD

    @property
    def drawable(self) -> DrawableId:
        """What the message is a part of."""
        return DrawableId(self.drawable_kind, self.thread_key)


@dataclass(frozen=True, kw_only=True)
class DrawableRequest:
    """That something is to be drawn from now on."""

    drawable: DrawableId
    place: DrawablePlace


@dataclass(frozen=True, kw_only=True)
class Drawable:
    """What should be shown, at which version, and what is.

    Attributes:
        desired_version: Rises with each change of what it is drawn from.
        drawn_version: Up to where all of it is shown.
        is_live: Whether it showed something that still goes on when it was last drawn.
        active_until: It is not kept true after this; `None` for always.
        messages: What is shown of it, by slot.
    """

    id: DrawableId
    place: DrawablePlace
    desired_version: int
    drawn_version: int
    is_live: bool = True
    active_until: datetime | None = None
    messages: Mapping[str, SlackMessage] = field(default_factory=dict)

    def is_active(self, now: datetime) -> bool:
        """Whether it is kept true."""
        return self.active_until is None or self.active_until > now
