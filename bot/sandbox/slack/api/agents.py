"""Streams, assistant threads and agent sessions: Slack's features for agents."""

from typing import Any

from bot.sandbox.slack.api.call import Call, Handler, visible_channel
from bot.sandbox.slack.api.chat import (
    own_message,
    publish,
    record_edit,
    thread_fields,
    validate_blocks,
    validate_metadata,
    writable_channel,
)
from bot.sandbox.slack.errors import WebApiError, invalid
from bot.sandbox.slack.people import Channel
from bot.sandbox.slack.state import Document

# A stream ends five minutes after its start, even when it is in use.
MAX_STREAM_SECONDS = 5 * 60.0
MAX_STREAM_CHARS = 12_000
MAX_LOADING_MESSAGES = 10

SESSION_STATES = frozenset({"processing", "active", "closed", "suspended"})


def start_stream(call: Call) -> Document:
    """chat.startStream: a message to which text is appended."""
    workspace = call.workspace
    channel = writable_channel(call)
    if not channel.is_im:
        for name in ("recipient_user_id", "recipient_team_id"):
            if not call.text(name):
                raise WebApiError(f"missing_{name}")
    message = workspace.bot_author() | {
        "ts": workspace.new_ts(),
        "text": _stream_text(call),
        "streaming_state": "in_progress",
        "streaming_since": workspace.clock.now(),
    }
    message |= thread_fields(workspace, channel, call.text("thread_ts"))
    publish(workspace, channel, message)
    return {"channel": channel.id, "ts": message["ts"]}


def append_stream(call: Call) -> Document:
    """chat.appendStream."""
    channel, message = _stream(call)
    new_text = _stream_text(call)
    if not new_text and not call.nested("chunks"):
        raise WebApiError("no_text")
    message["text"] += new_text
    call.workspace.publish_message_change(channel.id, message)
    return {"channel": channel.id, "ts": message["ts"]}


def stop_stream(call: Call) -> Document:
    """chat.stopStream: the message becomes an ordinary one."""
    channel, message = _stream(call)
    blocks = validate_blocks(call.nested("blocks"))
    metadata = validate_metadata(call.nested("metadata"))
    previous = dict(message)
    message["text"] += _stream_text(call)
    if blocks:
        message["blocks"] = blocks
    if metadata:
        message["metadata"] = metadata
    message["streaming_state"] = "completed"
    record_edit(call.workspace, channel, message, previous)
    return {"channel": channel.id, "ts": message["ts"], "message": message}


def _stream(call: Call) -> tuple[Channel, Document]:
    channel, message = own_message(call, "ts", "message_not_owned_by_app")
    if message.get("stopped_by_user"):
        raise WebApiError("stopped_by_user")
    age = call.workspace.clock.now() - message.get("streaming_since", 0.0)
    if message.get("streaming_state") != "in_progress" or age > MAX_STREAM_SECONDS:
        raise WebApiError("message_not_in_streaming_state")
    return channel, message


def _stream_text(call: Call) -> str:
    text = call.text("markdown_text")
    chunks: Any = call.nested("chunks") or []
    if not isinstance(chunks, list):
        raise WebApiError("invalid_chunks")
    for chunk in chunks:
        kind = chunk.get("type") if isinstance(chunk, dict) else None
        if kind not in ("markdown_text", "plan_update", "task_update", "blocks"):
            raise WebApiError("invalid_chunks")
        if kind == "markdown_text":
            text += str(chunk.get("text", ""))
        elif kind == "blocks":
            validate_blocks(chunk.get("blocks"))
    if len(text) > MAX_STREAM_CHARS:
        raise WebApiError("msg_blocks_too_long")
    return text


def _thread_key(call: Call, *, error: str) -> tuple[str, str]:
    channel = visible_channel(call, "channel_id")
    ts = call.text("thread_ts")
    if call.workspace.message(channel.id, ts) is None:
        raise WebApiError(error)
    return channel.id, ts


def _session(call: Call, key: tuple[str, str]) -> Document:
    session = call.workspace.sessions.setdefault(key, {"status": "", "title": ""})
    call.workspace.inspector.publish_change("message", channel=key[0], ts=key[1], thread_ts=key[1])
    return session


def thread_status(call: Call) -> Document:
    """assistant.threads.setStatus."""
    loading: Any = call.nested("loading_messages")
    if loading and (not isinstance(loading, list) or len(loading) > MAX_LOADING_MESSAGES):
        raise invalid(
            "invalid_arguments",
            [f"no more than {MAX_LOADING_MESSAGES} items allowed [json-pointer:/loading_messages]"],
        )
    key = _thread_key(call, error="invalid_thread_ts")
    _session(call, key)["status"] = call.text("status")
    return {}


def thread_title(call: Call) -> Document:
    """assistant.threads.setTitle."""
    _session(call, _thread_key(call, error="invalid_thread_ts"))["title"] = call.text("title")
    return {}


def thread_prompts(call: Call) -> Document:
    """assistant.threads.setSuggestedPrompts."""
    visible_channel(call, "channel_id")
    prompts: Any = call.nested("prompts")
    if not isinstance(prompts, list) or not 1 <= len(prompts) <= 4:
        raise invalid("invalid_arguments", ["between 1 and 4 items [json-pointer:/prompts]"])
    return {}


def session_status(call: Call) -> Document:
    """agents.sessions.setStatus: the status, and a native stop button while processing."""
    if not call.workspace.manifest.is_agent:
        raise WebApiError("feature_disabled")
    if call.text("status") not in SESSION_STATES:
        raise WebApiError("invalid_status")
    if not call.text("thread_ts"):
        raise WebApiError("thread_ts_required")
    session = _session(call, _thread_key(call, error="channel_not_found"))
    session["status"] = call.text("status")
    session["title"] = session["title"] or call.text("title")
    answer = {"status": session["status"], "agent_status": session["status"]}
    if "agent_session_stopped" not in call.workspace.manifest.events:
        call.warnings.append("missing_agent_session_stopped_event_subscription")
    return {**answer, "title": session["title"]}


def session_rename(call: Call) -> Document:
    """agents.sessions.rename."""
    if not call.workspace.manifest.is_agent:
        raise WebApiError("feature_disabled")
    if not call.text("thread_ts"):
        raise WebApiError("thread_ts_required")
    key = _thread_key(call, error="session_not_found")
    if key not in call.workspace.sessions:
        raise WebApiError("session_not_found")
    _session(call, key)["title"] = call.text("title")
    return {"title": call.text("title")}


HANDLERS: dict[str, Handler] = {
    "agents.sessions.rename": session_rename,
    "agents.sessions.setStatus": session_status,
    "assistant.threads.setStatus": thread_status,
    "assistant.threads.setSuggestedPrompts": thread_prompts,
    "assistant.threads.setTitle": thread_title,
    "chat.appendStream": append_stream,
    "chat.startStream": start_stream,
    "chat.stopStream": stop_stream,
}
