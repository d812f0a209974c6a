"""Pages of lists that are sorted by time: each page begins after the last entry before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

ItemT = TypeVar("ItemT")

# Counting further takes longer than reading a page.
COUNT_LIMIT = 10_000


@dataclass(frozen=True, kw_only=True)
class PageKey:
    """The place of an entry in a list sorted by time, newest first, then by id."""

    at: datetime
    id: UUID


@dataclass(frozen=True, kw_only=True)
class Excerpt(Generic[ItemT]):
    """A part of a list that is read in both directions.

    Attributes:
        first: The place of its first entry; `None` if it is empty.
        last: The place of its last entry; later entries follow after it.
        previous: The place before which there are further entries; `None` if there are none.
        next: The place after which there are further entries; `None` if there are none yet.
    """

    items: Sequence[ItemT]
    first: PageKey | None
    last: PageKey | None
    previous: PageKey | None
    next: PageKey | None


@dataclass(frozen=True, kw_only=True)
class Page(Generic[ItemT]):
    """A part of a list, newest first.

    Attributes:
        next: The last entry of this page if others follow; `None` on the last page.
        total: The number of entries of all pages, at most `COUNT_LIMIT`.
        is_total_exact: Whether there are not more than `total`.
    """

    items: Sequence[ItemT]
    next: PageKey | None
    total: int
    is_total_exact: bool
