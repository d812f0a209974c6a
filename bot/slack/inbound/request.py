"""A delivery of Slack as one value, for commands, buttons, forms, shortcuts and events.

Parsing is pure and accepts any JSON: a missing field is `None`, never an error.  What is accepted
from outside is decided before, in `bot.slack.inbound.deliveries`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot.slack.inbound.fields import part_of as _part
from bot.slack.inbound.fields import private_metadata
from bot.slack.inbound.fields import text_of as _text
from bot.slack.inbound.origin import (
    NO_ORIGIN,
    DeliveryOrigin,
    command_origin,
    event_origin,
    interaction_origin,
)


class RequestKind(StrEnum):
    """The kind of a delivery."""

    COMMAND = "command"
    ACTION = "action"
    SUBMISSION = "submission"
    SHORTCUT = "shortcut"
    MESSAGE = "message"
    HOME = "home"
    CHANNEL = "channel"
    OTHER = "other"


# Subtypes of messages that people write; the others are edits, deletions, joins and bots.
_HUMAN_SUBTYPES = frozenset({None, "", "thread_broadcast", "file_share"})
# What happens to a channel as a whole; joins and leaves count if they are the bot's own.
_JOINED = "member_joined_channel"
_LEFT = "member_left_channel"
CHANNEL_EVENTS = frozenset(
    {
        _JOINED,
        _LEFT,
        "channel_archive",
        "channel_deleted",
        "channel_left",
        "group_archive",
        "group_deleted",
        "group_left",
    }
)
_CHANNEL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class SlackRequest:
    """One delivery.

    Attributes:
        key: Identifies redeliveries; `None` for a delivery that is acknowledged and dropped.
        origin: The workspaces and organisations that it names.
        thread_ts: The thread of the message or the button, if it is in one.
        message_ts: The message that was written, or whose button or shortcut was used.
        trigger_id: Opens one modal, within 3 seconds.
        is_ext_shared: Whether the channel is shared with another organisation.
        mentions_bot: Whether the message is addressed to the bot.
        is_replay: Whether a bot that died had accepted it; its trigger has expired.
    """

    kind: RequestKind
    body: Mapping[str, Any] = field(repr=False)
    key: str | None = None
    origin: DeliveryOrigin = NO_ORIGIN
    user_id: str | None = None
    channel_id: str | None = None
    thread_ts: str | None = None
    message_ts: str | None = None
    trigger_id: str | None = None
    response_url: str | None = None
    text: str = field(default="", repr=False)
    action_id: str = ""
    value: str = ""
    is_ext_shared: bool = False
    mentions_bot: bool = False
    is_replay: bool = False

    @property
    def is_direct(self) -> bool:
        """Whether it comes from a direct conversation."""
        return self.channel_id is not None and self.channel_id.startswith("D")

    @property
    def log_fields(self) -> dict[str, object]:
        """What log lines say about it: ids, none of its words."""
        return {
            "kind": self.kind.value,
            "user_id": self.user_id,
            "channel_id": self.channel_id,
            "thread_ts": self.thread_ts,
        }


def parse_request(
    body: Mapping[str, Any], *, bot_user_id: str, is_replay: bool = False
) -> SlackRequest:
    """Parse the body of a delivery."""
    if _text(body, "command") is not None:
        return _command(body, is_replay=is_replay)
    kind = _text(body, "type")
    if kind == "event_callback":
        return _event(body, bot_user_id=bot_user_id, is_replay=is_replay)
    if kind == "block_actions":
        return _action(body, is_replay=is_replay)
    if kind == "view_submission":
        return _submission(body, is_replay=is_replay)
    if kind in {"message_action", "shortcut"}:
        return _shortcut(body, is_replay=is_replay)
    return SlackRequest(kind=RequestKind.OTHER, body=body, is_replay=is_replay)


def _command(body: Mapping[str, Any], *, is_replay: bool) -> SlackRequest:
    trigger = _text(body, "trigger_id")
    return SlackRequest(
        kind=RequestKind.COMMAND,
        body=body,
        key=f"command:{trigger}" if trigger else None,
        origin=command_origin(body),
        user_id=_text(body, "user_id"),
        channel_id=_text(body, "channel_id"),
        trigger_id=trigger,
        response_url=_text(body, "response_url"),
        text=_text(body, "text") or "",
        is_replay=is_replay,
    )


def _action(body: Mapping[str, Any], *, is_replay: bool) -> SlackRequest:
    actions = body.get("actions")
    action = actions[0] if isinstance(actions, list) and actions else {}
    action = action if isinstance(action, dict) else {}
    user, container = _part(body, "user"), _part(body, "container")
    message, view = _part(body, "message"), _part(body, "view")
    message_ts = _text(container, "message_ts") or _text(message, "ts")
    thread_ts = _text(container, "thread_ts") or _text(message, "thread_ts")
    user_id, at = _text(user, "id"), _text(action, "action_ts")
    action_id = _text(action, "action_id") or ""
    return SlackRequest(
        kind=RequestKind.ACTION,
        body=body,
        key=f"action:{user_id}:{action_id}:{at}" if user_id and at else None,
        origin=interaction_origin(body),
        user_id=user_id,
        channel_id=_text(_part(body, "channel"), "id")
        or _text(container, "channel_id")
        or channel_of_view(view),
        # A button on the root message counts as pressed in the channel, not in the thread.
        thread_ts=thread_ts if thread_ts != message_ts else None,
        message_ts=message_ts,
        trigger_id=_text(body, "trigger_id"),
        response_url=_text(body, "response_url"),
        action_id=action_id,
        value=_text(action, "value") or _text(_part(action, "selected_option"), "value") or "",
        is_replay=is_replay,
    )


def _submission(body: Mapping[str, Any], *, is_replay: bool) -> SlackRequest:
    view, user = _part(body, "view"), _part(body, "user")
    trigger = _text(body, "trigger_id") or _text(view, "hash")
    return SlackRequest(
        kind=RequestKind.SUBMISSION,
        body=body,
        key=f"view:{_text(view, 'id')}:{trigger}" if trigger else None,
        origin=interaction_origin(body),
        user_id=_text(user, "id"),
        channel_id=channel_of_view(view),
        trigger_id=_text(body, "trigger_id"),
        is_replay=is_replay,
    )


def _shortcut(body: Mapping[str, Any], *, is_replay: bool) -> SlackRequest:
    user, message = _part(body, "user"), _part(body, "message")
    trigger = _text(body, "trigger_id")
    return SlackRequest(
        kind=RequestKind.SHORTCUT,
        body=body,
        key=f"shortcut:{trigger}" if trigger else None,
        origin=interaction_origin(body),
        user_id=_text(user, "id"),
        channel_id=_text(_part(body, "channel"), "id"),
        thread_ts=_text(message, "thread_ts"),
        message_ts=_text(body, "message_ts") or _text(message, "ts"),
        trigger_id=trigger,
        response_url=_text(body, "response_url"),
        text=_text(message, "text") or "",
        is_replay=is_replay,
    )


def _event(body: Mapping[str, Any], *, bot_user_id: str, is_replay: bool) -> SlackRequest:
    event = _part(body, "event")
    kind, event_id = _text(event, "type"), _text(body, "event_id")
    if kind in {"message", "app_mention"}:
        return _message(body, event, bot_user_id=bot_user_id, is_replay=is_replay)
    if kind == "app_home_opened":
        return SlackRequest(
            kind=RequestKind.HOME,
            body=body,
            # No key, so it is not stored: it comes often, and drawing the tab twice is harmless.
            origin=event_origin(body),
            user_id=_text(event, "user"),
            text=_text(event, "tab") or "",
            is_replay=is_replay,
        )
    if kind in CHANNEL_EVENTS:
        return _channel_event(body, event, bot_user_id=bot_user_id, is_replay=is_replay)
    return SlackRequest(
        kind=RequestKind.OTHER,
        body=body,
        key=f"event:{event_id}" if event_id and kind == "agent_session_stopped" else None,
        origin=event_origin(body),
        user_id=_text(event, "user"),
        is_replay=is_replay,
    )


def _channel_event(
    body: Mapping[str, Any],
    event: Mapping[str, Any],
    *,
    bot_user_id: str,
    is_replay: bool,
) -> SlackRequest:
    """The beginning or end of a channel for the bot.  Other people's joins are not stored."""
    kind, event_id = _text(event, "type"), _text(body, "event_id")
    is_of_other = kind in {_JOINED, _LEFT} and _text(event, "user") != bot_user_id
    inviter = _text(event, "inviter") if kind == _JOINED else None
    is_uninvited = kind == _JOINED and inviter in {None, bot_user_id}
    if is_of_other or is_uninvited or event_id is None:
        return SlackRequest(kind=RequestKind.OTHER, body=body, is_replay=is_replay)
    return SlackRequest(
        kind=RequestKind.CHANNEL,
        body=body,
        key=f"event:{event_id}",
        origin=event_origin(body),
        user_id=inviter,
        channel_id=_text(event, "channel"),
        is_ext_shared=body.get("is_ext_shared_channel") is True,
        is_replay=is_replay,
    )


