"""The feed of changes: what a consumer gets, and the positions from which it can resume."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.domain.errors import BadRequest

_POSITION = re.compile(r"([0-9a-f]{8})-([0-9]{1,19})-([0-9]{1,18})")
_MAX_TRANSACTION = 2**63 - 1


class ChangeKind(StrEnum):
    """What sort of thing has changed; it says what `Change.subject` names."""

    DRAWABLE = "drawable"
    RUN = "run"
    WORKER = "worker"


class ResetReason(StrEnum):
    """Why a consumer must look at everything."""

    STARTED = "started"
    EXPIRED = "expired"
    OTHER_DATABASE = "other_database"
    OVERRUN = "overrun"


class BadPosition(BadRequest):
    """A text that is no position of the feed."""

    code = "bad_position"

    def __init__(self, text: str) -> None:
        super().__init__(
            f"bad feed position {text[:60]!r}",
            user_message="That is not a position of the feed of changes. Leave it out to begin "
            "with the present.",
        )


@dataclass(frozen=True, kw_only=True, order=True)
class Position:
    """A place in the feed: everything up to and including it has been delivered.

    Positions are compared within one epoch only.  The text form suits `Last-Event-ID`.

    Attributes:
        epoch: Which history of which database this is; a restore begins another one.
        transaction: The transaction that wrote the change.
        number: The number of the change, or 0 for the beginning of the transaction.
    """

    epoch: str
    transaction: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.transaction}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read the text form.

        Raises:
            BadPosition: If it is none.
        """
        found = _POSITION.fullmatch(text.strip())
        if found is None or int(found[2]) > _MAX_TRANSACTION:
            raise BadPosition(text)
        return cls(epoch=found[1], transaction=int(found[2]), number=int(found[3]))


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something changed, and the change is committed.

    Attributes:
        subject: The `run_id` of a run, the `worker_id` of a worker, kind and key of a drawable.
        what: One word.  Of a run: `added`, its new status, `kill_requested`, or `progress`.
            Of a worker: its new state.  Of a drawable: `requested`.
    """

    position: Position
    at: datetime
    kind: ChangeKind
    subject: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Reset:
    """The consumer must look at everything: changes may be missing before `position`."""

    position: Position
    reason: ResetReason
