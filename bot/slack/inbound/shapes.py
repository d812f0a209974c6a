"""The shapes of the deliveries that Signalbox handles.

Of each only the parts that are read are kept, so whatever passes here has the types and bounds that
Bolt, the listeners and the database rely on.  `null` counts as missing, as Slack means it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from bot.slack.inbound.body import BadDelivery
from bot.slack.inbound.request import CHANNEL_EVENTS

Reader = Callable[[object, str], Any]
"""Reads a value that is not `null`; the text is its path, for the error.  Raises `BadDelivery`."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Slack's timestamps are the ids of messages: seconds and microseconds.
_TIMESTAMP = re.compile(r"[0-9.]{1,40}")
# Triggers and hashes.
_TOKEN = re.compile(r"[!-~]{1,255}")
_NAME_CHARS = 255
_URL_CHARS = 2000


def _text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise BadDelivery(f"{path} is not a text")
    return value


def _flag(value: object, path: str) -> bool:
    """A boolean; in forms it is a text."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise BadDelivery(f"{path} is neither true nor false")


def _free(kind: type) -> Reader:
    """Any value of a type; its content is checked where it is read."""

    def read(value: object, path: str) -> Any:
        if not isinstance(value, kind):
            raise BadDelivery(f"{path} is not a {kind.__name__}")
        return value

    return read


def _matching(pattern: re.Pattern[str], what: str) -> Reader:
    def read(value: object, path: str) -> str:
        text = _text(value, path)
        # An empty text counts as missing: forms have no `null`.
        if text and not pattern.fullmatch(text):
            raise BadDelivery(f"{path} is not {what}")
        return text

    return read


def _short(limit: int) -> Reader:
    def read(value: object, path: str) -> str:
        text = _text(value, path)
        if len(text) > limit:
            raise BadDelivery(f"{path} has more than {limit} characters")
        return text

    return read


def _record(*required: str, **fields: Reader) -> Reader:
    """An object: of it only `fields` are kept, of which `required` must be there."""

    def read(value: object, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise BadDelivery(f"{path or 'the body'} is not an object")
        prefix = f"{path}." if path else ""
        found = {
            name: reader(value[name], prefix + name)
            for name, reader in fields.items()
            if value.get(name) is not None
        }
        missing = next((name for name in required if found.get(name) in (None, "", [])), None)
        if missing is not None:
            raise BadDelivery(f"{prefix}{missing} is missing")
        return found

    return read


def _list_of(item: Reader) -> Reader:
    def read(value: object, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise BadDelivery(f"{path} is not a list")
        return [item(entry, f"{path}[{index}]") for index, entry in enumerate(value)]

    return read


def _id_or_record(value: object, path: str) -> dict[str, Any]:
    """An object with an id, which older payloads give as the id alone."""
    record: dict[str, Any] = _record(id=_id, enterprise_id=_id)(
        {"id": value} if isinstance(value, str) else value, path
    )
    return record


_id = _matching(_ID, "an id")
_timestamp = _matching(_TIMESTAMP, "a timestamp")
_token = _matching(_TOKEN, "an identifier")
_name = _short(_NAME_CHARS)
_url = _short(_URL_CHARS)

_ORIGIN: Mapping[str, Reader] = MappingProxyType(
    {"type": _name, "api_app_id": _id, "is_enterprise_install": _flag}
)
_VIEW: Mapping[str, Reader] = MappingProxyType(
    {
        "id": _id,
        "team_id": _id,
        "app_installed_team_id": _id,
        "hash": _token,
        "type": _name,
        "callback_id": _name,
        "private_metadata": _text,
        "blocks": _list_of(_record("type", type=_name, block_id=_name)),
        "state": _free(dict),
    }
)
_INTERACTION: Mapping[str, Reader] = MappingProxyType(
    {
        **_ORIGIN,
        "user": _record("id", id=_id, team_id=_id),
        "team": _id_or_record,
        "enterprise": _id_or_record,
        "channel": _record(id=_id),
        "container": _record(message_ts=_timestamp, channel_id=_id, thread_ts=_timestamp),
        "message": _record(ts=_timestamp, thread_ts=_timestamp, text=_text),
        "view": _record("id", **_VIEW),
        "trigger_id": _token,
        "response_url": _url,
    }
)
_EVENT: Mapping[str, Reader] = MappingProxyType(
    {
        **_ORIGIN,
        "team_id": _id,
        "enterprise_id": _id,
        "context_team_id": _id,
        "context_enterprise_id": _id,
        "event_id": _id,
        "is_ext_shared_channel": _flag,
        "authorizations": _list_of(
            _record(enterprise_id=_id, team_id=_id, is_enterprise_install=_flag)
        ),
    }
)

_command = _record(
    "command",
    "user_id",
    "channel_id",
    "trigger_id",
    command=_name,
    text=_text,
    team_id=_id,
    enterprise_id=_id,
    user_id=_id,
    channel_id=_id,
    trigger_id=_token,
    response_url=_url,
    api_app_id=_id,
    is_enterprise_install=_flag,
)
_SHAPES: Mapping[str, Reader] = MappingProxyType(
    {
        "block_actions": _record(
            "user",
            "actions",
            **_INTERACTION,
            actions=_list_of(
                _record(
                    "action_id",
                    action_id=_name,
                    block_id=_name,
                    type=_name,
                    value=_text,
                    selected_option=_record(value=_text),
                    action_ts=_timestamp,
                )
            ),
        ),
        "view_submission": _record(
            "user",
            "view",
            **{**_INTERACTION, "view": _record("id", "callback_id", "type", **_VIEW)},
        ),
        "message_action": _record(
            "user", "channel", "callback_id", **_INTERACTION, callback_id=_name,
            message_ts=_timestamp,
        ),
        "shortcut": _record("user", "callback_id", **_INTERACTION, callback_id=_name),
    }
)  # fmt: skip
_message = _record(
    "event",
    **_EVENT,
    event=_record(
        "channel",
        type=_name,
        subtype=_name,
        channel=_id,
        channel_type=_name,
        user=_id,
        bot_id=_id,
        team=_id,
        user_team=_id,
        source_team=_id,
        text=_text,
        ts=_timestamp,
        thread_ts=_timestamp,
        hidden=_flag,
    ),
)
_home = _record("event", **_EVENT, event=_record("user", type=_name, user=_id, tab=_name))
_channel = _record(
    "event", **_EVENT, event=_record("channel", type=_name, channel=_id, user=_id, inviter=_id)
)
_EVENT_SHAPES: Mapping[str, Reader] = MappingProxyType(
    {
        "message": _message,
        "app_mention": _message,
        "app_home_opened": _home,
        **dict.fromkeys(CHANNEL_EVENTS, _channel),
    }
)


def read_delivery(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The parts of a delivery that are read; `None` if it is of a kind that nobody handles.

    Raises:
        BadDelivery: If it does not have the shape of its kind.
    """
    reader = _reader_of(body)
    if reader is None:
        return None
    delivery: Mapping[str, Any] = reader(dict(body), "")
    return delivery


def _reader_of(body: Mapping[str, Any]) -> Reader | None:
    if body.get("command") is not None:
        return _command
    kind = body.get("type")
    if not isinstance(kind, str) or not kind:
        raise BadDelivery("type is missing")
    if kind != "event_callback":
        return _SHAPES.get(kind)
    event = body.get("event")
    name = event.get("type") if isinstance(event, dict) else None
    if not isinstance(name, str) or not name:
        raise BadDelivery("event.type is missing")
    return _EVENT_SHAPES.get(name)
