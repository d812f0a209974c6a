"""The fleet: its workers, and the caps on the number of runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from core.domain.errors import NotFound
from core.domain.fleet.attempt import machine_name
from core.domain.isolation import IsolationStatus

# Two heartbeat intervals of 5 s, plus 2 s of tolerance.
SILENT_AFTER = timedelta(seconds=12)


class WorkerState(StrEnum):
    """Whether a worker takes jobs (`UP`), finishes its last ones (`DRAINING`), or has stopped."""

    UP = "up"
    DRAINING = "draining"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class WorkerRecord:
    """One row of `workers`: one worker process.

    Attributes:
        worker_id: Unique in the fleet; a restarted worker gets a new one.
        node: Identifies the worker's home directory; a restart keeps it.
        host: The host of its processes, as of `build_host_id`.
        slots: The number of runs that it executes at a time.
        program_version: The version of Signalbox.
        isolation: Whether its agents are isolated; `None` if an older version did not say.
        live_runs: The number of runs that it executes now, according to the rows.
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
    isolation: IsolationStatus | None = None
    live_runs: int = 0

    @property
    def machine(self) -> str:
        """The name of its machine."""
        return machine_name(self.host)

    @property
    def free_slots(self) -> int:
        """The number of runs that it could start now."""
        return max(self.slots - self.live_runs, 0) if self.state is WorkerState.UP else 0

    def is_silent(self, now: datetime) -> bool:
        """Return whether two heartbeats are missing, though the worker has not stopped."""
        return self.state is not WorkerState.GONE and now - self.heartbeat_at > SILENT_AFTER


@dataclass(frozen=True, kw_only=True)
class FleetSnapshot:
    """The fleet at one moment.

    Attributes:
        workers: Sorted by node; includes workers that stopped recently.
        pending_runs: The number of runs that no worker executes yet.
    """

    at: datetime
    workers: tuple[WorkerRecord, ...]
    pending_runs: int = 0

    @property
    def slots(self) -> int:
        """The number of slots of all workers that take jobs."""
        return sum(worker.slots for worker in self.workers if worker.state is WorkerState.UP)

    @property
    def live_runs(self) -> int:
        """The number of runs that workers execute."""
        return sum(worker.live_runs for worker in self.workers)


class QueueReason(StrEnum):
    """The cap that holds a pending run back from the workers."""

    FLEET = "fleet"
    REPOSITORY = "repository"
    PERSON = "person"


@dataclass(frozen=True, kw_only=True)
class Caps:
    """The number of runs that may be admitted at a time; `None` is no cap.

    Attributes:
        fleet: For all runs.
        repository: For the runs of each repository.
        person: For the runs of each person.
    """

    fleet: int | None = None
    repository: int | None = None
    person: int | None = None

    def for_reason(self, reason: QueueReason) -> int | None:
        """Return the cap to which a reason refers."""
        by_reason = {
            QueueReason.FLEET: self.fleet,
            QueueReason.REPOSITORY: self.repository,
            QueueReason.PERSON: self.person,
        }
        return by_reason[reason]

    @property
    def as_text(self) -> str:
        """The caps as a text for the log: `fleet 6, person 2`."""
        named = [
            f"{name} {cap}" for name in QueueReason if (cap := self.for_reason(name)) is not None
        ]
        return ", ".join(named) or "none"


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Why a pending run is held.

    Attributes:
        in_use: The number of runs that count against the cap; above `cap` if that was lowered.
    """

    reason: QueueReason
    in_use: int
    cap: int


class WorkerNotFound(NotFound):
    """No worker has this id, or none has had it for a week."""

    code = "worker_not_found"

    def __init__(self, worker_id: str) -> None:
        super().__init__(
            f"no worker {worker_id[:200]!r}",
            user_message=f"There is no worker `{worker_id[:200]}`.",
        )
        self.worker_id = worker_id
