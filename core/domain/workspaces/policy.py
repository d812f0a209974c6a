"""When a workspace that could be removed is removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

GIGABYTE = 1_000_000_000
# Nobody presses Continue within a second; a session that has just ended is likely to go on.
MIN_IDLE = timedelta(minutes=10)
DEFAULT_AFTER_DELIVERY = timedelta(days=1)
DEFAULT_MAX_AGE = timedelta(days=14)
DEFAULT_MIN_FREE_BYTES = GIGABYTE
# Ignored folders with these names are made by programs from what the repository has.
DEFAULT_DISPOSABLE = frozenset(
    {
        "__pycache__", ".gradle", ".hypothesis", ".mypy_cache", ".nox", ".pytest_cache",
        ".ruff_cache", ".tox", ".venv", "node_modules", "venv",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CleanUpPolicy:
    """`[workspaces]` of the settings.

    Attributes:
        after_delivery: How long a workspace stays idle whose branches its repository has;
            `None` is not sooner than any other.
        max_age: How long any workspace stays idle; `None` is for ever.
        max_bytes: What the workspaces and mirrors of one home may take; `None` is no quota.
        min_free_bytes: What must be free on the disk for a run to start.
        disposable: Names of folders which, if git ignores them, can be made again.
    """

    after_delivery: timedelta | None = DEFAULT_AFTER_DELIVERY
    max_age: timedelta | None = DEFAULT_MAX_AGE
    max_bytes: int | None = None
    min_free_bytes: int = DEFAULT_MIN_FREE_BYTES
    disposable: frozenset[str] = DEFAULT_DISPOSABLE

    def is_due(self, *, idle: timedelta, is_delivered: bool) -> bool:
        """Whether a workspace is removed now, although its disk has room."""
        if self.max_age is not None and idle >= self.max_age:
            return True
        return is_delivered and self.after_delivery is not None and idle >= self.after_delivery

    def may_be_due(self, *, idle: timedelta) -> bool:
        """Whether it can be due, before it is known whether it was delivered."""
        return self.is_due(idle=idle, is_delivered=True)


@dataclass(frozen=True, kw_only=True)
class DiskRoom:
    """The room on the disk of a home.

    Attributes:
        used_bytes: What its workspaces and mirrors take.
    """

    total_bytes: int
    free_bytes: int
    used_bytes: int

    def missing_bytes(self, policy: CleanUpPolicy) -> int:
        """How much has to go for a run to start; 0 if there is room."""
        over = 0 if policy.max_bytes is None else self.used_bytes - policy.max_bytes
        return max(policy.min_free_bytes - self.free_bytes, over, 0)

    def is_over_quota(self, policy: CleanUpPolicy) -> bool:
        """Whether its quota is the reason, not the disk."""
        return policy.max_bytes is not None and self.used_bytes > policy.max_bytes


def oldest_first(used_at: Sequence[tuple[str, datetime]]) -> list[str]:
    """The order in which workspaces go when room is needed: the longest idle one first."""
    return [name for name, _ in sorted(used_at, key=lambda one: (one[1], one[0]))]
