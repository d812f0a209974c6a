"""The fleet: its workers, and how many runs it lets run at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from core.domain.fleet.attempt import machine_name

# Two heartbeats of 5 s and a moment.
SILENT_AFTER = timedelta(seconds=12)


class WorkerState(StrEnum):
    """What a worker does about jobs."""

    UP = "up"
    DRAINING = "draining"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class WorkerRecord:
    """One row of `workers`: one worker process.

    Attributes:
        worker_id: Unique over the fleet and over restarts.
        node: The worker's place on a disk; stays over restarts.
        host: Where its processes are, as `build_host_id` has it.
        slots: Runs it executes at a time.
        program_version: Of Signalbox.
        live_runs: Runs it executes now, as the rows say.
    """

    worker_id: str
    node: str
    host: str
    slots: int
    state: WorkerState
    started_at: datetime
    heartbeat_at: datetime
    program_version: str = ""
    stopped_at: datetime | None = None
    live_runs: int = 0

    @property
    def machine(self) -> str:
        """Its host as people know it."""
        return machine_name(self.host)

    @property
    def free_slots(self) -> int:
        """Runs it could begin now."""
        return max(self.slots - self.live_runs, 0) if self.state is WorkerState.UP else 0

    def is_silent(self, now: datetime) -> bool:
        """Whether it should have been heard of by now: two heartbeats are missing."""
        return self.state is not WorkerState.GONE and now - self.heartbeat_at > SILENT_AFTER


@dataclass(frozen=True, kw_only=True)
class FleetSnapshot:
    """The fleet as it stood at one moment.

    Attributes:
        workers: By node, those that went a while ago among them.
        pending_runs: Runs that no worker executes yet.
    """

    at: datetime
    workers: tuple[WorkerRecord, ...]
    pending_runs: int = 0

    @property
    def slots(self) -> int:
        """Of the workers that take jobs."""
        return sum(one.slots for one in self.workers if one.state is WorkerState.UP)

    @property
    def live_runs(self) -> int:
        """Runs that are executed."""
        return sum(one.live_runs for one in self.workers)


class QueueReason(StrEnum):
    """Which cap keeps a pending run from being handed to a worker."""

    FLEET = "fleet"
    REPOSITORY = "repository"
    PERSON = "person"


@dataclass(frozen=True, kw_only=True)
class Caps:
    """Runs that may be in the hands of workers at a time; `None` is no cap."""

    fleet: int | None = None
    repository: int | None = None
    person: int | None = None

    def for_reason(self, reason: QueueReason) -> int | None:
        """The cap of this name."""
        by_reason = {
            QueueReason.FLEET: self.fleet,
            QueueReason.REPOSITORY: self.repository,
            QueueReason.PERSON: self.person,
        }
        return by_reason[reason]

    @property
    def as_text(self) -> str:
        """For the log: `fleet 6, person 2`."""
        named = [
            f"{name} {cap}" for name in QueueReason if (cap := self.for_reason(name)) is not None
        ]
        return ", ".join(named) or "none"


@dataclass(frozen=True, kw_only=True)
class Hold:
    """What keeps a pending run from being handed to a worker.

    Attributes:
        in_use: Runs that count against the cap now; more than `cap` after that was lowered.
    """

    reason: QueueReason
    in_use: int
    cap: int
