"""Answers without a token: what an app posts to a response_url or puts into an acknowledgement."""

from typing import Any

from bot.sandbox.slack.api.chat import (
    changed,
    checked_blocks,
    checked_metadata,
    publish,
    remove,
    show_ephemeral,
)
from bot.sandbox.slack.blocks.check import TEXT_KEPT
from bot.sandbox.slack.errors import SlackRefused
from bot.sandbox.slack.state import (
    RESPONSE_SECONDS,
    RESPONSE_USES,
    Document,
    ResponseUrl,
    Workspace,
)


def respond(workspace: Workspace, name: str, body: Any) -> tuple[int, Document]:
    """Take what was posted to a response_url; the status and body of the answer."""
    permission = workspace.response_urls.get(name)
    inspector = workspace.inspector
    if permission is None:
        inspector.complain("response_url", "response_url", "no such response_url")
        return 404, {"ok": False, "error": "no_such_url"}
    if workspace.clock.now() - permission.made_at > RESPONSE_SECONDS:
        inspector.complain("response_url", "response_url", "used after half an hour")
        return 404, {"ok": False, "error": "expired_url"}
    if permission.uses >= RESPONSE_USES:
        inspector.complain("response_url", "response_url", "used more than five times")
        return 404, {"ok": False, "error": "used_url"}
    permission.uses += 1
    try:
        answer(workspace, permission, body)
    except SlackRefused as refused:
        what = "; ".join(refused.detail.get("errors", ())) or refused.error
        inspector.complain(refused.error, "response_url", what)
        return 400, refused.document()
    return 200, {"ok": True}


def answer(workspace: Workspace, place: ResponseUrl, body: Any) -> None:
    """Replace or delete what was acted on, or post something new.

    Raises:
        SlackRefused: If Slack would not show it.
    """
    if not isinstance(body, dict):
        raise SlackRefused("invalid_payload")
    original = None
    if place.message_ts:
        original = workspace.message(place.channel, place.message_ts)
    if _says(body, "delete_original"):
        _delete(workspace, place, original)
        return
    made = _content(body)
    if _says(body, "replace_original") and place.message_ts:
        _replace(workspace, place, original, made)
        return
    message = workspace.bot_author() | {"ts": workspace.new_ts()} | made
    if thread_ts := body.get("thread_ts"):
        message["thread_ts"] = workspace.root_of(place.channel, str(thread_ts))
    if body.get("response_type") == "in_channel":
        publish(workspace, workspace.channels[place.channel], message)
    else:
        show_ephemeral(workspace, place.channel, place.user, message)


def _says(body: Document, name: str) -> bool:
    return str(body.get(name, "")).lower() == "true"


def _content(body: Document) -> Document:
    text = str(body.get("text") or "")
    blocks = checked_blocks(body.get("blocks"))
    if not text and not blocks and not body.get("attachments"):
        raise SlackRefused("no_text")
    made: Document = {"text": text[:TEXT_KEPT]}
    if blocks:
        made["blocks"] = blocks
    if metadata := checked_metadata(body.get("metadata")):
        made["metadata"] = metadata
    return made


def _delete(workspace: Workspace, place: ResponseUrl, original: Document | None) -> None:
    if original is not None:
        remove(workspace, workspace.channels[place.channel], original)
        return
    ts = place.message_ts
    workspace.ephemerals = [each for each in workspace.ephemerals if each[2]["ts"] != ts]
    workspace.inspector.changed("ephemeral", channel=place.channel, ts=ts, user=place.user)


def _replace(
    workspace: Workspace, place: ResponseUrl, original: Document | None, made: Document
) -> None:
    if original is not None:
        previous = dict(original)
        original.pop("blocks", None)
        original.update(made)
        changed(workspace, workspace.channels[place.channel], original, previous)
        return
    shown = workspace.ephemeral(place.channel, place.message_ts or "")
    if shown is not None:
        shown.pop("blocks", None)
        shown.update(made)
        workspace.inspector.changed(
            "ephemeral", channel=place.channel, ts=place.message_ts, user=place.user
        )
