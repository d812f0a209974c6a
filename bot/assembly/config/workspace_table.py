"""The table `[workspaces]` of signalbox.toml: when workspaces go, and what they may take."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from bot.assembly.config.table import Table
from bot.words.times import parse_duration
from core.domain.workspaces.policy import (
    DEFAULT_AFTER_DELIVERY,
    DEFAULT_DISPOSABLE,
    DEFAULT_MAX_AGE,
    DEFAULT_MIN_FREE_BYTES,
    GIGABYTE,
    MIN_IDLE,
    CleanUpPolicy,
)

_NEVER = "never"


def _idle_time(value: object) -> timedelta | None:
    if value == _NEVER or value is None:
        return None
    length = value if isinstance(value, timedelta) else None
    if isinstance(value, str):
        length = parse_duration(value)
    if length is None or length < MIN_IDLE:
        raise ValueError('must be a time with its unit, from "10m" to "365d", or "never"')
    return length


IdleTime = Annotated[timedelta | None, BeforeValidator(_idle_time)]


class WorkspacesTable(Table):
    """`[workspaces]`; see `CleanUpPolicy`.

    Attributes:
        after_delivery: How long a workspace stays idle whose branches its repository has.
        max_age: How long any workspace stays idle.
        max_gb: What the workspaces and mirrors of one home may take; no quota if it is left out.
        min_free_gb: What must be free on the disk for a run to start.
        disposable: Names of ignored folders that can be made again; they replace the usual ones.
    """

    after_delivery: IdleTime = DEFAULT_AFTER_DELIVERY
    max_age: IdleTime = DEFAULT_MAX_AGE
    max_gb: float | None = Field(default=None, ge=0.1, le=1_000_000)
    min_free_gb: float = Field(default=DEFAULT_MIN_FREE_BYTES / GIGABYTE, ge=0, le=1_000_000)
    disposable: frozenset[str] = DEFAULT_DISPOSABLE

    @field_validator("disposable")
    @classmethod
    def _are_names(cls, value: frozenset[str]) -> frozenset[str]:
        for name in value:
            if not name or "/" in name or name in {".", "..", ".git"}:
                raise ValueError(f'{name!r} is no name of a folder; write it like "node_modules"')
        return value

    @property
    def policy(self) -> CleanUpPolicy:
        """The settings in one value."""
        return CleanUpPolicy(
            after_delivery=self.after_delivery,
            max_age=self.max_age,
            max_bytes=None if self.max_gb is None else round(self.max_gb * GIGABYTE),
            min_free_bytes=round(self.min_free_gb * GIGABYTE),
            disposable=self.disposable,
        )
