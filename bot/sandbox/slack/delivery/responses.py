"""Answers that need no token: posts to a response_url, and payloads of acknowledgements."""

from typing import Any

from bot.sandbox.slack.api.chat import (
    publish,
    record_edit,
    remove_message,
    show_ephemeral,
    validate_blocks,
    validate_metadata,
)
from bot.sandbox.slack.blocks.block_check import MAX_TEXT_CHARS
from bot.sandbox.slack.errors import WebApiError
from bot.sandbox.slack.state import (
    RESPONSE_SECONDS,
    RESPONSE_USES,
    Document,
    ResponseUrl,
    Workspace,
)


def respond(workspace: Workspace, name: str, body: Any) -> tuple[int, Document]:
    """Handle a post to a response_url; returns the status and body of the answer."""
    response_url = workspace.response_urls.get(name)
    inspector = workspace.inspector
    if response_url is None:
        inspector.add_problem("response_url", "response_url", "no such response_url")
        return 404, {"ok": False, "error": "no_such_url"}
    if workspace.clock.now() - response_url.created_at > RESPONSE_SECONDS:
        inspector.add_problem("response_url", "response_url", "used after half an hour")
        return 404, {"ok": False, "error": "expired_url"}
    if response_url.uses >= RESPONSE_USES:
        inspector.add_problem("response_url", "response_url", "used more than five times")
        return 404, {"ok": False, "error": "used_url"}
    response_url.uses += 1
    try:
        apply_response(workspace, response_url, body)
    except WebApiError as refused:
        what = "; ".join(refused.detail.get("errors", ())) or refused.error
        inspector.add_problem(refused.error, "response_url", what)
        return 400, refused.document()
    return 200, {"ok": True}


def apply_response(workspace: Workspace, response_url: ResponseUrl, body: Any) -> None:
    """Replace or delete the message that was acted on, or post a new one.

    Raises:
        WebApiError: If Slack would refuse it.
    """
    if not isinstance(body, dict):
        raise WebApiError("invalid_payload")
    original = None
    if response_url.message_ts:
        original = workspace.message(response_url.channel, response_url.message_ts)
    if _is_true(body, "delete_original"):
        _delete(workspace, response_url, original)
        return
    fields = _message_content(body)
    if _is_true(body, "replace_original") and response_url.message_ts:
        _replace(workspace, response_url, original, fields)
        return
    message = workspace.bot_author() | {"ts": workspace.new_ts()} | fields
    if thread_ts := body.get("thread_ts"):
        message["thread_ts"] = workspace.thread_root_ts(response_url.channel, str(thread_ts))
    if body.get("response_type") == "in_channel":
        publish(workspace, workspace.channels[response_url.channel], message)
    else:
        show_ephemeral(workspace, response_url.channel, response_url.user, message)


def _is_true(body: Document, name: str) -> bool:
    return str(body.get(name, "")).lower() == "true"


def _message_content(body: Document) -> Document:
    text = str(body.get("text") or "")
    blocks = validate_blocks(body.get("blocks"))
    if not text and not blocks and not body.get("attachments"):
        raise WebApiError("no_text")
    fields: Document = {"text": text[:MAX_TEXT_CHARS]}
    if blocks:
        fields["blocks"] = blocks
    if metadata := validate_metadata(body.get("metadata")):
        fields["metadata"] = metadata
    return fields


def _delete(workspace: Workspace, response_url: ResponseUrl, original: Document | None) -> None:
    if original is not None:
        remove_message(workspace, workspace.channels[response_url.channel], original)
        return
    ts = response_url.message_ts
    workspace.ephemerals = [each for each in workspace.ephemerals if each[2]["ts"] != ts]
    workspace.inspector.publish_change(
        "ephemeral", channel=response_url.channel, ts=ts, user=response_url.user
    )


def _replace(
    workspace: Workspace, response_url: ResponseUrl, original: Document | None, fields: Document
) -> None:
    if original is not None:
        previous = dict(original)
        original.pop("blocks", None)
        original.update(fields)
        record_edit(workspace, workspace.channels[response_url.channel], original, previous)
        return
    ephemeral = workspace.ephemeral(response_url.channel, response_url.message_ts or "")
    if ephemeral is not None:
        ephemeral.pop("blocks", None)
        ephemeral.update(fields)
        workspace.inspector.publish_change(
            "ephemeral",
            channel=response_url.channel,
            ts=response_url.message_ts,
            user=response_url.user,
        )
