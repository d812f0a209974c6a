"""The loss of a run's worker.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from core.domain.fleet.attempt import HEARTBEAT_INTERVAL, AttemptRecord, node_of
from core.domain.runs.event import EventKind, EventRecord

# After an outage of the database every heartbeat is old: only a worker that is still silent
# 2.5 heartbeats later is lost.
RECHECK_AFTER = 2.5 * HEARTBEAT_INTERVAL
# How long a rescue that fails, for reasons that nobody foresaw, is tried again.  Then the run ends,
# so that its session is free.
GIVE_UP_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class LostWorker:
    """An attempt whose worker is considered dead.

    Attributes:
        loss_count: How often the run has lost its worker, with this time.
    """

    process: AttemptRecord
    loss_count: int

    @property
    def node(self) -> str:
        """The lost worker's node."""
        return node_of(self.process.worker_id)

    def to_event(self, now: datetime, *, resumes: bool) -> EventRecord:
        """The loss as an event of the run."""
        return EventRecord(
            kind=EventKind.WORKER_LOST,
            at=now,
            data={
                "node": self.node,
                "worker": self.process.worker_id,
                "last_heard_at": self.process.heartbeat_at.isoformat(),
                "times": self.loss_count,
                "resumes": resumes,
            },
        )
