"""The submitted form of a subscription, read as the wishes that the command gives too.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID

from bot.slack import ids
from bot.slack.commands.alerts.kinds import kind_named
from bot.slack.commands.alerts.readers import Given
from bot.slack.commands.alerts.settings import SETTINGS, Setting
from bot.slack.commands.alerts.subscribe_parser import wishes_of
from bot.slack.commands.alerts.values import AlertWishes
from bot.slack.commands.forms import BadForm
from bot.slack.inbound.fields import parts_of, private_metadata
from bot.slack.inbound.request import channel_of_view
from core.domain.alerts.kinds import AlertKind

# The values of options that restrict nothing.
ANY = "*"
NO_DIGEST = "off"
ON = "on"
_BROKEN_FORM = "This form is broken; close it and type /workflow alerts again."

# Field of the form → the setting with the same meaning.
_SETTING_OF_FIELD: Mapping[str, str] = MappingProxyType(
    {
        ids.FIELD_WORKFLOW: "workflow",
        ids.FIELD_REPO: "repo",
        ids.FIELD_OWNER: "owner",
        ids.FIELD_SEVERITY: "severity",
        ids.FIELD_COST: "cost",
        ids.FIELD_FOR: "for",
        ids.FIELD_GROUP: "mention",
        ids.FIELD_PERSON: "mention",
        ids.FIELD_QUIET: "quiet",
        ids.FIELD_TIME_ZONE: "tz",
        ids.FIELD_DIGEST: "digest",
        ids.FIELD_DIGEST_HOUR: "at",
        ids.FIELD_PROGRESS: "progress",
        ids.FIELD_BROADCAST: "broadcast",
    }
)
_UNRESTRICTED: Mapping[str, str] = MappingProxyType(
    {ids.FIELD_WORKFLOW: ANY, ids.FIELD_SEVERITY: ANY, ids.FIELD_DIGEST: NO_DIGEST}
)


@dataclass(frozen=True, kw_only=True)
class AlertForm:
    """What a submitted form asks for.

    Attributes:
        subscription_id: The subscription to change; `None` for a new one.
    """

    channel_id: str
    wishes: AlertWishes
    subscription_id: UUID | None = None


def read_alert_form(view: Mapping[str, Any]) -> AlertForm:
    """Read the submitted form.

    Raises:
        BadForm: With a text for each wrong field.
    """
    errors: dict[str, str] = {}
    values: dict[str, Any] = {}
    for block_id, name in _SETTING_OF_FIELD.items():
        given = _given(view, block_id)
        if not given or given == _UNRESTRICTED.get(block_id):
            continue
        setting = SETTINGS[name]
        value = setting.parse(Given(text=given, raw=given))
        if value is None:
            errors[block_id] = _needs(setting)
        elif block_id == ids.FIELD_PERSON and "mention" in values:
            errors[block_id] = "Choose a group or a person, not both."
        else:
            values[name] = value
    kinds = {kind_named(one) for one in _options(view, ids.FIELD_KINDS)}
    chosen = frozenset(kind for kind in kinds if isinstance(kind, AlertKind))
    channel_id, metadata = channel_of_view(view), private_metadata(view)
    subscription_id = _id(metadata.get("subscription_id"))
    is_broken = channel_id is None or None in kinds
    if is_broken or ("subscription_id" in metadata and subscription_id is None):
        errors[ids.FIELD_KINDS] = _BROKEN_FORM
    if errors or channel_id is None:
        raise BadForm(errors)
    return AlertForm(
        channel_id=channel_id,
        wishes=wishes_of(chosen, values),
        subscription_id=subscription_id,
    )


def _needs(setting: Setting) -> str:
    example = re.split(r"[=>]+", setting.example, maxsplit=1)[-1]
    return f"Needs {setting.expected.replace('`', '')}, for example {example}."


def _id(text: object) -> UUID | None:
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _given(view: Mapping[str, Any], block_id: str) -> str:
    """The text, the one chosen option or the one chosen person of a field; empty if it has none."""
    element = _element(view, block_id)
    people = element.get("selected_users")
    option = element.get("selected_option")
    if isinstance(people, list):
        value: Any = people[0] if people else ""
    elif isinstance(option, Mapping):
        value = option.get("value")
    elif block_id == ids.FIELD_BROADCAST:
        value = ON if _options(view, block_id) else ""
    else:
        value = element.get("value")
    return value.strip() if isinstance(value, str) else ""


def _options(view: Mapping[str, Any], block_id: str) -> list[str]:
    """The values of the chosen options of a field."""
    options = parts_of(_element(view, block_id), "selected_options")
    return [str(option.get("value")) for option in options]


def _element(view: Mapping[str, Any], block_id: str) -> Mapping[str, Any]:
    element: Any = view
    for key in ("state", "values", block_id, ids.VALUE):
        element = element.get(key) if isinstance(element, Mapping) else None
    return element if isinstance(element, Mapping) else {}
