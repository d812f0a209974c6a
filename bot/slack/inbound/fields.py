"""Fields of a delivery, read without trust: a wrong type counts as missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.slack.inbound.body import BadDelivery, read_json


def text_of(body: Mapping[str, Any], name: str) -> str | None:
    """A text that is not empty."""
    value = body.get(name)
    return value if isinstance(value, str) and value else None


def part_of(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object; empty if there is none."""
    part = body.get(name)
    return part if isinstance(part, dict) else {}


def parts_of(body: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects of a list."""
    listed = body.get(name)
    return [part for part in listed if isinstance(part, dict)] if isinstance(listed, list) else []


def private_metadata(view: Mapping[str, Any]) -> Mapping[str, Any]:
    """A form's own metadata, which a client can forge; empty if it is not an object."""
    try:
        metadata = read_json(text_of(view, "private_metadata") or "{}")
    except BadDelivery:
        return {}
    return metadata if isinstance(metadata, dict) else {}
