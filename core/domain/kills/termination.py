"""A termination: the record of one kill from the request to the proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from core.domain.errors import Conflict, NotFound


class Phase(StrEnum):
    """How far a kill has come.  A worker records each phase before it acts on it."""

    REQUESTED = "requested"
    ACKNOWLEDGED = "acknowledged"
    DRAINING = "draining"
    INTERRUPTED = "interrupted"
    TERMINATED = "terminated"
    KILLED = "killed"
    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"


# A phase may be skipped (`--force` skips the grace period, a tree may be gone early); none repeats.
# `unconfirmed` is not final: a restarted worker that finds the processes gone confirms the kill.
PHASE_TRANSITIONS: Mapping[Phase, frozenset[Phase]] = MappingProxyType(
    {
        Phase.REQUESTED: frozenset(set(Phase) - {Phase.REQUESTED}),
        Phase.ACKNOWLEDGED: frozenset(set(Phase) - {Phase.REQUESTED, Phase.ACKNOWLEDGED}),
        Phase.DRAINING: frozenset(
            {
                Phase.INTERRUPTED,
                Phase.TERMINATED,
                Phase.KILLED,
                Phase.CONFIRMED,
                Phase.UNCONFIRMED,
            }
        ),
        Phase.INTERRUPTED: frozenset(
            {Phase.TERMINATED, Phase.KILLED, Phase.CONFIRMED, Phase.UNCONFIRMED}
        ),
        Phase.TERMINATED: frozenset({Phase.KILLED, Phase.CONFIRMED, Phase.UNCONFIRMED}),
        Phase.KILLED: frozenset({Phase.CONFIRMED, Phase.UNCONFIRMED}),
        Phase.UNCONFIRMED: frozenset({Phase.KILLED, Phase.CONFIRMED}),
        Phase.CONFIRMED: frozenset(),
    }
)


def phase_sources_of(to: Phase) -> frozenset[Phase]:
    """Return the phases that `to` may follow directly."""
    return frozenset(phase for phase, targets in PHASE_TRANSITIONS.items() if to in targets)


# The longest time in each phase.  A kill takes at most `LADDER_LIMIT` in all: waiting for critical
# calls (`DRAIN_LIMIT`) shortens the time that follows the interrupt.
LADDER_LIMIT = timedelta(seconds=10)
DRAIN_LIMIT = timedelta(seconds=3)
INTERRUPT_GRACE = timedelta(seconds=5)
TERMINATE_GRACE = timedelta(seconds=2)
PROOF_LIMIT = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """The identity of a process, which a later process with the same pid does not share.

    Attributes:
        started_ticks: The start time in clock ticks since boot (field 22 of `/proc/<pid>/stat`).
        name: The command's name, for the person who reads the proof.  It is not part of the
            identity, because it changes when the process executes another program.
    """

    pid: int
    started_ticks: int
    name: str = field(default="", compare=False)


class ProofMethod(StrEnum):
    """What shows that nothing of a run is left.

    `KERNEL_NAMESPACE`: the first process of the run's PID namespace has ended, and the kernel ends
    that one only after every other process in it.  `PROCESS_SCAN`: no process on the machine
    belongs to the run, by marker, descent and session.
    """

    PROCESS_SCAN = "process scan"
    KERNEL_NAMESPACE = "kernel namespace"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What the scans of a kill have found.

    Attributes:
        seen: Every process of the tree that a scan has found.
        survivors: Those that were alive at the last scan; none means that the kill is confirmed.
        by: What shows that nothing is left.
    """

    seen: tuple[ProcessIdentity, ...] = ()
    survivors: tuple[ProcessIdentity, ...] = ()
    by: ProofMethod = ProofMethod.PROCESS_SCAN

    @property
    def is_confirmed(self) -> bool:
        """Whether the last scan found no living process."""
        return not self.survivors


@dataclass(frozen=True, kw_only=True)
class CriticalWait:
    """A critical tool call for which a kill waited.

    Attributes:
        summary: The call as a line for people, redacted and clipped.
        pattern: The configured pattern that made it critical.
        milliseconds: How long the kill waited for it.
        finished: Whether it ended in time; if not, the kill went on without it.
    """

    tool: str
    summary: str
    pattern: str
    milliseconds: int
    finished: bool


@dataclass(frozen=True, kw_only=True)
class Termination:
    """One kill.

    Attributes:
        phases: When each phase began, in milliseconds after `requested_at`, in order.
        requested_from: The request's origin (`Origin`).
        force: Whether the interrupt was to be skipped.
        processes_seen: The number of processes that the scans found.
        proof_by: What shows that nothing is left; `None` until the kill is confirmed.
        work_saved: What was saved of the work tree (commit, number of uncommitted files).
        waited_for: The critical calls for which it waited, oldest first.
        cleanup: What was removed after the processes were gone, by kind.
    """

    id: UUID
    run_id: UUID
    phase: Phase
    requested_at: datetime
    requested_by: UUID | None = None
    requested_by_name: str | None = None
    requested_from: str = "system"
    reason: str | None = None
    force: bool = False
    phases: Mapping[Phase, int] = field(default_factory=dict)
    processes_seen: int = 0
    survivors: tuple[ProcessIdentity, ...] = ()
    proof_by: ProofMethod | None = None
    work_saved: Mapping[str, Any] = field(default_factory=dict)
    waited_for: tuple[CriticalWait, ...] = ()
    cleanup: Mapping[str, Any] = field(default_factory=dict)
    completed_at: datetime | None = None

    @property
    def elapsed(self) -> timedelta | None:
        """The time from the request to the end; `None` until the kill has ended."""
        return None if self.completed_at is None else self.completed_at - self.requested_at


class TerminationNotFound(NotFound):
    """No termination has this id."""

    code = "termination_not_found"

    def __init__(self, termination_id: UUID) -> None:
        super().__init__(
            f"no termination {termination_id}",
            user_message="I can't find that kill any more.",
        )
        self.termination_id = termination_id


class IllegalPhase(Conflict):
    """The wanted phase does not follow the present one: another worker has gone further."""

    code = "illegal_phase"

    def __init__(self, termination_id: UUID, present: Phase, wanted: Phase) -> None:
        super().__init__(
            f"termination {termination_id} is {present}, cannot become {wanted}",
            user_message=f"That kill is already {present}.",
        )
        self.termination_id = termination_id
        self.present = present
        self.wanted = wanted
