"""What the core reports for monitoring while it works; what counts it is somebody else's."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from core.domain.kills.termination import Termination
from core.domain.retention import RetentionKind
from core.domain.runs.run import Run


class Meter(Protocol):
    """Hears of what this process has written to the database, after the commit.

    Each call is about a change that was made once in the whole fleet, so the sum over all
    processes counts every change once.  A process that dies between a commit and the call reports
    nothing; the rows stay the truth.
    """

    def run_began(self, run: Run) -> None:
        """A worker has begun an attempt of a run."""
        ...

    def run_ended(self, run: Run) -> None:
        """A run has its final status, with its cost and usage."""
        ...

    def kill_advanced(self, kill: Termination) -> None:
        """A kill has reached another phase, or has gone back to one after it was unconfirmed."""
        ...

    def alerts_evaluated(self, at: datetime) -> None:
        """All alerts were evaluated, at this time."""
        ...

    def expired_removed(self, kind: RetentionKind, *, rows: int, months: int) -> None:
        """Rows, and partitions of months, have expired and were removed."""
        ...


class NoMeter:
    """Counts nothing: for commands and tests."""

    def run_began(self, run: Run) -> None:
        """Nothing."""

    def run_ended(self, run: Run) -> None:
        """Nothing."""

    def kill_advanced(self, kill: Termination) -> None:
        """Nothing."""

    def alerts_evaluated(self, at: datetime) -> None:
        """Nothing."""

    def expired_removed(self, kind: RetentionKind, *, rows: int, months: int) -> None:
        """Nothing."""


NO_METER = NoMeter()
