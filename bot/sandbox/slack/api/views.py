"""views.*: modals and the home tab, and the effects of an app's answer to a submission."""

import secrets
from typing import Any

from bot.sandbox.slack import people
from bot.sandbox.slack.api.call import Call, Handler
from bot.sandbox.slack.blocks.block_check import check_view, is_view_too_large, with_ids
from bot.sandbox.slack.errors import WebApiError, invalid
from bot.sandbox.slack.state import (
    TRIGGER_SECONDS,
    Document,
    OpenView,
    Trigger,
    Workspace,
    new_id,
)

# Slack shows at most this many modals on top of each other.
MAX_STACK = 3


def consume_trigger(call: Call) -> Trigger:
    """Use up a call's trigger and return it.

    Raises:
        WebApiError: If it is unknown, used, or older than three seconds.
    """
    trigger = call.workspace.triggers.get(call.text("trigger_id"))
    if trigger is None:
        raise WebApiError("invalid_trigger_id")
    if trigger.is_used:
        raise WebApiError("exchanged_trigger_id")
    if call.workspace.clock.now() - trigger.created_at > TRIGGER_SECONDS:
        raise WebApiError("expired_trigger_id")
    trigger.is_used = True
    return trigger


def validate_view(workspace: Workspace, view: Any, *, kind: str) -> Document:
    """A view in the form in which Slack stores it.

    Raises:
        WebApiError: If Slack would refuse it.
    """
    if isinstance(view, dict) and is_view_too_large(view):
        raise WebApiError("view_too_large")
    errors = check_view(view)
    if not errors and view["type"] != kind:
        errors = [f"unsupported type: {view['type']} [json-pointer:/view/type]"]
    if errors:
        raise invalid("invalid_arguments", errors)
    external_id = view.get("external_id") or ""
    if external_id and any(
        each.document["external_id"] == external_id
        for each in [*_open_views(workspace), *workspace.homes.values()]
    ):
        raise WebApiError("duplicate_external_id")
    stored: Document = {
        "id": new_id("V"),
        "team_id": people.TEAM_ID,
        "type": kind,
        "blocks": with_ids(view["blocks"]),
        "private_metadata": view.get("private_metadata") or "",
        "callback_id": view.get("callback_id") or "",
        "hash": new_hash(workspace),
        "title": view.get("title"),
        "clear_on_close": bool(view.get("clear_on_close")),
        "notify_on_close": bool(view.get("notify_on_close")),
        "close": view.get("close"),
        "submit": view.get("submit"),
        "previous_view_id": None,
        "root_view_id": "",
        "app_id": people.APP_ID,
        "external_id": external_id,
        "app_installed_team_id": people.TEAM_ID,
        "bot_id": people.BOT_ID,
    }
    stored["root_view_id"] = stored["id"]
    return stored


def new_hash(workspace: Workspace) -> str:
    """A new hash of a view; it changes with every change of the view."""
    return f"{int(workspace.clock.now())}.{secrets.token_urlsafe(6)}"


def view_with_state(view: OpenView) -> Document:
    """A view together with the entered values."""
    return view.document | {"state": {"values": view.entered}}


def open_view(call: Call) -> Document:
    """views.open: a new modal; it replaces one that is open."""
    trigger = consume_trigger(call)
    document = validate_view(call.workspace, call.nested("view"), kind="modal")
    call.workspace.stacks[trigger.user] = []
    view = push_view(call.workspace, trigger.user, document, page=trigger.page)
    return {"view": view_with_state(view)}


def push(call: Call) -> Document:
    """views.push: a modal on top of the one that the trigger came from."""
    trigger = consume_trigger(call)
    if not call.workspace.stacks.get(trigger.user):
        raise WebApiError("not_found")
    document = validate_view(call.workspace, call.nested("view"), kind="modal")
    view = push_view(call.workspace, trigger.user, document, page=trigger.page)
    return {"view": view_with_state(view)}


def push_view(workspace: Workspace, user: str, document: Document, *, page: str) -> OpenView:
    """Put a modal on top of a person's screen, as `page` shows it.

    Raises:
        WebApiError: If the stack of modals is full.
    """
    stack = workspace.stacks.setdefault(user, [])
    if len(stack) >= MAX_STACK:
        raise WebApiError("push_limit_reached")
    if stack:
        document["previous_view_id"] = stack[-1].id
        document["root_view_id"] = stack[0].id
    view = OpenView(document=document, user=user, page=page)
    stack.append(view)
    workspace.inspector.publish_change("view", user=user)
    return view


