"""The table `[checkpoints]` of signalbox.toml."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from bot.assembly.config.table import Table
from core.domain.runs.work.checkpoint_policy import DEFAULT_POLICY, CheckpointPolicy

_LENGTH = re.compile(r"(\d{1,5})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=365)
_MEGABYTE = 1_000_000


def _length(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    found = _LENGTH.fullmatch(value) if isinstance(value, str) else None
    length = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta(0)
    if not timedelta(seconds=10) <= length <= _LONGEST:
        raise ValueError('must be a time with its unit, from "10s" to "365d", like "5m"')
    return length


Length = Annotated[timedelta, BeforeValidator(_length)]


class CheckpointsTable(Table):
    """`[checkpoints]`: when checkpoints are taken, and how long they are kept.

    Attributes:
        enabled: Whether any are taken.
        every: How long files may change without one.
        keep_all: For so long every checkpoint is kept.
        keep_steps: For so long one of each step is kept; then one of each leg.
        max_stored_mb: The most that the database stores of one checkpoint.
        max_changed_mb: With more changed files than that no checkpoint is taken.
    """

    enabled: bool = DEFAULT_POLICY.is_enabled
    every: Length = DEFAULT_POLICY.every
    keep_all: Length = DEFAULT_POLICY.keep_all
    keep_steps: Length = DEFAULT_POLICY.keep_steps
    max_stored_mb: int = Field(default=DEFAULT_POLICY.max_stored_bytes // _MEGABYTE, ge=1, le=200)
    max_changed_mb: int = Field(
        default=DEFAULT_POLICY.max_changed_bytes // _MEGABYTE, ge=1, le=100_000
    )

    @property
    def policy(self) -> CheckpointPolicy:
        """The settings as a value."""
        return CheckpointPolicy(
            is_enabled=self.enabled,
            every=self.every,
            keep_all=self.keep_all,
            keep_steps=self.keep_steps,
            max_stored_bytes=self.max_stored_mb * _MEGABYTE,
            max_changed_bytes=self.max_changed_mb * _MEGABYTE,
        )
