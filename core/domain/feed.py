"""The feed of changes: the items that a consumer gets, and the positions to resume from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.domain.errors import BadRequest

_POSITION = re.compile(r"([0-9a-f]{8})-([0-9]{1,19})-([0-9]{1,18})")
_MAX_TRANSACTION = 2**63 - 1


class ChangeKind(StrEnum):
    """The type of the object that has changed; it gives `Change.subject` its meaning."""

    ALERT = "alert"
    DRAWABLE = "drawable"
    RUN = "run"
    WORKER = "worker"


class ResetReason(StrEnum):
    """Why a consumer must read everything again.

    `STARTED`: it gave no position.  `EXPIRED`: changes after its position may be deleted.
    `OTHER_DATABASE`: its position is from another history.  `OVERRUN`: it has too many
    unconsumed changes.
    """

    STARTED = "started"
    EXPIRED = "expired"
    OTHER_DATABASE = "other_database"
    OVERRUN = "overrun"


class BadPosition(BadRequest):
    """The text is not a position of the feed."""

    code = "bad_position"

    def __init__(self, text: str) -> None:
        super().__init__(
            f"bad feed position {text[:60]!r}",
            user_message="That is not a position of the feed of changes. Leave it out to begin "
            "with the present.",
        )


@dataclass(frozen=True, kw_only=True, order=True)
class Position:
    """A cursor in the feed: everything up to and including it has been delivered.

    Only positions of the same epoch can be compared.  The text form can be used as
    `Last-Event-ID`.

    Attributes:
        epoch: Identifies one history of one database; a restore begins a new epoch.
        transaction: The id of the transaction that wrote the change.
        number: The number of the change, or 0 for the beginning of the transaction.
    """

    epoch: str
    transaction: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.transaction}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Parse the text form.

        Raises:
            BadPosition: If the text is not a position.
        """
        found = _POSITION.fullmatch(text.strip())
        if found is None or int(found[2]) > _MAX_TRANSACTION:
            raise BadPosition(text)
        return cls(epoch=found[1], transaction=int(found[2]), number=int(found[3]))


@dataclass(frozen=True, kw_only=True)
class Change:
    """A committed change.

    Attributes:
        subject: The `run_id` of a run, the `worker_id` of a worker, the id of an alert, kind and
            key of a drawable.
        what: One word.  For a run: `added`, its new status, `kill_requested`, `measured` when
            the work of an ended run is, or `progress`.
            For a worker: its new state.  For an alert: its state, or what a person did.  For a
            drawable: `requested`.
    """

    position: Position
    at: datetime
    kind: ChangeKind
    subject: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Reset:
    """The consumer must read everything again: changes before `position` may be missing."""

    position: Position
    reason: ResetReason
