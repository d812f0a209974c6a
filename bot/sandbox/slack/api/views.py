"""views.*: modals and the home tab, and what an app's answer to a submission does to them."""

import secrets
from typing import Any

from bot.sandbox.slack import people
from bot.sandbox.slack.api.call import Call, Handler
from bot.sandbox.slack.blocks.check import check_view, is_view_too_large, with_ids
from bot.sandbox.slack.errors import SlackRefused, invalid
from bot.sandbox.slack.state import TRIGGER_SECONDS, Document, OpenView, Workspace, mint

# As many modals fit on top of each other.
STACK = 3


def used_trigger(call: Call) -> str:
    """Use up the trigger a call gives; the person it belongs to.

    Raises:
        SlackRefused: If it is unknown, used, or older than three seconds.
    """
    trigger = call.workspace.triggers.get(call.text("trigger_id"))
    if trigger is None:
        raise SlackRefused("invalid_trigger_id")
    if trigger.used:
        raise SlackRefused("exchanged_trigger_id")
    if call.workspace.clock.now() - trigger.made_at > TRIGGER_SECONDS:
        raise SlackRefused("expired_trigger_id")
    trigger.used = True
    return trigger.user


def checked_view(workspace: Workspace, view: Any, *, kind: str) -> Document:
    """A view as Slack stores it.

    Raises:
        SlackRefused: If Slack would not show it.
    """
    if isinstance(view, dict) and is_view_too_large(view):
        raise SlackRefused("view_too_large")
    errors = check_view(view)
    if not errors and view["type"] != kind:
        errors = [f"unsupported type: {view['type']} [json-pointer:/view/type]"]
    if errors:
        raise invalid("invalid_arguments", errors)
    external_id = view.get("external_id") or ""
    if external_id and any(
        each.document["external_id"] == external_id
        for each in [*_on_screens(workspace), *workspace.homes.values()]
    ):
        raise SlackRefused("duplicate_external_id")
    stored: Document = {
        "id": mint("V"),
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
    """A view's hash: it changes with every change of the view."""
    return f"{int(workspace.clock.now())}.{secrets.token_urlsafe(6)}"


def shown(view: OpenView) -> Document:
    """A view with what has been entered in it."""
    return view.document | {"state": {"values": view.typed}}


def open_view(call: Call) -> Document:
    """views.open: a new modal; one that was on the screen goes."""
    user = used_trigger(call)
    document = checked_view(call.workspace, call.nested("view"), kind="modal")
    call.workspace.stacks[user] = []
    return {"view": shown(push_on(call.workspace, user, document))}


def push(call: Call) -> Document:
    """views.push: a modal on top of the one the trigger came from."""
    user = used_trigger(call)
    if not call.workspace.stacks.get(user):
        raise SlackRefused("not_found")
    document = checked_view(call.workspace, call.nested("view"), kind="modal")
    return {"view": shown(push_on(call.workspace, user, document))}


def push_on(workspace: Workspace, user: str, document: Document) -> OpenView:
    """Put a modal on top of a person's screen.

    Raises:
        SlackRefused: If the pile is high enough.
    """
    stack = workspace.stacks.setdefault(user, [])
    if len(stack) >= STACK:
        raise SlackRefused("push_limit_reached")
    if stack:
        document["previous_view_id"] = stack[-1].id
        document["root_view_id"] = stack[0].id
    view = OpenView(document=document, user=user)
    stack.append(view)
    workspace.inspector.changed("view", user=user)
    return view


def update(call: Call) -> Document:
    """views.update: by id or external id; with a hash only if nobody was faster."""
    workspace = call.workspace
    wanted, external = call.text("view_id"), call.text("external_id")
    if not wanted and not external:
        raise invalid("invalid_arguments", ["missing required field: view_id"])
    view = next(
        (
            each
            for each in [*_on_screens(workspace), *workspace.homes.values()]
            if each.id == wanted or (external and each.document["external_id"] == external)
        ),
        None,
    )
    if view is None:
        raise SlackRefused("not_found")
    if call.text("hash") not in ("", view.document["hash"]):
        raise SlackRefused("hash_conflict")
    replace(workspace, view, call.nested("view"))
    return {"view": shown(view)}


def replace(workspace: Workspace, view: OpenView, document: Any) -> None:
    """Show something else in a view; entries of blocks that stay are kept."""
    kept = {key: view.document[key] for key in ("id", "previous_view_id", "root_view_id")}
    external, view.document["external_id"] = view.document["external_id"], ""
    try:
        checked = checked_view(workspace, document, kind=view.document["type"])
    finally:
        view.document["external_id"] = external
    view.document = checked | kept
    there = {block["block_id"] for block in view.document["blocks"]}
    view.typed = {key: value for key, value in view.typed.items() if key in there}
    workspace.inspector.changed("view" if checked["type"] == "modal" else "home", user=view.user)


def publish(call: Call) -> Document:
    """views.publish: the home tab of one person."""
    workspace = call.workspace
    if not workspace.manifest.has_home:
        raise SlackRefused("not_enabled")
    user = call.text("user_id")
    if user not in workspace.people:
        raise invalid("invalid_arguments", ["user_id: not a user [json-pointer:/user_id]"])
    home = workspace.homes.get(user)
    if home is not None:
        if call.text("hash") not in ("", home.document["hash"]):
            raise SlackRefused("hash_conflict")
        replace(workspace, home, call.nested("view"))
    else:
        document = checked_view(workspace, call.nested("view"), kind="home")
        home = OpenView(document=document, user=user)
        workspace.homes[user] = home
        workspace.inspector.changed("home", user=user)
    return {"view": shown(home)}


def close_top(workspace: Workspace, user: str, *, clear: bool) -> list[OpenView]:
    """Take a person's topmost modal, or all, off the screen; those that went, topmost first."""
    stack = workspace.stacks.get(user, [])
    gone = stack[::-1] if clear else stack[-1:]
    del stack[len(stack) - len(gone) :]
    if gone:
        workspace.inspector.changed("view_closed", user=user)
    return gone


def answer_submission(
    workspace: Workspace, view: OpenView, answer: Document | None
) -> dict[str, str] | None:
    """Do what the app answered to a submission.

    Returns:
        The errors to show at the blocks, or None when there are none.

    Raises:
        SlackRefused: If Slack would not understand the answer.
    """
    action = (answer or {}).get("response_action")
    if action is None:
        close_top(workspace, view.user, clear=False)
        return None
    answer = answer or {}
    if action == "errors":
        errors = answer.get("errors")
        there = {block["block_id"] for block in view.document["blocks"] if block["type"] == "input"}
        if not isinstance(errors, dict) or not errors or not set(errors) <= there:
            raise SlackRefused("invalid_response_action_errors")
        return {str(key): str(value) for key, value in errors.items()}
    if action == "clear":
        close_top(workspace, view.user, clear=True)
    elif action == "update":
        view.typed = {}
        replace(workspace, view, answer.get("view"))
    elif action == "push":
        document = checked_view(workspace, answer.get("view"), kind="modal")
        push_on(workspace, view.user, document)
    else:
        raise SlackRefused("invalid_response_action")
    return None


def _on_screens(workspace: Workspace) -> list[OpenView]:
    return [each for stack in workspace.stacks.values() for each in stack]


HANDLERS: dict[str, Handler] = {
    "views.open": open_view,
    "views.publish": publish,
    "views.push": push,
    "views.update": update,
}