def update(call: Call) -> Document:
    """views.update: by id or external id; a hash must match the present view."""
    workspace = call.workspace
    view_id, external = call.text("view_id"), call.text("external_id")
    if not view_id and not external:
        raise invalid("invalid_arguments", ["missing required field: view_id"])
    view = next(
        (
            each
            for each in [*_open_views(workspace), *workspace.homes.values()]
            if each.id == view_id or (external and each.document["external_id"] == external)
        ),
        None,
    )
    if view is None:
        raise WebApiError("not_found")
    if call.text("hash") not in ("", view.document["hash"]):
        raise WebApiError("hash_conflict")
    replace_view(workspace, view, call.nested("view"))
    return {"view": view_with_state(view)}


def replace_view(workspace: Workspace, view: OpenView, document: Any) -> None:
    """Replace the document of a view; the entries of unchanged blocks stay."""
    identity = {key: view.document[key] for key in ("id", "previous_view_id", "root_view_id")}
    external, view.document["external_id"] = view.document["external_id"], ""
    try:
        checked = validate_view(workspace, document, kind=view.document["type"])
    finally:
        view.document["external_id"] = external
    view.document = checked | identity
    block_ids = {block["block_id"] for block in view.document["blocks"]}
    view.entered = {key: value for key, value in view.entered.items() if key in block_ids}
    workspace.inspector.publish_change(
        "view" if checked["type"] == "modal" else "home", user=view.user
    )


def publish(call: Call) -> Document:
    """views.publish: the home tab of one person."""
    workspace = call.workspace
    if not workspace.manifest.has_home:
        raise WebApiError("not_enabled")
    user = call.text("user_id")
    if user not in workspace.people:
        raise invalid("invalid_arguments", ["user_id: not a user [json-pointer:/user_id]"])
    home = workspace.homes.get(user)
    if home is not None:
        if call.text("hash") not in ("", home.document["hash"]):
            raise WebApiError("hash_conflict")
        replace_view(workspace, home, call.nested("view"))
    else:
        document = validate_view(workspace, call.nested("view"), kind="home")
        home = OpenView(document=document, user=user)
        workspace.homes[user] = home
        workspace.inspector.publish_change("home", user=user)
    return {"view": view_with_state(home)}


def close_views(workspace: Workspace, user: str, *, clear: bool) -> list[OpenView]:
    """Close a person's topmost modal, or all; returns the closed ones, topmost first."""
    stack = workspace.stacks.get(user, [])
    closed = stack[::-1] if clear else stack[-1:]
    del stack[len(stack) - len(closed) :]
    if closed:
        workspace.inspector.publish_change("view_closed", user=user)
    return closed


def apply_submission_response(
    workspace: Workspace, view: OpenView, answer: Document | None
) -> dict[str, str] | None:
    """Apply the app's answer to a submission.

    Returns:
        The errors to show at the blocks, or None if there are none.

    Raises:
        WebApiError: If Slack would not understand the answer.
    """
    action = (answer or {}).get("response_action")
    if action is None:
        close_views(workspace, view.user, clear=False)
        return None
    answer = answer or {}
    if action == "errors":
        errors = answer.get("errors")
        block_ids = {
            block["block_id"] for block in view.document["blocks"] if block["type"] == "input"
        }
        if not isinstance(errors, dict) or not errors or not set(errors) <= block_ids:
            raise WebApiError("invalid_response_action_errors")
        return {str(key): str(value) for key, value in errors.items()}
    if action == "clear":
        close_views(workspace, view.user, clear=True)
    elif action == "update":
        view.entered = {}
        replace_view(workspace, view, answer.get("view"))
    elif action == "push":
        document = validate_view(workspace, answer.get("view"), kind="modal")
        push_view(workspace, view.user, document, page=view.page)
    else:
        raise WebApiError("invalid_response_action")
    return None


def _open_views(workspace: Workspace) -> list[OpenView]:
    return [each for stack in workspace.stacks.values() for each in stack]


HANDLERS: dict[str, Handler] = {
    "views.open": open_view,
    "views.publish": publish,
    "views.push": push,
    "views.update": update,
}
