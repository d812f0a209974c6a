"""Which waiting runs may be handed to workers, and what keeps the others: one pure decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from core.domain.fleet.workers import Caps, QueueReason


@dataclass(frozen=True, kw_only=True)
class AdmissionRun:
    """A live run, as far as admission is concerned.

    Attributes:
        is_admitted: Whether it was handed to workers: it runs, or its job waits for a slot.
        repository: Its repository by one name, however people spell it; `None` for a run in
            an empty one, which shares it with nobody.
        reason: The cap that kept it at the last look.
    """

    run_id: str
    is_admitted: bool
    priority: int
    attempt: int
    created_at: datetime
    user_id: UUID | None
    repository: str | None
    reason: QueueReason | None = None


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Who goes, in the order of going, and what keeps whom."""

    admitted: tuple[str, ...]
    held: Mapping[str, QueueReason]


@dataclass
class Load:
    """Runs in the hands of workers: of all, of each repository, of each person."""

    total: int = 0
    by_repository: Counter[str | None] = field(default_factory=Counter)
    by_user: Counter[UUID | None] = field(default_factory=Counter)

    def add(self, run: AdmissionRun) -> None:
        """Count one more."""
        self.total += 1
        self.by_repository[run.repository] += 1
        self.by_user[run.user_id] += 1

    def count_for(self, reason: QueueReason, run: AdmissionRun) -> int:
        """How many count against the cap of this name, as this run sees it."""
        if reason is QueueReason.PERSON:
            return self.by_user[run.user_id]
        if reason is QueueReason.REPOSITORY:
            return self.by_repository[run.repository]
        return self.total


def current_load(admission_runs: Iterable[AdmissionRun]) -> Load:
    """Count what was handed over, or was before it was taken from its worker."""
    load = Load()
    for run in admission_runs:
        if run.is_admitted or run.attempt > 1:
            load.add(run)
    return load


def decide(admission_runs: Iterable[AdmissionRun], caps: Caps) -> Admission:
    """Choose, by priority and then by age, the waiting runs that fit the caps.

    A run that is held holds back nobody whom another cap does not hold.  A run that was taken
    from a worker (its attempt is not the first) keeps the place it had: it goes before the new
    ones of its priority, whatever the caps say by now.
    """
    all_runs = list(admission_runs)
    load = current_load(all_runs)
    admitted: list[str] = []
    held: dict[str, QueueReason] = {}
    for run in sorted((run for run in all_runs if not run.is_admitted), key=_sort_key):
        if run.attempt == 1:
            reason = _blocking_cap(run, caps, load)
            if reason is not None:
                held[run.run_id] = reason
                continue
            load.add(run)
        admitted.append(run.run_id)
    return Admission(admitted=tuple(admitted), held=held)


def _sort_key(run: AdmissionRun) -> tuple[int, bool, datetime, str]:
    return (-run.priority, run.attempt == 1, run.created_at, run.run_id)


def _blocking_cap(run: AdmissionRun, caps: Caps, load: Load) -> QueueReason | None:
    """The cap that keeps it: of several the narrowest, which is the last to give way."""
    applicable = {
        QueueReason.PERSON: run.user_id is not None,
        QueueReason.REPOSITORY: run.repository is not None,
        QueueReason.FLEET: True,
    }
    for reason, applies in applicable.items():
        cap = caps.for_reason(reason)
        if cap is not None and applies and load.count_for(reason, run) >= cap:
            return reason
    return None
