"""Admission: which waiting runs may go to workers, and which cap holds the others.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from core.domain.fleet.workers import Caps, QueueReason


@dataclass(frozen=True, kw_only=True)
class AdmissionRun:
    """The facts about a live run on which its admission depends.

    Attributes:
        is_admitted: Whether it was handed to workers: it runs, or its job waits for a slot.
        has_claim: Whether it was admitted before and lost its place through no failure of its own.
            One that waited to be tried again gave its place to others meanwhile.
        priority: Higher is admitted earlier.
        repository: The normalised name of its repository; `None` for a run in an empty one, which
            counts against no repository's cap.
        reason: The cap that held it at the last decision.
    """

    run_id: str
    is_admitted: bool
    priority: int
    attempt: int
    created_at: datetime
    user_id: UUID | None
    repository: str | None
    reason: QueueReason | None = None
    has_claim: bool = False


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The runs to admit, in order, and for each other waiting run the cap that holds it."""

    admitted: tuple[str, ...]
    held: Mapping[str, QueueReason]


@dataclass
class Load:
    """The number of admitted runs: in total, by repository, and by person."""

    total: int = 0
    by_repository: Counter[str | None] = field(default_factory=Counter)
    by_user: Counter[UUID | None] = field(default_factory=Counter)

    def add(self, run: AdmissionRun) -> None:
        """Count a run."""
        self.total += 1
        self.by_repository[run.repository] += 1
        self.by_user[run.user_id] += 1

    def count_for(self, reason: QueueReason, run: AdmissionRun) -> int:
        """Return the number of admitted runs that count against a cap of `run`."""
        if reason is QueueReason.PERSON:
            return self.by_user[run.user_id]
        if reason is QueueReason.REPOSITORY:
            return self.by_repository[run.repository]
        return self.total


def current_load(admission_runs: Iterable[AdmissionRun]) -> Load:
    """Count admitted runs, and requeued ones, which keep their claim."""
    load = Load()
    for run in admission_runs:
        if run.is_admitted or run.has_claim:
            load.add(run)
    return load


def decide(admission_runs: Iterable[AdmissionRun], caps: Caps) -> Admission:
    """Choose the waiting runs that fit the caps, by priority and then by age.

    A held run does not delay others that no cap holds.  A run with a claim was admitted before: it
    is admitted again whatever the caps are by now.  Every requeued run (its attempt is not the
    first) comes before new runs of its priority.
    """
    all_runs = list(admission_runs)
    load = current_load(all_runs)
    admitted: list[str] = []
    held: dict[str, QueueReason] = {}
    waiting = [run for run in all_runs if not run.is_admitted]
    for run in sorted(waiting, key=_sort_key):
        if not run.has_claim:
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
    """Return the cap that holds a run; of several, the narrowest, which holds it longest."""
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
