"""Values of the API: cursors that survive their way to a client and back, and exact money."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from bot.web.api.values import Cursor, Moment, cursor_of, money
from core.domain.paging import PageKey

MOMENTS = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(2998, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)


class Values(BaseModel):
    cursor: Cursor | None = None
    moment: Moment | None = None


@given(MOMENTS, st.uuids())
def test_a_cursor_is_read_as_it_was_written(at: datetime, identity: object) -> None:
    key = PageKey(at=at, id=identity)  # type: ignore[arg-type]

    written = cursor_of(key)

    assert written is not None
    assert written.isascii()
    assert Values.model_validate({"cursor": written}).cursor == key


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")) | st.integers())
def test_any_other_text_is_no_cursor(text: object) -> None:
    try:
        found = Values.model_validate({"cursor": text}).cursor
    except ValidationError:
        return
    # What is accepted names a place, and is written the same way again.
    assert found is not None
    assert Values.model_validate({"cursor": cursor_of(found)}).cursor == found


@given(st.datetimes(timezones=st.timezones()))
def test_any_time_is_in_bounds_or_refused(at: datetime) -> None:
    try:
        found = Values.model_validate({"moment": at.isoformat()}).moment
    except ValidationError:
        return
    assert found is not None
    assert found.tzinfo is UTC
    # Where a clock is put back, Python holds no time equal to one of another zone.
    assert found == at.astimezone(UTC)


@given(st.decimals(min_value=0, max_value=9_999_999, places=7))
def test_money_is_exact_to_seven_places(amount: Decimal) -> None:
    written = money(amount)

    assert written is not None
    assert round(Decimal(repr(written)), 7) == amount
