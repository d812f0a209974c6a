"""Past runs of every kind, and what Python counts of them, run by run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from random import Random
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert, update

from core.domain.actor import Origin
from core.domain.analytics.figures import Figures, KillTotals
from core.domain.analytics.histogram import Histogram
from core.domain.analytics.report import (
    NO_PERSON,
    NO_REPOSITORY,
    Dimension,
    Group,
    Question,
    Report,
)
from core.domain.kills.termination import Phase
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import RunStatus, StopReason, Usage
from core.domain.runs.stats import Spend
from core.domain.sessions.ledger import EntrySource, LedgerEntry, LedgerSum
from core.store import ledger
from core.store.database.engine import Database
from core.store.runs import runs
from core.store.sessions import sessions
from core.store.tables.runs import RunRow
from core.store.tables.terminations import TerminationRow
from tests.database import NOW, new_run, new_session

FIRST, LAST = date(2026, 10, 30), date(2026, 11, 3)
WHOLE = Question(first=FIRST, last=LAST)
_BASE = datetime(2026, 10, 29, 12, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Kill:
    """A kill of a run."""

    requested_at: datetime
    phase: Phase
    phases: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """A run with everything that the history takes from it."""

    id: UUID
    session_id: UUID
    workflow: str
    repository: str | None
    person: UUID | None
    started_at: datetime | None
    completed_at: datetime | None
    reason: StopReason | None
    outcome: Outcome | None
    seconds: int | None
    tool_calls: int
    entries: Sequence[LedgerEntry] = ()
    kills: Sequence[Kill] = ()


def made(random: Random, people: Sequence[UUID]) -> PastRun:
    """Some run; a few have not begun, and a few go on."""
    identity, session_id = uuid4(), uuid4()
    created = _BASE + timedelta(seconds=random.randrange(6 * 86_400))
    begins, ends = random.random() < 0.9, random.random() < 0.9
    seconds = random.choice([0, 1, 7, 59, 600, 86_400 * 20, random.randrange(10_000)])
    reason = random.choice(list(StopReason)) if ends else None
    is_completed = reason is StopReason.SUCCESS
    return PastRun(
        id=identity,
        session_id=session_id,
        workflow=random.choice(["fix", "implement"]),
        repository=random.choice([None, "https://github.com/acme/api", "/srv/git/web"]),
        person=random.choice([None, *people]),
        started_at=created if begins else None,
        completed_at=created + timedelta(seconds=random.randrange(7200)) if ends else None,
        reason=reason,
        outcome=random.choice([None, Outcome.CLEAN, Outcome.ATTENTION]) if is_completed else None,
        seconds=seconds if begins and ends else None,
        tool_calls=random.randrange(50),
        entries=[
            made_entry(random, identity, session_id, attempt)
            for attempt in range(1, random.choice([0, 1, 1, 1, 2, 3]) + 1)
        ]
        if begins
        else (),
        kills=[made_kill(random, created) for _ in range(random.choice([0, 0, 0, 1]))],
    )


def made_entry(random: Random, run: UUID, session: UUID, attempt: int) -> LedgerEntry:
    source = random.choice(list(EntrySource))
    cost = None if source is EntrySource.UNKNOWN else Decimal(random.randrange(10**8)) / 10**7
    return LedgerEntry(
        run_id=run,
        session_id=session,
        attempt=attempt,
        source=source,
        cost_usd=cost,
        usage=random.choice([None, Usage(*()), Usage(input_tokens=random.randrange(10**6))]),
        turns=random.randrange(30),
        recorded_at=NOW,
    )


def made_kill(random: Random, at: datetime) -> Kill:
    phase = random.choice([Phase.ACKNOWLEDGED, Phase.UNCONFIRMED, Phase.CONFIRMED])
    phases = {Phase.REQUESTED.value: 0}
    if random.random() < 0.5:
        phases[Phase.UNCONFIRMED.value] = 9000
    if phase is Phase.CONFIRMED:
        phases[Phase.CONFIRMED.value] = random.choice([0, 3, 950, 12_000, 3_000_000])
    return Kill(requested_at=at + timedelta(hours=1), phase=phase, phases=phases)


async def stored(database: Database, past: PastRun) -> None:
    """Store a run as if it had been."""
    row = runs_row(past)
    async with database.sessions.begin() as session:
        await sessions.add(session, new_session(id=past.session_id))
        await runs.add(session, new_run(past.session_id, id=past.id, user_id=past.person))
        await session.execute(update(RunRow).where(RunRow.id == past.id).values(**row))
        for entry in past.entries:
            await ledger.put(session, entry)
        for kill in past.kills:
            await session.execute(
                insert(TerminationRow).values(
                    id=uuid4(),
                    run_id=past.id,
                    phase=kill.phase.value,
                    requested_at=kill.requested_at,
                    requested_from=Origin.SLACK,
                    force=False,
                    phases=kill.phases,
                )
            )


def runs_row(past: PastRun) -> dict[str, Any]:
    status = RunStatus.RUNNING if past.reason is None else past.reason.final_status
    return {
        "workflow_name": past.workflow,
        "git_repo": past.repository,
        "started_at": past.started_at,
        "completed_at": past.completed_at,
        "status": status.value,
        "stop_reason": None if past.reason is None else past.reason.value,
        "outcome": None if past.outcome is None else past.outcome.value,
        "outcome_reasons": ["tests_failed"] if past.outcome is Outcome.ATTENTION else [],
        "duration_seconds": past.seconds,
        "tool_calls": past.tool_calls,
    }


# The slow reference.

KeyOf = Callable[[PastRun, date], tuple[Any, ...]]


def figures_of_run(past: PastRun) -> Figures:
    assert past.reason is not None
    spent = LedgerSum.of_entries(past.entries)
    return Figures(
        by_status={past.reason.final_status: 1},
        by_stop_reason={past.reason: 1},
        attention=int(past.outcome is Outcome.ATTENTION),
        durations=Histogram.of([] if past.seconds is None else [past.seconds]),
        spend=Spend(
            reported_usd=spent.reported_usd,
            reported_runs=int(bool(spent.reported) and not spent.estimated),
            estimated_usd=spent.estimated_usd,
            estimated_runs=int(bool(spent.estimated)),
            unknown_runs=int(past.started_at is not None and spent.known_usd is None),
        ),
        usage=spent.usage,
        unknown_usage=spent.unknown_usage,
        turns=spent.turns,
        tool_calls=past.tool_calls,
    )


def figures_of_kill(past: PastRun, kill: Kill) -> Figures:
    is_confirmed = kill.phase is Phase.CONFIRMED
    elapsed = kill.phases.get(Phase.CONFIRMED.value)
    is_measured = is_confirmed and past.started_at is not None and elapsed is not None
    return Figures(
        kills=KillTotals(
            count=1,
            confirmed=int(is_confirmed),
            unconfirmed=int(not is_confirmed and Phase.UNCONFIRMED.value in kill.phases),
            times=Histogram.of([elapsed] if is_measured and elapsed is not None else []),
        )
    )


def expected(question: Question, past: Iterable[PastRun]) -> dict[tuple[Any, ...], Figures]:
    found: dict[tuple[Any, ...], Figures] = {}

    def add(one: PastRun, at: datetime, figures: Figures) -> None:
        day = at.astimezone(UTC).date()
        values = {
            Dimension.DAY: day,
            Dimension.WORKFLOW: one.workflow,
            Dimension.REPOSITORY: one.repository or NO_REPOSITORY,
            Dimension.PERSON: one.person or NO_PERSON,
        }
        wanted = {
            Dimension.WORKFLOW: question.workflow,
            Dimension.REPOSITORY: question.repository,
            Dimension.PERSON: question.person,
        }
        if not question.first <= day <= question.last:
            return
        if any(value not in {None, values[name]} for name, value in wanted.items()):
            return
        key = tuple(values[name] for name in question.by)
        found[key] = found.get(key, Figures()) + figures

    for one in past:
        if one.completed_at is not None:
            add(one, one.completed_at, figures_of_run(one))
        for kill in one.kills:
            add(one, kill.requested_at, figures_of_kill(one, kill))
    return found


def keyed(question: Question, report: Report) -> dict[tuple[Any, ...], Figures]:
    def value(group: Group, name: Dimension) -> Any:
        return {
            Dimension.DAY: group.day,
            Dimension.WORKFLOW: group.workflow,
            Dimension.REPOSITORY: group.repository,
            Dimension.PERSON: group.person_id,
        }[name]

    return {
        tuple(value(group, name) for name in question.by): group.figures for group in report.groups
    }


def questions(person: UUID) -> list[Question]:
    by: list[tuple[Dimension, ...]] = [(), *((one,) for one in Dimension)]
    by += [(Dimension.DAY, Dimension.WORKFLOW), (Dimension.REPOSITORY, Dimension.PERSON)]
    filters: list[dict[str, Any]] = [
        {},
        {"workflow": "fix"},
        {"repository": "/srv/git/web"},
        {"person": person},
        {"repository": NO_REPOSITORY, "person": NO_PERSON},
        {"workflow": "none such"},
    ]
    return [replace(WHOLE, by=groups, **one) for groups, one in product(by, filters)]
