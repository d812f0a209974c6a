"""chat.*: posting, changing and deleting messages."""

from typing import Any

from bot.sandbox.slack.api.call import Call, Handler, visible_channel
from bot.sandbox.slack.blocks.block_check import (
    MAX_BLOCK_CHARS,
    MAX_TEXT_CHARS,
    MAX_UPDATE_CHARS,
    check_blocks,
    count_characters,
    with_ids,
)
from bot.sandbox.slack.delivery import events
from bot.sandbox.slack.errors import ActionRefused, WebApiError, invalid
from bot.sandbox.slack.people import BOT_ID, BOT_USER_ID, Channel
from bot.sandbox.slack.state import Document, Workspace

MAX_MARKDOWN_CHARS = 12_000
# Slack accepts about 8,000 bytes of metadata; the app's are far smaller.
MAX_METADATA_BYTES = 8_000


def validate_blocks(blocks: Any) -> list[Document] | None:
    """The blocks of a message in the form in which Slack stores them.

    Raises:
        WebApiError: If Slack would refuse them.
    """
    if blocks is None or blocks == []:
        return None
    if not isinstance(blocks, list):
        raise WebApiError("invalid_blocks_format")
    if count_characters(blocks) > MAX_BLOCK_CHARS:
        raise WebApiError("msg_blocks_too_long")
    if errors := check_blocks(blocks):
        raise invalid("invalid_blocks", errors)
    return with_ids(blocks)


def validate_metadata(metadata: Any) -> Document | None:
    """The checked metadata of a message.

    Raises:
        WebApiError: If it is not an event type with a payload, or is too large.
    """
    if metadata is None or metadata == {}:
        return None
    if (
        not isinstance(metadata, dict)
        or not isinstance(metadata.get("event_type"), str)
        or not isinstance(metadata.get("event_payload"), dict)
    ):
        raise WebApiError("invalid_metadata_format")
    if len(str(metadata)) > MAX_METADATA_BYTES:
        raise WebApiError("metadata_too_large")
    return metadata


def message_content(call: Call) -> Document:
    """The text, blocks and metadata of a new message.

    Raises:
        WebApiError: If there is nothing to show, or Slack would refuse it.
    """
    text = call.text("text")
    blocks = validate_blocks(call.nested("blocks"))
    if markdown := call.text("markdown_text"):
        if text or blocks:
            raise WebApiError("markdown_text_conflict")
        if len(markdown) > MAX_MARKDOWN_CHARS:
            raise WebApiError("msg_too_long")
        blocks = with_ids([{"type": "markdown", "text": markdown}])
        text = markdown
    if not text and not blocks and not call.nested("attachments"):
        raise WebApiError("no_text")
    if len(text) > MAX_TEXT_CHARS:
        call.warnings.append("message_truncated")
        text = text[:MAX_TEXT_CHARS]
    fields: Document = {"text": text}
    if blocks:
        fields["blocks"] = blocks
    if attachments := call.nested("attachments"):
        fields["attachments"] = attachments
    return fields


def writable_channel(call: Call) -> Channel:
    """The destination of a message: a channel by id or name, or a person.

    Raises:
        WebApiError: If the bot cannot see it, it is archived, or the bot is not a member.
    """
    workspace = call.workspace
    target = call.text("channel")
    if target in workspace.people:
        person = workspace.people[target]
        if person.is_bot or person.is_stranger:
            raise WebApiError("channel_not_found")
        return _check_messages_tab(workspace, workspace.direct_message(person))
    channel = workspace.channels.get(target)
    if channel is None:
        try:
            channel = workspace.channel(target)
        except ActionRefused:
            raise WebApiError("channel_not_found") from None
    if BOT_USER_ID not in channel.members:
        if channel.is_private or channel.is_im:
            raise WebApiError("channel_not_found")
        if "chat:write.public" not in call.scopes:
            raise WebApiError("not_in_channel")
    if channel.is_archived:
        raise WebApiError("is_archived")
    return _check_messages_tab(workspace, channel)


def _check_messages_tab(workspace: Workspace, channel: Channel) -> Channel:
    if channel.is_im and not workspace.manifest.has_messages_tab:
        raise WebApiError("messages_tab_disabled")
    return channel


def thread_fields(workspace: Workspace, channel: Channel, thread_ts: str) -> Document:
    """The fields that make a message a reply in a thread.

    Raises:
        WebApiError: If there is no such thread.
    """
    if not thread_ts:
        return {}
    root = workspace.message(channel.id, workspace.thread_root_ts(channel.id, thread_ts))
    if root is None:
        raise WebApiError("cannot_reply_to_message")
    return {"thread_ts": root["ts"], "parent_user_id": root["user"]}


