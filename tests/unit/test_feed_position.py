"""Positions of the feed of changes, as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.feed import BadPosition, Position

POSITIONS = st.builds(
    Position,
    epoch=st.integers(0, 2**32 - 1).map(lambda n: f"{n:08x}"),
    transaction=st.integers(0, 2**63 - 1),
    number=st.integers(0, 10**18 - 1),
)


@given(POSITIONS)
def test_a_position_is_read_as_it_was_written(position: Position) -> None:
    assert Position.parse(str(position)) == position


@given(POSITIONS, POSITIONS)
def test_positions_are_ordered_by_transaction_and_then_by_number(
    one: Position, other: Position
) -> None:
    in_order = (one.transaction, one.number) < (other.transaction, other.number)

    assert (
        one < Position(epoch=one.epoch, transaction=other.transaction, number=other.number)
    ) is (in_order)


@pytest.mark.parametrize(
    "text", ["", "12", "12-3", "0123abcd-1", "0123abcd-1-x", f"0123abcd-{2**63}-1", "x" * 5000]
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(BadPosition):
        Position.parse(text)
