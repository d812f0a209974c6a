"""chat.*: posting, changing and deleting messages."""

from typing import Any

from bot.sandbox.slack.api.call import Call, Handler, visible_channel
from bot.sandbox.slack.blocks.check import (
    CHARACTERS,
    TEXT_KEPT,
    UPDATE_TEXT,
    characters,
    check_blocks,
    with_ids,
)
from bot.sandbox.slack.delivery import events
from bot.sandbox.slack.errors import HumanRefused, SlackRefused, invalid
from bot.sandbox.slack.people import BOT_ID, BOT_USER_ID, Channel
from bot.sandbox.slack.state import Document, Workspace

MARKDOWN_TEXT = 12_000
# A metadata payload may hold 8,000 bytes or so; ours are tiny.
METADATA_BYTES = 8_000


def checked_blocks(blocks: Any) -> list[Document] | None:
    """The blocks of a message, stored the way Slack stores them.

    Raises:
        SlackRefused: If Slack would not take them.
    """
    if blocks is None or blocks == []:
        return None
    if not isinstance(blocks, list):
        raise SlackRefused("invalid_blocks_format")
    if characters(blocks) > CHARACTERS:
        raise SlackRefused("msg_blocks_too_long")
    if errors := check_blocks(blocks):
        raise invalid("invalid_blocks", errors)
    return with_ids(blocks)


def checked_metadata(metadata: Any) -> Document | None:
    """The metadata of a message.

    Raises:
        SlackRefused: If it is not an event type with a payload, or too large.
    """
    if metadata is None or metadata == {}:
        return None
    if (
        not isinstance(metadata, dict)
        or not isinstance(metadata.get("event_type"), str)
        or not isinstance(metadata.get("event_payload"), dict)
    ):
        raise SlackRefused("invalid_metadata_format")
    if len(str(metadata)) > METADATA_BYTES:
        raise SlackRefused("metadata_too_large")
    return metadata


def content(call: Call) -> Document:
    """The text, blocks and metadata of a message to be.

    Raises:
        SlackRefused: If there is nothing to show, or Slack would not take it.
    """
    text = call.text("text")
    blocks = checked_blocks(call.nested("blocks"))
    if markdown := call.text("markdown_text"):
        if text or blocks:
            raise SlackRefused("markdown_text_conflict")
        if len(markdown) > MARKDOWN_TEXT:
            raise SlackRefused("msg_too_long")
        blocks = with_ids([{"type": "markdown", "text": markdown}])
        text = markdown
    if not text and not blocks and not call.nested("attachments"):
        raise SlackRefused("no_text")
    if len(text) > TEXT_KEPT:
        call.warnings.append("message_truncated")
        text = text[:TEXT_KEPT]
    made: Document = {"text": text}
    if blocks:
        made["blocks"] = blocks
    if attachments := call.nested("attachments"):
        made["attachments"] = attachments
    return made


def writable_channel(call: Call) -> Channel:
    """Where a message is to go: a channel by id or name, or a person.

    Raises:
        SlackRefused: If it does not exist for the bot, is archived, or the bot is no member.
    """
    workspace = call.workspace
    named = call.text("channel")
    if named in workspace.people:
        person = workspace.people[named]
        if person.is_bot or person.is_stranger:
            raise SlackRefused("channel_not_found")
        return _open_for_app(workspace, workspace.direct_message(person))
    channel = workspace.channels.get(named)
    if channel is None:
        try:
            channel = workspace.channel(named)
        except HumanRefused:
            raise SlackRefused("channel_not_found") from None
    if BOT_USER_ID not in channel.members:
        if channel.is_private or channel.is_im:
            raise SlackRefused("channel_not_found")
        if "chat:write.public" not in call.scopes:
            raise SlackRefused("not_in_channel")
    if channel.is_archived:
        raise SlackRefused("is_archived")
    return _open_for_app(workspace, channel)


def _open_for_app(workspace: Workspace, channel: Channel) -> Channel:
    if channel.is_im and not workspace.manifest.has_messages_tab:
        raise SlackRefused("messages_tab_disabled")
    return channel


def in_thread(workspace: Workspace, channel: Channel, thread_ts: str) -> Document:
    """The fields that put a message into a thread.

    Raises:
        SlackRefused: If there is no such thread.
    """
    if not thread_ts:
        return {}
    root = workspace.message(channel.id, workspace.root_of(channel.id, thread_ts))
    if root is None:
        raise SlackRefused("cannot_reply_to_message")
    return {"thread_ts": root["ts"], "parent_user_id": root["user"]}


def publish(workspace: Workspace, channel: Channel, message: Document) -> Document:
    """Put a message of the bot into a channel and tell the app of it, as of any other."""
    workspace.add(channel, message)
    shown = {key: value for key, value in message.items() if key != "metadata"}
    workspace.emit(events.message_event(shown, channel), channel)
    return message


