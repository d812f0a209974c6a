"""conversations.* and users.conversations: channels, members, messages."""

from collections.abc import Callable

from bot.sandbox.slack.api.call import Call, Handler, paginate, readable_channel, visible_channel
from bot.sandbox.slack.delivery import events
from bot.sandbox.slack.errors import WebApiError
from bot.sandbox.slack.people import BOT_USER_ID, Channel
from bot.sandbox.slack.state import Document

_TYPES = frozenset({"public_channel", "private_channel", "im", "mpim"})


def info(call: Call) -> Document:
    """conversations.info."""
    channel = readable_channel(call, "read")
    document = channel.document(me=BOT_USER_ID)
    if call.flag("include_num_members"):
        document["num_members"] = len(channel.members)
    return {"channel": document}


def list_channels(call: Call) -> Document:
    """conversations.list."""
    return _list_channels(call, lambda _channel: True)


def list_user_channels(call: Call) -> Document:
    """users.conversations: the channels of a person, by default of the bot."""
    user = call.text("user") or BOT_USER_ID
    return _list_channels(call, lambda channel: user in channel.members)


def _type_of(channel: Channel) -> str:
    if channel.is_im:
        return "im"
    return "private_channel" if channel.is_private else "public_channel"


def _list_channels(call: Call, predicate: Callable[[Channel], bool]) -> Document:
    types = {each.strip() for each in (call.text("types") or "public_channel").split(",")}
    if not types <= _TYPES:
        raise WebApiError("invalid_types")
    for kind in types - {"mpim"}:
        prefix = {"im": "im", "private_channel": "groups"}.get(kind, "channels")
        call.require_scope(f"{prefix}:read")
    found = [
        channel.document(me=BOT_USER_ID)
        for channel in call.workspace.channels.values()
        if _type_of(channel) in types
        and predicate(channel)
        and (BOT_USER_ID in channel.members or not (channel.is_private or channel.is_im))
        and not (call.flag("exclude_archived") and channel.is_archived)
    ]
    items, metadata = paginate(call, found, default=100)
    return {"channels": items, **metadata}


def members(call: Call) -> Document:
    """conversations.members."""
    channel = readable_channel(call, "read")
    items, metadata = paginate(call, sorted(channel.members), default=100)
    return {"members": items, **metadata}


def join(call: Call) -> Document:
    """conversations.join: public channels only."""
    channel = visible_channel(call)
    if channel.is_private or channel.is_im:
        raise WebApiError("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise WebApiError("is_archived")
    if BOT_USER_ID in channel.members:
        return {"channel": channel.document(me=BOT_USER_ID), "warning": "already_in_channel"}
    channel.members.add(BOT_USER_ID)
    workspace = call.workspace
    workspace.inspector.publish_change("channel", channel=channel.id)
    event = events.member_joined_event(
        user=BOT_USER_ID, channel=channel, inviter=BOT_USER_ID, ts=workspace.new_ts()
    )
    workspace.emit(event, channel)
    return {"channel": channel.document(me=BOT_USER_ID)}


def open_conversation(call: Call) -> Document:
    """conversations.open: the direct message with one person."""
    if call.text("channel"):
        channel = visible_channel(call)
        return {"channel": {"id": channel.id}, "no_op": True, "already_open": True}
    users = [each.strip() for each in call.text("users").split(",") if each.strip()]
    if not users:
        raise WebApiError("users_list_not_supplied")
    if len(users) > 1:
        call.require_scope("mpim:write")
        raise WebApiError("method_not_supported_for_channel_type")
    call.require_scope("im:write")
    person = call.workspace.people.get(users[0])
    if person is None or person.is_bot or person.is_stranger:
        raise WebApiError("user_not_found")
    channel = call.workspace.direct_message(person)
    return {
        "channel": channel.document(me=BOT_USER_ID)
        if call.flag("return_im")
        else {"id": channel.id}
    }


def history(call: Call) -> Document:
    """conversations.history: newest first, without replies in threads."""
    channel = readable_channel(call, "history")
    if BOT_USER_ID not in channel.members:
        raise WebApiError("not_in_channel")
    found = [
        message
        for message in call.workspace.messages.get(channel.id, {}).values()
        if message.get("thread_ts", message["ts"]) == message["ts"]
        or message.get("subtype") == "thread_broadcast"
    ]
    found = _in_time_range(call, found)
    items, metadata = paginate(call, found[::-1], default=100)
    return {
        "messages": [_message_document(call, channel, each) for each in items],
        "has_more": bool(metadata["response_metadata"]["next_cursor"]),
        "pin_count": 0,
        **metadata,
    }


def replies(call: Call) -> Document:
    """conversations.replies: the root, then its replies, oldest first."""
    channel = readable_channel(call, "history")
    if BOT_USER_ID not in channel.members:
        raise WebApiError("channel_not_found" if channel.is_private else "not_in_channel")
    ts = call.text("ts")
    message = call.workspace.message(channel.id, ts)
    if message is None:
        raise WebApiError("thread_not_found")
    root_ts = message.get("thread_ts", ts)
    root = call.workspace.message(channel.id, root_ts)
    following = _in_time_range(call, call.workspace.replies(channel.id, root_ts))
    # The time range applies to the replies; the root is always included.
    found = [*([root] if root else []), *following]
    items, metadata = paginate(call, found, default=1000)
    return {
        "messages": [_message_document(call, channel, each) for each in items],
        "has_more": bool(metadata["response_metadata"]["next_cursor"]),
        **metadata,
    }


def _in_time_range(call: Call, messages: list[Document]) -> list[Document]:
    oldest, latest = call.text("oldest"), call.text("latest")
    for name, value in (("oldest", oldest), ("latest", latest)):
        if value and not value.replace(".", "", 1).isdecimal():
            raise WebApiError(f"invalid_ts_{name}")
    inclusive = call.flag("inclusive")

    def is_inside(message: Document) -> bool:
        at = float(message["ts"])
        is_too_early = bool(oldest) and (
            at < float(oldest) or (at == float(oldest) and not inclusive)
        )
        is_too_late = bool(latest) and (
            at > float(latest) or (at == float(latest) and not inclusive)
        )
        return not is_too_early and not is_too_late

    return [message for message in messages if is_inside(message)]


def _message_document(call: Call, channel: Channel, message: Document) -> Document:
    document = call.workspace.with_reply_counts(channel.id, message)
    if not call.flag("include_all_metadata"):
        document = {key: value for key, value in document.items() if key != "metadata"}
    return document


HANDLERS: dict[str, Handler] = {
    "conversations.history": history,
    "conversations.info": info,
    "conversations.join": join,
    "conversations.list": list_channels,
    "conversations.members": members,
    "conversations.open": open_conversation,
    "conversations.replies": replies,
    "users.conversations": list_user_channels,
}