def publish(workspace: Workspace, channel: Channel, message: Document) -> Document:
    """Add a message of the bot to a channel and send the app its `message` event."""
    workspace.add(channel, message)
    event_message = {key: value for key, value in message.items() if key != "metadata"}
    workspace.emit(events.message_event(event_message, channel), channel)
    return message


def post_message(call: Call) -> Document:
    """chat.postMessage."""
    workspace = call.workspace
    channel = writable_channel(call)
    message = workspace.bot_author() | {"ts": workspace.new_ts()} | message_content(call)
    message |= thread_fields(workspace, channel, call.text("thread_ts"))
    if metadata := validate_metadata(call.nested("metadata")):
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
        raise WebApiError("user_not_in_channel")
    message = workspace.bot_author() | {"ts": workspace.new_ts()} | message_content(call)
    message |= thread_fields(workspace, channel, call.text("thread_ts"))
    show_ephemeral(workspace, channel.id, user, message)
    return {"message_ts": message["ts"]}


def show_ephemeral(workspace: Workspace, channel_id: str, user: str, message: Document) -> None:
    """Show a message to one person."""
    workspace.ephemerals.append((user, channel_id, message | {"ephemeral": True}))
    workspace.inspector.publish_change(
        "ephemeral",
        channel=channel_id,
        ts=message["ts"],
        thread_ts=message.get("thread_ts"),
        user=user,
    )


def own_message(call: Call, name: str, refusal: str) -> tuple[Channel, Document]:
    """One of the bot's own messages.

    Raises:
        WebApiError: `message_not_found`, or `refusal` for a message by somebody else.
    """
    channel = visible_channel(call)
    message = call.workspace.message(channel.id, call.text(name))
    if message is None or message.get("subtype") == "tombstone":
        raise WebApiError("message_not_found")
    if message.get("bot_id") != BOT_ID:
        raise WebApiError(refusal)
    return channel, message


def update(call: Call) -> Document:
    """chat.update: text without blocks removes the blocks; metadata stays unless given."""
    workspace = call.workspace
    channel, message = own_message(call, "ts", "cant_update_message")
    if channel.is_archived:
        raise WebApiError("is_inactive")
    if message.get("streaming_state") == "in_progress":
        raise WebApiError("streaming_state_conflict")
    if len(call.text("text")) > MAX_UPDATE_CHARS:
        raise WebApiError("msg_too_long")
    fields = message_content(call)
    if not fields["text"] and fields.get("blocks"):
        fields["text"] = ""
    previous = dict(message)
    message.pop("blocks", None)
    message.pop("attachments", None)
    message.update(fields)
    if "metadata" in call.args:
        message.pop("metadata", None)
        if metadata := validate_metadata(call.nested("metadata")):
            message["metadata"] = metadata
    record_edit(workspace, channel, message, previous)
    return {"channel": channel.id, "ts": message["ts"], "text": message["text"], "message": message}


def record_edit(
    workspace: Workspace, channel: Channel, message: Document, previous: Document
) -> None:
    """Mark a message as edited where the client shows that, and notify the app."""
    ts = workspace.new_ts()
    # The client shows no "(edited)" on a message with blocks.
    if "blocks" not in message:
        message["edited"] = {"user": BOT_ID, "ts": f"{ts.split('.', maxsplit=1)[0]}.000000"}
    workspace.publish_message_change(channel.id, message)
    workspace.emit(events.message_changed_event(dict(message), previous, channel, ts=ts), channel)


def delete(call: Call) -> Document:
    """chat.delete."""
    channel, message = own_message(call, "ts", "cant_delete_message")
    remove_message(call.workspace, channel, message)
    return {"channel": channel.id, "ts": message["ts"]}


def remove_message(workspace: Workspace, channel: Channel, message: Document) -> None:
    """Delete a message; a root with replies leaves a tombstone."""
    previous = dict(message)
    if workspace.replies(channel.id, message["ts"]):
        tombstone = {key: message[key] for key in ("type", "ts")}
        message.clear()
        message.update(
            tombstone, subtype="tombstone", text="This message was deleted.", user="USLACKBOT"
        )
    else:
        del workspace.messages[channel.id][message["ts"]]
    workspace.publish_message_change(channel.id, previous)
    event = events.message_deleted_event(previous, channel, ts=workspace.new_ts())
    workspace.emit(event, channel)


def get_permalink(call: Call) -> Document:
    """chat.getPermalink."""
    channel = visible_channel(call)
    message = call.workspace.message(channel.id, call.text("message_ts"))
    if message is None:
        raise WebApiError("message_not_found")
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
