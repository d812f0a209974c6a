"""Lengths of time in requests, as people type them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from bot.words.times import DURATION_PATTERN, parse_duration

_WRITTEN = re.compile(DURATION_PATTERN)


def _read(value: Any) -> timedelta:
    is_written_so = isinstance(value, str) and _WRITTEN.fullmatch(value) is not None
    found = parse_duration(value) if is_written_so else None
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