def post_message(call: Call) -> Document:
    """chat.postMessage."""
    workspace = call.workspace
    channel = writable_channel(call)
    message = workspace.bot_author() | {"ts": workspace.new_ts()} | content(call)
    message |= in_thread(workspace, channel, call.text("thread_ts"))
    if metadata := checked_metadata(call.nested("metadata")):
        message["metadata"] = metadata
    if call.flag("reply_broadcast") and "thread_ts" in message:
        message["subtype"] = "thread_broadcast"
    publish(workspace, channel, message)
    return {"channel": channel.id, "ts": message["ts"], "message": message}


def post_ephemeral(call: Call) -> Document:
    """chat.postEphemeral."""
    workspace = call.workspace
    channel = writable_channel(call)
    user = call.text("user")
    if user not in channel.members:
        raise SlackRefused("user_not_in_channel")
    message = workspace.bot_author() | {"ts": workspace.new_ts()} | content(call)
    message |= in_thread(workspace, channel, call.text("thread_ts"))
    show_ephemeral(workspace, channel.id, user, message)
    return {"message_ts": message["ts"]}


def show_ephemeral(workspace: Workspace, channel_id: str, user: str, message: Document) -> None:
    """Show a message to one person."""
    workspace.ephemerals.append((user, channel_id, message | {"ephemeral": True}))
    workspace.inspector.changed(
        "ephemeral",
        channel=channel_id,
        ts=message["ts"],
        thread_ts=message.get("thread_ts"),
        user=user,
    )


def own_message(call: Call, name: str, refusal: str) -> tuple[Channel, Document]:
    """A message of the bot's own.

    Raises:
        SlackRefused: `message_not_found`, or `refusal` for somebody else's.
    """
    channel = visible_channel(call)
    message = call.workspace.message(channel.id, call.text(name))
    if message is None or message.get("subtype") == "tombstone":
        raise SlackRefused("message_not_found")
    if message.get("bot_id") != BOT_ID:
        raise SlackRefused(refusal)
    return channel, message


def update(call: Call) -> Document:
    """chat.update: text without blocks drops the blocks; metadata stays unless given."""
    workspace = call.workspace
    channel, message = own_message(call, "ts", "cant_update_message")
    if channel.is_archived:
        raise SlackRefused("is_inactive")
    if message.get("streaming_state") == "in_progress":
        raise SlackRefused("streaming_state_conflict")
    if len(call.text("text")) > UPDATE_TEXT:
        raise SlackRefused("msg_too_long")
    made = content(call)
    if not made["text"] and made.get("blocks"):
        made["text"] = ""
    previous = dict(message)
    message.pop("blocks", None)
    message.pop("attachments", None)
    message.update(made)
    if "metadata" in call.args:
        message.pop("metadata", None)
        if metadata := checked_metadata(call.nested("metadata")):
            message["metadata"] = metadata
    changed(workspace, channel, message, previous)
    return {"channel": channel.id, "ts": message["ts"], "text": message["text"], "message": message}


def changed(workspace: Workspace, channel: Channel, message: Document, previous: Document) -> None:
    """Mark a message as edited where people see that, and tell the app."""
    ts = workspace.new_ts()
    # With blocks there is no "(edited)" to see.
    if "blocks" not in message:
        message["edited"] = {"user": BOT_ID, "ts": f"{ts.split('.', maxsplit=1)[0]}.000000"}
    workspace.touched(channel.id, message)
    workspace.emit(events.message_changed_event(dict(message), previous, channel, ts=ts), channel)


def delete(call: Call) -> Document:
    """chat.delete."""
    channel, message = own_message(call, "ts", "cant_delete_message")
    remove(call.workspace, channel, message)
    return {"channel": channel.id, "ts": message["ts"]}


def remove(workspace: Workspace, channel: Channel, message: Document) -> None:
    """Take a message away; a root with replies leaves a tombstone."""
    previous = dict(message)
    if workspace.replies(channel.id, message["ts"]):
        kept = {key: message[key] for key in ("type", "ts")}
        message.clear()
        message.update(
            kept, subtype="tombstone", text="This message was deleted.", user="USLACKBOT"
        )
    else:
        del workspace.messages[channel.id][message["ts"]]
    workspace.touched(channel.id, previous)
    event = events.message_deleted_event(previous, channel, ts=workspace.new_ts())
    workspace.emit(event, channel)


def get_permalink(call: Call) -> Document:
    """chat.getPermalink."""
    channel = visible_channel(call)
    message = call.workspace.message(channel.id, call.text("message_ts"))
    if message is None:
        raise SlackRefused("message_not_found")
    link = f"{call.url}/archives/{channel.id}/p{message['ts'].replace('.', '')}"
    if "thread_ts" in message:
        link += f"?thread_ts={message['thread_ts']}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


HANDLERS: dict[str, Handler] = {
    "chat.delete": delete,
    "chat.getPermalink": get_permalink,
    "chat.postEphemeral": post_ephemeral,
    "chat.postMessage": post_message,
    "chat.update": update,
}
