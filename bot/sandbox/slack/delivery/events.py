"""Events: their bodies, the subscription each needs, and the envelope around them.  Pure."""

import base64
import json
from typing import Any

from bot.sandbox.slack.delivery.payloads import VERIFICATION_TOKEN
from bot.sandbox.slack.people import APP_ID, BOT_USER_ID, TEAM_ID, Channel

Document = dict[str, Any]


def subscription_of(event: Document, channel: Channel | None) -> str:
    """The name in the manifest's `bot_events` that subscribes to this event."""
    if event["type"] != "message" or channel is None:
        return str(event["type"])
    plural = {"channel": "channels", "group": "groups", "im": "im"}[channel.channel_type]
    return f"message.{plural}"


def event_callback(
    event: Document, *, event_id: str, event_time: int, channel: Channel | None
) -> Document:
    """The body of one delivered event."""
    channel_id = channel.id if channel else ""
    context = json.dumps({"et": event["type"], "tid": TEAM_ID, "aid": APP_ID, "cid": channel_id})
    envelope: Document = {
        "token": VERIFICATION_TOKEN,
        "team_id": TEAM_ID,
        "api_app_id": APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": event_time,
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": TEAM_ID,
                "user_id": BOT_USER_ID,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": bool(channel and channel.is_ext_shared),
        "event_context": "4-" + base64.b64encode(context.encode()).decode().rstrip("="),
    }
    if event["type"] != "app_mention":
        envelope |= {"context_team_id": TEAM_ID, "context_enterprise_id": None}
    return envelope


def message_event(message: Document, channel: Channel) -> Document:
    """A message as its `message` event describes it."""
    return {
        **message,
        "channel": channel.id,
        "event_ts": message["ts"],
        "channel_type": channel.channel_type,
    }


def app_mention_event(message: Document, channel: Channel) -> Document:
    """The additional event for a message that mentions the app."""
    event = {**message, "type": "app_mention", "channel": channel.id, "event_ts": message["ts"]}
    event.pop("parent_user_id", None)
    return event


def message_changed_event(
    message: Document, previous: Document, channel: Channel, *, ts: str
) -> Document:
    """An edit; the app gets this event for its own edits too."""
    return {
        "type": "message",
        "subtype": "message_changed",
        "message": {**message, "source_team": TEAM_ID, "user_team": TEAM_ID},
        "previous_message": previous,
        "channel": channel.id,
        "hidden": True,
        "ts": ts,
        "event_ts": ts,
        "channel_type": channel.channel_type,
    }


def message_deleted_event(previous: Document, channel: Channel, *, ts: str) -> Document:
    """A message was deleted."""
    return {
        "type": "message",
        "subtype": "message_deleted",
        "previous_message": previous,
        "channel": channel.id,
        "hidden": True,
        "deleted_ts": previous["ts"],
        "ts": ts,
        "event_ts": ts,
        "channel_type": channel.channel_type,
    }


def member_joined_event(*, user: str, channel: Channel, inviter: str, ts: str) -> Document:
    """A person or the bot joined a channel."""
    return {
        "type": "member_joined_channel",
        "user": user,
        "channel": channel.id,
        "channel_type": "G" if channel.is_private else "C",
        "team": TEAM_ID,
        "inviter": inviter,
        "event_ts": ts,
    }


def bot_left_event(*, channel: Channel, ts: str) -> Document:
    """The bot was removed from a channel."""
    kind = "group_left" if channel.is_private else "channel_left"
    return {"type": kind, "channel": channel.id, "actor_id": BOT_USER_ID, "event_ts": ts}


def channel_archive_event(
    *, channel: Channel, user: str, ts: str, is_unarchived: bool = False
) -> Document:
    """A channel was archived or unarchived."""
    what = "unarchive" if is_unarchived else "archive"
    kind = f"group_{what}" if channel.is_private else f"channel_{what}"
    return {"type": kind, "channel": channel.id, "user": user, "event_ts": ts}


def channel_deleted_event(*, channel: Channel, ts: str) -> Document:
    """A channel was deleted."""
    kind = "group_deleted" if channel.is_private else "channel_deleted"
    return {"type": kind, "channel": channel.id, "event_ts": ts}


def reaction_event(
    *, added: bool, user: str, reaction: str, channel: Channel, message: Document, ts: str
) -> Document:
    """A reaction was added or removed."""
    return {
        "type": "reaction_added" if added else "reaction_removed",
        "user": user,
        "reaction": reaction,
        "item": {"type": "message", "channel": channel.id, "ts": message["ts"]},
        "item_user": message["user"],
        "event_ts": ts,
    }


def app_home_opened_event(
    *, user: str, channel: Channel, tab: str, view: Document | None, ts: str
) -> Document:
    """A person opened the app's home or messages tab."""
    event: Document = {
        "type": "app_home_opened",
        "user": user,
        "channel": channel.id,
        "tab": tab,
        "event_ts": ts,
    }
    if view is not None and tab == "home":
        event["view"] = view
    return event


def agent_session_stopped_event(
    *, channel: str, thread_ts: str, user: str, streaming: list[str], ts: str
) -> Document:
    """A person pressed the native stop button of an agent session."""
    return {
        "type": "agent_session_stopped",
        "channel": channel,
        "thread_ts": thread_ts,
        "user": user,
        "streaming_message_ts": streaming,
        "event_ts": ts,
    }
