"""Domain values made of rows, many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

ValueT = TypeVar("ValueT")


def build(kind: type[ValueT], fields: Mapping[str, Any]) -> ValueT:
    """A frozen dataclass with all of its fields, as its constructor makes it.

    The constructor of a frozen dataclass sets each field by a call of its own, which for a run
    takes longer than reading its row.  A kind made here has no `__post_init__` and no slots, and
    nothing is left to defaults.
    """
    value = object.__new__(kind)
    vars(value).update(fields)
    return value
