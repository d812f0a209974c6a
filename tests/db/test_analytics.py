"""The history of runs: what Postgres keeps by day equals what Python counts run by run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select, text, update

from core.domain.actor import Actor, Origin, Role, User
from core.domain.analytics.figures import Figures, KillTotals
from core.domain.analytics.histogram import Histogram
from core.domain.analytics.report import (
    NO_PERSON,
    NO_REPOSITORY,
    BadDays,
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
from core.services.analytics import AnalyticsService
from core.services.context import NotAllowed, ServiceContext
from core.store import ledger, users
from core.store.analytics import days
from core.store.analytics.facts import MEASURES
from core.store.database.engine import Database
from core.store.runs import runs
from core.store.sessions import sessions
from core.store.tables.analytics import AnalyticsDayRow, AnalyticsMarkRow
from core.store.tables.runs import RunRow
from core.store.tables.terminations import TerminationRow
from tests.database import NOW, database, new_run, new_session, postgres_dsn, running_run

__all__ = ["database", "postgres_dsn"]

VIEWER = Actor(role=Role.VIEWER, origin=Origin.SLACK, name="vera")
NOBODY = Actor(role=Role.NONE, origin=Origin.SLACK, name="nora")
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


def service_of(database: Database) -> AnalyticsService:
    return AnalyticsService(ServiceContext(database, lambda: NOW))


async def report_of(database: Database, question: Question = WHOLE) -> Report:
    return await service_of(database).report(question, by=VIEWER)


async def computed(database: Database) -> int:
    return await service_of(database).compute_changed_days()


async def marks(database: Database) -> list[date]:
    async with database.sessions() as session:
        return await days.marked_days(session)


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


@pytest.mark.parametrize("seed", range(3))
async def test_every_question_is_answered_as_a_count_run_by_run_does(
    database: Database, seed: int
) -> None:
    random = Random(seed)
    people = [(await person_named(database, name)).id for name in ("ann", "bob")]
    past = [made(random, people) for _ in range(60)]
    for one in past[:40]:
        await stored(database, one)
    # Of the rest some days have changed since they were computed.
    await computed(database)
    for one in past[40:]:
        await stored(database, one)

    async def differences() -> list[Question]:
        return [
            question
            for question in questions(people[0])
            if keyed(question, await report_of(database, question)) != expected(question, past)
        ]

    assert await marks(database)
    assert await differences() == []
    await computed(database)
    assert await marks(database) == []
    assert await differences() == []
    total = (await report_of(database)).total
    assert total == sum(expected(WHOLE, past).values(), Figures())


async def person_named(database: Database, name: str) -> User:
    async with database.sessions.begin() as session:
        return await users.add(session, name, now=NOW)


async def days_table(database: Database) -> list[tuple[Any, ...]]:
    async with database.sessions() as session:
        columns = AnalyticsDayRow.__table__.columns
        rows = await session.execute(select(*columns).order_by(*columns))
        return [tuple(row) for row in rows]


async def test_computing_a_day_again_changes_nothing(database: Database) -> None:
    random = Random(7)
    for _ in range(20):
        await stored(database, made(random, []))
    await computed(database)
    before = await days_table(database)

    async with database.sessions.begin() as session:
        await days.mark(session, [FIRST, LAST])
    await computed(database)

    assert await days_table(database) == before
    assert before


async def finished_run(database: Database, **fields: Any) -> Any:
    run = await running_run(database, **fields)
    async with database.sessions.begin() as session:
        return await runs.finish(
            session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW
        )


async def test_a_correction_of_the_ledger_is_in_the_answer_at_once(database: Database) -> None:
    run = await finished_run(database)
    today = replace(WHOLE, first=NOW.date(), last=NOW.date())
    await computed(database)
    entry = made_entry(Random(1), run.id, run.session_id, 1)
    reported = replace(entry, source=EntrySource.REPORTED, cost_usd=Decimal("1.5"))

    async with database.sessions.begin() as session:
        await ledger.put(session, reported)
    at_once = (await report_of(database, today)).total.spend
    await computed(database)

    assert at_once.reported_usd == Decimal("1.5")
    assert (await report_of(database, today)).total.spend == at_once


async def test_progress_of_a_live_run_marks_no_day(database: Database) -> None:
    run = await running_run(database)
    entry = made_entry(Random(1), run.id, run.session_id, 1)
    async with database.sessions.begin() as session:
        await ledger.put(session, entry)
        await session.execute(update(RunRow).where(RunRow.id == run.id).values(tool_calls=9))

    assert await marks(database) == []


async def test_a_change_that_is_committed_during_the_computation_keeps_its_mark(
    database: Database,
) -> None:
    await finished_run(database)
    today = NOW.date()
    async with database.sessions() as computing:
        await computing.begin()
        await days.compute(computing, today)
        await finished_run(database)
        await computing.commit()

    assert await marks(database) == [today]
    assert (await report_of(database, replace(WHOLE, first=today, last=today))).total.runs == 2


async def test_ends_at_the_same_time_do_not_wait_for_each_other(database: Database) -> None:
    one, other = await running_run(database), await running_run(database)
    async with database.sessions() as first, database.sessions() as second:
        await second.execute(text("SET LOCAL lock_timeout = '1s'"))
        for session, run in ((first, one), (second, other)):
            await runs.finish(
                session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW
            )
        await second.commit()
        await first.commit()

    async with database.sessions() as session:
        assert len((await session.scalars(select(AnalyticsMarkRow.day))).all()) == 2


async def test_people_have_their_names(database: Database) -> None:
    ann = await person_named(database, "ann")
    await finished_run(database, user_id=ann.id)
    await finished_run(database)
    question = Question(first=NOW.date(), last=NOW.date(), by=(Dimension.PERSON,))

    groups = (await report_of(database, question)).groups

    named = {group.person_id: group.person and group.person.name for group in groups}
    assert named == {ann.id: "ann", NO_PERSON: None}


async def test_only_those_who_may_view_get_answers(database: Database) -> None:
    with pytest.raises(NotAllowed):
        await service_of(database).report(WHOLE, by=NOBODY)


def test_the_table_has_a_column_for_each_measure() -> None:
    keys = ("grain", "day", "workflow_name", "repository", "person")

    assert tuple(AnalyticsDayRow.__table__.columns.keys()) == (*keys, *MEASURES)


@pytest.mark.parametrize("last", [FIRST - timedelta(days=1), FIRST + timedelta(days=800)])
def test_days_in_the_wrong_order_or_too_many_are_refused(last: date) -> None:
    with pytest.raises(BadDays):
        Question(first=FIRST, last=last)
