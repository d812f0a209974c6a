"""Column types, and the writing of JSON, that take whatever people and agents produce.

Postgres keeps no NUL character and no half of a surrogate pair, in text or in `jsonb`.  A
tool's output can hold both: they are replaced, so that no output can fail a run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

_REPLACEMENT = "\ufffd"


def sanitize_text(text: str) -> str:
    """The text with what Postgres cannot keep replaced by U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", _REPLACEMENT)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass").decode(errors="replace")
    return text


def to_json(value: Any) -> str:
    """Write JSON that `jsonb` takes.  What JSON has no word for becomes its text."""
    written = json.dumps(value, default=str)
    # A rare case, and to look at every string is expensive.
    if "\\u0000" in written or "\\ud" in written or "NaN" in written or "Infinity" in written:
        return json.dumps(_cleaned(value), default=str)
    return written


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return sanitize_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {sanitize_text(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return value


class SafeText(TypeDecorator[str]):
    """Text of any length, from anybody."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Replace what Postgres cannot keep."""
        return None if value is None else sanitize_text(value)


class AwareDateTime(TypeDecorator[datetime]):
    """An aware time.  A naive one is a programming error."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> datetime | None:
        """Refuse a time without a zone."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"naive time {value!r}")
        return value


Json = JSONB(none_as_null=True)
COST = Numeric(14, 7)
