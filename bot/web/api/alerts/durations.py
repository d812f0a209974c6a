"""Lengths of time in requests, as people type them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from bot.words.times import DURATION_PATTERN, parse_duration


def _read(value: Any) -> timedelta:
    found = parse_duration(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is a length of time with its units, like `30m`, `2h` or `1d12h`")
    return found


DurationText = Annotated[
    timedelta,
    PlainValidator(_read),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": DURATION_PATTERN,
            "description": "A length of time with its units, like `30m`, `2h` or `1d12h`.",
        }
    ),
]
