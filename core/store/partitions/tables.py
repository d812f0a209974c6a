"""The tables that are partitioned by month; the one place that lists them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core.domain.month import Month

_SUFFIX = r"_(\d{4}_\d{2}|before|default)"


@dataclass(frozen=True, kw_only=True)
class PartitionedTable:
    """A table that has a partition for each month.

    Attributes:
        column: The time by which it is partitioned.
        is_append_only: Whether a trigger refuses changes of its rows.
    """

    name: str
    column: str
    is_append_only: bool = False

    @property
    def default(self) -> str:
        """The partition of rows for whose month there is none."""
        return f"{self.name}_default"

    def partition(self, month: Month) -> str:
        """The name of the partition of a month."""
        return f"{self.name}_{month.year:04}_{month.number:02}"


EVENTS = PartitionedTable(name="run_events", column="at", is_append_only=True)
TRANSCRIPTS = PartitionedTable(name="transcript_entries", column="stored_at")
AUDIT = PartitionedTable(name="audit_log", column="at", is_append_only=True)
PARTITIONED_TABLES: Sequence[PartitionedTable] = (EVENTS, TRANSCRIPTS, AUDIT)
_PARTITION_NAME = re.compile(f"({'|'.join(one.name for one in PARTITIONED_TABLES)}){_SUFFIX}")


def is_partition(name: str) -> bool:
    """Whether a table is a part of a partitioned one, by its name."""
    return _PARTITION_NAME.fullmatch(name) is not None


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A partition as the database has it.

    Attributes:
        first: Where it begins; `None` if it has everything earlier.
        until: Where the next one begins; `None` for the default partition, as `first`.
    """

    table: PartitionedTable
    name: str
    first: datetime | None
    until: datetime | None

    @property
    def is_default(self) -> bool:
        """Whether it has the rows for which there is no other partition."""
        return self.until is None

    def covers(self, at: datetime) -> bool:
        """Whether a row of this time belongs to it; never true of the default partition."""
        return (
            self.until is not None and at < self.until and (self.first is None or self.first <= at)
        )
