"""Column types and JSON for any text that people and agents produce.

Postgres cannot store NUL characters and lone surrogates, neither in text nor in `jsonb`.  The
output of a tool can contain both.  They are replaced, so that no output makes a run fail.
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
    """Replace characters that Postgres cannot store by U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", _REPLACEMENT)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass").decode(errors="replace")
    return text


def to_json(value: Any) -> str:
    """Write JSON that `jsonb` accepts.  Values that JSON cannot express become strings."""
    written = json.dumps(value, default=str)
    # Checking every string is expensive, and these cases are rare.
    if "\\u0000" in written or "\\ud" in written or "NaN" in written or "Infinity" in written:
        return json.dumps(_sanitize(value), default=str)
    return written


def _sanitize(value: Any) -> Any:
    if isinstance(value, str):
        return sanitize_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {sanitize_text(str(key)): _sanitize(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_sanitize(item) for item in value]
    return value


class SafeText(TypeDecorator[str]):
    """Text of any length; characters that Postgres cannot store are replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Replace characters that Postgres cannot store."""
        return None if value is None else sanitize_text(value)


class AwareDateTime(TypeDecorator[datetime]):
    """A time with a time zone; a naive one is a programming error."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> datetime | None:
        """Check the value.

        Raises:
            ValueError: If the time has no time zone.
        """
        if value is not None and value.tzinfo is None:
            raise ValueError(f"naive time {value!r}")
        return value


Json = JSONB(none_as_null=True)
COST = Numeric(14, 7)
