"""The table `[resources]` of signalbox.toml."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

from bot.assembly.config.table import Table
from core.domain.resources.policy import DEFAULT_POLICY, SamplingPolicy

_LENGTH = re.compile(r"(\d{1,3})(s|m)")
_SECONDS = {"s": 1, "m": 60}
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(minutes=1)


def _length(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    found = _LENGTH.fullmatch(value) if isinstance(value, str) else None
    length = timedelta(seconds=int(found[1]) * _SECONDS[found[2]]) if found else timedelta(0)
    if not _SHORTEST <= length <= _LONGEST:
        raise ValueError('must be a time with its unit, from "1s" to "1m", like "5s"')
    return length


class ResourcesTable(Table):
    """`[resources]`: samples of what runs and workers use.

    Attributes:
        enabled: Whether a worker takes any.
        every: The time between two of them.
    """

    enabled: bool = DEFAULT_POLICY.is_enabled
    every: Annotated[timedelta, BeforeValidator(_length)] = DEFAULT_POLICY.every

    @property
    def policy(self) -> SamplingPolicy:
        """The settings as a value."""
        return SamplingPolicy(is_enabled=self.enabled, every=self.every)
