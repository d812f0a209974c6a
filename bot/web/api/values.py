"""Types of values that several parts of the API read or answer."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, PlainValidator, WithJsonSchema

from bot.web.route import Parameters
from core.domain.actor import User
from core.domain.paging import PageKey

# The largest id of a row.
MAX_ID = 2**63 - 1
# Times beyond can overflow when they are brought into another time zone.
_MIN_YEAR, _MAX_YEAR = 1970, 2999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_CURSOR_CHARS = 200

RowId = Annotated[int, Field(ge=0, le=MAX_ID)]
PageLimit = Annotated[int, Field(ge=1, le=200, description="The most entries of a page.")]


def _in_bounds(at: datetime) -> datetime:
    if not _MIN_YEAR < at.year < _MAX_YEAR:
        raise ValueError(f"must be between {_MIN_YEAR} and {_MAX_YEAR}")
    return at.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_in_bounds)]


def cursor_of(key: PageKey | None) -> str | None:
    """The place of an entry in a list, as a text that only this program reads."""
    if key is None:
        return None
    plain = f"{(key.at - _EPOCH) // timedelta(microseconds=1)} {key.id.hex}"
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _read_cursor(text: Any) -> PageKey:
    """Read what `cursor_of` wrote.

    Raises:
        ValueError: If it did not write this.
    """
    problem = "is no cursor of this list: take `next` of the page before"
    if not isinstance(text, str) or len(text) > _MAX_CURSOR_CHARS:
        raise ValueError(problem)
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        plain = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
        written, _, identity = plain.partition(" ")
        at = _in_bounds(_EPOCH + timedelta(microseconds=int(written)))
        return PageKey(at=at, id=UUID(hex=identity))
    except (ValueError, OverflowError, binascii.Error) as error:
        raise ValueError(problem) from error


Cursor = Annotated[
    PageKey,
    PlainValidator(_read_cursor),
    WithJsonSchema({"type": "string", "maxLength": _MAX_CURSOR_CHARS}),
]

RunTarget = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        description="A run id, a unique prefix of one, or a session's name or id (its newest run).",
    ),
]


class RunPath(Parameters):
    """The run of a route."""

    run_id: RunTarget


SessionTarget = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        description="A session's id, at least 4 digits of its beginning, or its name.",
    ),
]


class SessionPath(Parameters):
    """The session of a route."""

    session_id: SessionTarget


def moment(at: datetime | None) -> str | None:
    """A time in UTC as JSON has it: `2026-11-21T12:00:00.5Z` with six decimals, or with none.

    It is what pydantic writes, which takes several times as long if it must find the type.
    """
    return None if at is None else at.isoformat().removesuffix("+00:00") + "Z"


def money(amount: Decimal | None) -> float | None:
    """US dollars as a JSON number, exact to 7 decimal places; unknown stays `null`."""
    return None if amount is None else float(amount)


def person(user: User | None) -> str | None:
    """How somebody is called."""
    return None if user is None else user.name
