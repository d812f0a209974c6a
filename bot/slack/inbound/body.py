"""The body of a delivery: from bytes to JSON values that every later part can store and send on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl

# Slack nests its own payloads about 15 deep (rich text in a message in an interaction).
MAX_DEPTH = 64
# A slash command has about 15 fields, an interaction one.
_MAX_FORM_FIELDS = 100
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})
# Neither Postgres nor UTF-8 can hold them.  Half an emoji is left where a program cut a text.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"


class BadDelivery(ValueError):
    """A body that is not a delivery of Slack; the message says why, in words for the log."""


def read_body(raw: bytes, content_type: str) -> Mapping[str, Any]:
    """Read the body of an HTTP request: JSON (events), a form (commands), or JSON in a form.

    Args:
        raw: The bytes that were signed.
        content_type: The header.

    Raises:
        BadDelivery: If it is none of these.
    """
    media_type, charset = _media_type(content_type)
    if charset not in _CHARSETS:
        raise BadDelivery(f"the charset {charset[:40]!r} is not UTF-8")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadDelivery("the body is not UTF-8") from error
    if media_type == _JSON:
        return _object(read_json(text))
    if media_type == _FORM:
        return _read_form(text)
    raise BadDelivery(f"the content type {media_type[:60]!r} is neither JSON nor a form")


def read_json(text: str) -> Any:
    """Parse JSON, and repair its texts as `storable` does.

    Raises:
        BadDelivery: If it is not valid JSON, or cannot be stored.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise BadDelivery("the JSON is nested too deeply") from error
    except ValueError as error:
        raise BadDelivery("the JSON is malformed") from error
    return storable(value)


def storable(value: Any, *, depth: int = MAX_DEPTH) -> Any:
    """A copy of a JSON value without characters that cannot be stored.

    Raises:
        BadDelivery: If it is nested too deeply, or holds a number that JSON cannot express.
    """
    if isinstance(value, str):
        return _UNSTORABLE.sub(_REPLACEMENT, value)
    if isinstance(value, float) and not math.isfinite(value):
        raise BadDelivery("a number is not finite")
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        raise BadDelivery("the JSON is nested too deeply")
    if isinstance(value, list):
        return [storable(item, depth=depth - 1) for item in value]
    return {
        _UNSTORABLE.sub(_REPLACEMENT, str(name)): storable(item, depth=depth - 1)
        for name, item in value.items()
    }


def _media_type(content_type: str) -> tuple[str, str]:
    """The media type and the charset of a header, in lower case."""
    header = Message()
    header["content-type"] = " ".join(content_type.split())
    return header.get_content_type(), str(header.get_param("charset", "")).strip().lower()


def _read_form(text: str) -> Mapping[str, Any]:
    try:
        fields = dict(
            parse_qsl(
                text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FORM_FIELDS
            )
        )
    except ValueError as error:
        raise BadDelivery("the form is malformed") from error
    if "payload" in fields and "command" not in fields:
        return _object(read_json(fields["payload"]))
    return _object(storable(fields))


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadDelivery("the JSON is not an object")
    return value
