"""The payloads that Slack sends to an app when a person acts.  Pure."""

from collections.abc import Mapping
from typing import Any

from bot.sandbox.slack.people import APP_ID, TEAM_DOMAIN, TEAM_ID, Channel, Person

Document = dict[str, Any]

VERIFICATION_TOKEN = "sandbox0verification0tok"  # noqa: S105 - not a secret; Slack deprecated it


def user_of(person: Person) -> Document:
    """The person of an interaction."""
    return {
        "id": person.id,
        "username": person.name,
        "name": person.name,
        "team_id": person.team_id,
    }


def _app_fields() -> Document:
    return {
        "api_app_id": APP_ID,
        "token": VERIFICATION_TOKEN,
        "team": {"id": TEAM_ID, "domain": TEAM_DOMAIN},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def channel_name(channel: Channel) -> str:
    """The channel's name in an interaction: private ones are not named."""
    return "privategroup" if channel.is_private else channel.name


def slash_command(
    *,
    person: Person,
    channel: Channel,
    command: str,
    text: str,
    response_url: str,
    trigger_id: str,
) -> dict[str, str]:
    """A slash command: a flat form in which even booleans are strings."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": TEAM_ID,
        "team_domain": TEAM_DOMAIN,
        "channel_id": channel.id,
        "channel_name": channel_name(channel),
        "user_id": person.id,
        "user_name": person.name,
        "command": command,
        "text": text,
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": trigger_id,
    }


def message_actions(
    *,
    person: Person,
    channel: Channel,
    message: Mapping[str, Any],
    is_ephemeral: bool,
    actions: list[Document],
    state: Document,
    response_url: str,
    trigger_id: str,
) -> Document:
    """A button or menu used in a message; an ephemeral message is not included."""
    container: Document = {
        "type": "message",
        "message_ts": message["ts"],
        "channel_id": channel.id,
        "is_ephemeral": is_ephemeral,
    }
    if "thread_ts" in message:
        container["thread_ts"] = message["thread_ts"]
    payload = {
        "type": "block_actions",
        "user": user_of(person),
        **_app_fields(),
        "container": container,
        "trigger_id": trigger_id,
        "channel": {"id": channel.id, "name": channel_name(channel)},
        "state": {"values": state},
        "response_url": response_url,
        "actions": actions,
    }
    if not is_ephemeral:
        payload["message"] = dict(message)
    return payload


def view_actions(
    *, person: Person, view: Document, actions: list[Document], trigger_id: str
) -> Document:
    """A button or menu used in a modal or the home tab."""
    return {
        "type": "block_actions",
        "user": user_of(person),
        **_app_fields(),
        "container": {"type": "view", "view_id": view["id"]},
        "trigger_id": trigger_id,
        "view": view,
        "actions": actions,
    }


def view_submission(*, person: Person, view: Document, trigger_id: str) -> Document:
    """A submitted modal.  It does not name a channel."""
    return {
        "type": "view_submission",
        "user": user_of(person),
        **_app_fields(),
        "trigger_id": trigger_id,
        "view": view,
        "response_urls": [],
    }


def view_closed(*, person: Person, view: Document, is_cleared: bool) -> Document:
    """A modal that its person closed; only sent with `notify_on_close`."""
    return {
        "type": "view_closed",
        "user": user_of(person),
        **_app_fields(),
        "view": view,
        "is_cleared": is_cleared,
    }


def message_action(
    *,
    person: Person,
    channel: Channel,
    message: Mapping[str, Any],
    callback_id: str,
    action_ts: str,
    response_url: str,
    trigger_id: str,
) -> Document:
    """A message shortcut."""
    return {
        "type": "message_action",
        "callback_id": callback_id,
        "user": user_of(person),
        **_app_fields(),
        "trigger_id": trigger_id,
        "message_ts": message["ts"],
        "message": dict(message),
        "channel": {"id": channel.id, "name": channel_name(channel)},
        "response_url": response_url,
        "action_ts": action_ts,
    }


def global_shortcut(
    *, person: Person, callback_id: str, action_ts: str, trigger_id: str
) -> Document:
    """A global shortcut; its user object has no `name`."""
    user = user_of(person)
    del user["name"]
    return {
        "type": "shortcut",
        "callback_id": callback_id,
        "user": user,
        **_app_fields(),
        "trigger_id": trigger_id,
        "action_ts": action_ts,
    }


def block_suggestion(
    *,
    person: Person,
    container: Document,
    action_id: str,
    block_id: str,
    value: str,
    **context: Any,
) -> Document:
    """The text typed into a menu whose options come from the app; `context` has view or message."""
    return {
        "type": "block_suggestion",
        "user": user_of(person),
        **_app_fields(),
        "container": container,
        "action_id": action_id,
        "block_id": block_id,
        "value": value,
        **context,
    }


def url_verification(challenge: str) -> Document:
    """The request that Slack sends when a request URL is configured."""
    return {"type": "url_verification", "token": VERIFICATION_TOKEN, "challenge": challenge}
