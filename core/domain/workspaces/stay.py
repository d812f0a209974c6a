"""Why a workspace stays on its disk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_MAX_NAMES = 5
_MAX_NAME_CHARS = 120


class StayReason(StrEnum):
    """What keeps a workspace from being removed.  The words for people are in `bot/words`."""

    # Somebody needs it.
    IN_USE = "in_use"
    LIVE_RUN = "live_run"
    WORK_PENDING = "work_pending"
    NOT_DUE = "not_due"
    # It has something that would be lost.
    UNCOMMITTED = "uncommitted"
    STAGED = "staged"
    IGNORED = "ignored"
    STASHED = "stashed"
    OPERATION = "operation"
    UNPUSHED = "unpushed"
    TOO_LARGE = "too_large"
    TAGS = "tags"
    REFERENCES = "references"
    NESTED = "nested"
    WORKTREES = "worktrees"
    SPECIAL_FILES = "special_files"
    # Nobody can tell.
    UNKNOWN_SESSION = "unknown_session"
    UNREADABLE = "unreadable"
    TOO_MANY_FILES = "too_many_files"
    UNREACHABLE = "unreachable"
    FAILED = "failed"

    @property
    def is_work(self) -> bool:
        """Whether removing the workspace would lose something that only it has."""
        return self in _WORK


_WORK = frozenset(
    {
        StayReason.UNCOMMITTED,
        StayReason.STAGED,
        StayReason.IGNORED,
        StayReason.STASHED,
        StayReason.OPERATION,
        StayReason.UNPUSHED,
        StayReason.TOO_LARGE,
        StayReason.TAGS,
        StayReason.REFERENCES,
        StayReason.NESTED,
        StayReason.WORKTREES,
        StayReason.SPECIAL_FILES,
    }
)


@dataclass(frozen=True, kw_only=True)
class Stay:
    """The reason why a workspace stays, with what it is about.

    Attributes:
        names: What it is about: files, branches, a run; the first few.
        count: How many there are in all.
    """

    reason: StayReason
    names: tuple[str, ...] = ()
    count: int = 0

    @classmethod
    def of(cls, reason: StayReason, names: list[str] | tuple[str, ...] = ()) -> Stay:
        """A reason with its first names, each in a length and form that a row can store."""
        shown = tuple(_storable(name) for name in sorted(names)[:_MAX_NAMES])
        return cls(reason=reason, names=shown, count=len(names))


def _storable(name: str) -> str:
    printable = "".join(char if char.isprintable() else "?" for char in name)
    return printable[:_MAX_NAME_CHARS]
