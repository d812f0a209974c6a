"""Drawables: what is shown in Slack and kept up to date.  Each has a kind, a place and versions.

A drawable is outdated while its drawn version is lower than the desired one.  A run's thread is
drawn from the run.  Other kinds are drawn from other rows; this module does not depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class DrawableKind(StrEnum):
    """The kinds that the program draws.  The database accepts any other word too."""

    THREAD = "thread"
    OWNER_NOTICE = "owner_notice"
    HOME = "home"
    ALERT = "alert"
    DIGEST = "digest"


class DrawableId(NamedTuple):
    """The identity of a drawable: its kind, and its key, which is unique within the kind."""

    kind: str
    key: str

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    @property
    def log_fields(self) -> dict[str, object]:
        """The structured fields of log lines about this drawable."""
        return {"drawable_kind": self.kind, "drawable_key": self.key}


@dataclass(frozen=True, kw_only=True)
class DrawablePlace:
    """Where a drawable is shown: in a channel, or to one person."""

    team_id: str
    channel_id: str | None = None
    user_id: str | None = None


class SlackMessageState(StrEnum):
    """What is known about a message in Slack.

    `SENDING` is stored before the call.  After a crash or a lost response, the message may or
    may not exist, so it is searched for before it is sent again.  `GONE`: the message is not in
    Slack, or cannot be changed there; `SlackMessage.error` gives the reason.
    """

    SENDING = "sending"
    SHOWN = "shown"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class SlackMessage:
    """One row of `slack_messages`: one message of a drawable.

    Attributes:
        thread_key: The key of the drawable; for a run's thread, the `run_id` of its first run.
        slot: Which message of the drawable this is: `card`, `result:<run_id>`, …
        content_hash: The digest of the content last sent; equal content is not sent again.
        version: The version of the drawable for which the message was last sent.
        attempts: How often the message was reset to be posted again.
        error: Why the message is `GONE`: an error name of Slack, `unsent` or `deleted`; or what is
            missing in one that is shown.
        drawable_kind: The kind of the drawable.
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
        """The drawable to which the message belongs."""
        return DrawableId(self.drawable_kind, self.thread_key)


class UncertainWriteKind(StrEnum):
    """The possible effect of a call that Slack executed late."""

    POSTED_TWICE = "posted_twice"
    OVERWRITTEN = "overwritten"


@dataclass(frozen=True, kw_only=True)
class UncertainWrite:
    """A message that must be checked again, because Slack may execute a call late.

    Attributes:
        due_at: When to check it; late calls should have been executed by then.
    """

    thread_key: str
    slot: str
    kind: UncertainWriteKind
    due_at: datetime
    drawable_kind: str = DrawableKind.THREAD

    @property
    def drawable(self) -> DrawableId:
        """The drawable to which the message belongs."""
        return DrawableId(self.drawable_kind, self.thread_key)


@dataclass(frozen=True, kw_only=True)
class DrawableRequest:
    """The request to draw something from now on."""

    drawable: DrawableId
    place: DrawablePlace


@dataclass(frozen=True, kw_only=True)
class Drawable:
    """The desired and the drawn version of something that is shown in Slack.

    Attributes:
        desired_version: Rises with each change of the rows it is drawn from.
        drawn_version: The version that is completely shown.
        is_live: Whether its subject was still in progress when it was last drawn.
        active_until: It is kept up to date until then; `None` means always.
        messages: The rows of its messages, by slot.
    """

    id: DrawableId
    place: DrawablePlace
    desired_version: int
    drawn_version: int
    is_live: bool = True
    active_until: datetime | None = None
    messages: Mapping[str, SlackMessage] = field(default_factory=dict)

    def is_active(self, now: datetime) -> bool:
        """Whether it is kept up to date."""
        return self.active_until is None or self.active_until > now


@dataclass(frozen=True, kw_only=True)
class SlackHealth:
    """One row of `slack_health`: how far what is shown in a workspace is behind.

    Attributes:
        at: When the bot that draws wrote it.
        outdated: How many drawables wait to be drawn.
        oldest_at: Since when the longest waiting one is outdated; `None` if none is.
        refused: How many messages Slack refused for good within a day.
        limited: The Web API methods that Slack limits for long.
    """

    team_id: str
    at: datetime
    outdated: int = 0
    oldest_at: datetime | None = None
    refused: int = 0
    limited: tuple[str, ...] = ()
