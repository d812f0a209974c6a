"""Messages to one worker about what it executes: rows are the truth, a notification is a hint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class WorkerMessageKind(StrEnum):
    """What a message tells its worker to do."""

    KILL = "kill"
    FORCE_KILL = "force_kill"


class MessageOutcome(StrEnum):
    """What became of a message.

    `IGNORED`: the worker no longer executes the attempt.  `UNKNOWN`: a newer version of the
    program sent a kind that the worker's version does not have.
    """

    HANDLED = "handled"
    IGNORED = "ignored"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class WorkerMessage:
    """One message; it can be delivered more than once.

    Attributes:
        id: Grows in the order of sending, for messages about one run.
        kind: A `WorkerMessageKind`, or a word of a newer version of the program.
        payload: What the kind needs besides; empty for kills.
        is_superseded: Whether the run has gone on to another attempt, as of the reading.
    """

    id: int
    worker_id: str
    run_id: UUID
    attempt: int
    kind: str
    created_at: datetime
    payload: Mapping[str, Any] = field(default_factory=dict)
    is_superseded: bool = False
