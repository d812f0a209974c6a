"""A termination: one kill, from the request to the proof."""

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
    """How far a kill has come; each is written before it is acted on."""

    REQUESTED = "requested"
    ACKNOWLEDGED = "acknowledged"
    DRAINING = "draining"
    INTERRUPTED = "interrupted"
    TERMINATED = "terminated"
    KILLED = "killed"
    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"


# A phase may be left out (`--force` skips the grace, a tree may be gone early); none repeats.
# `unconfirmed` is not the end: a restarted worker that finds the tree gone confirms it.
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
    """The phases from which `to` may be reached."""
    return frozenset(phase for phase, targets in PHASE_TRANSITIONS.items() if to in targets)


# Longest stay in a phase before the next one begins (the ladder: within 10 s in all).
LADDER_LIMIT = timedelta(seconds=10)
DRAIN_LIMIT = timedelta(seconds=3)
INTERRUPT_GRACE = timedelta(seconds=5)
TERMINATE_GRACE = timedelta(seconds=2)
PROOF_LIMIT = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """A process that cannot be mistaken for a later one with the same pid.

    Attributes:
        started_ticks: Field 22 of `/proc/<pid>/stat`: start time in clock ticks since boot.
        name: The command's name, for the person who reads the proof.  It changes when the
            process executes another program, and so makes no difference.
    """

    pid: int
    started_ticks: int
    name: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What the scans found.

    Attributes:
        seen: Every process of the tree met while it was ended.
        survivors: Those still alive at the last scan; empty means confirmed.
    """

    seen: tuple[ProcessIdentity, ...] = ()
    survivors: tuple[ProcessIdentity, ...] = ()

    @property
    def is_confirmed(self) -> bool:
        """Whether the last scan found nothing alive."""
        return not self.survivors


@dataclass(frozen=True, kw_only=True)
class CriticalWait:
    """A tool call in a critical section that a kill waited for.

    Attributes:
        summary: The call as a person reads it, redacted and clipped.
        pattern: The configured pattern that made it critical.
        milliseconds: How long the kill waited for it.
        finished: Whether it came to its end; if not, the limit of waiting was reached.
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
        phases: Milliseconds after `requested_at` at which each phase began, in order.
        requested_from: The `Origin` of the request.
        work_saved: What was kept of the workspace (commit, uncommitted files).
        waited_for: Critical sections that it waited for, oldest first.
        cleanup: What was cleared away after the tree was gone, by kind.
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
    work_saved: Mapping[str, Any] = field(default_factory=dict)
    waited_for: tuple[CriticalWait, ...] = ()
    cleanup: Mapping[str, Any] = field(default_factory=dict)
    completed_at: datetime | None = None

    @property
    def elapsed(self) -> timedelta | None:
        """From the request to its end, if it has ended."""
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
    """The wanted phase does not follow the present one: somebody else has gone further."""

    code = "illegal_phase"

    def __init__(self, termination_id: UUID, present: Phase, wanted: Phase) -> None:
        super().__init__(
            f"termination {termination_id} is {present}, cannot become {wanted}",
            user_message=f"That kill is already {present}.",
        )
        self.termination_id = termination_id
        self.present = present
        self.wanted = wanted