def _message(
    body: Mapping[str, Any],
    event: Mapping[str, Any],
    *,
    bot_user_id: str,
    is_replay: bool,
) -> SlackRequest:
    """A message.  A mention arrives twice (`message` and `app_mention`), under one key."""
    text, channel, ts = _text(event, "text") or "", _text(event, "channel"), _text(event, "ts")
    user_id, thread_ts = _text(event, "user"), _text(event, "thread_ts")
    mentions = event.get("type") == "app_mention" or f"<@{bot_user_id}" in text
    is_direct = event.get("channel_type") == "im" or (channel or "").startswith("D")
    is_written = (
        event.get("subtype") in _HUMAN_SUBTYPES
        and not event.get("hidden")
        and event.get("bot_id") is None
        and user_id not in {None, bot_user_id}
        and None not in {channel, ts}
    )
    # Messages of people to each other are neither handled nor stored.
    if not is_written or not (mentions or thread_ts or is_direct):
        return SlackRequest(kind=RequestKind.OTHER, body=body, is_replay=is_replay)
    return SlackRequest(
        kind=RequestKind.MESSAGE,
        body=body,
        key=f"message:{channel}:{ts}",
        origin=event_origin(body),
        user_id=user_id,
        channel_id=channel,
        thread_ts=thread_ts,
        message_ts=ts,
        text=text,
        is_ext_shared=body.get("is_ext_shared_channel") is True,
        mentions_bot=mentions,
        is_replay=is_replay,
    )


def channel_of_view(view: Mapping[str, Any]) -> str | None:
    """The channel a form was opened in, from its private metadata, which a client can forge."""
    channel_id = _text(private_metadata(view), "channel_id")
    return channel_id if channel_id and _CHANNEL_ID.fullmatch(channel_id) else None
