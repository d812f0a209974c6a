"""The history of runs: what Postgres keeps by day equals what Python counts run by run."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from sqlalchemy import select, text, update

from core.domain.actor import Actor, Origin, Role, User
from core.domain.analytics.figures import Figures
from core.domain.analytics.report import (
    NO_PERSON,
    BadDays,
    Dimension,
    Question,
    Report,
)
from core.domain.runs.run import StopReason
from core.domain.sessions.ledger import EntrySource
from core.services.analytics import AnalyticsService
from core.services.context import NotAllowed, ServiceContext
from core.store import ledger, users
from core.store.analytics import days
from core.store.analytics.facts import MEASURES
from core.store.database.engine import Database
from core.store.runs import runs
from core.store.tables.analytics import AnalyticsDayRow, AnalyticsMarkRow
from core.store.tables.runs import RunRow
from tests.database import NOW, database, postgres_dsn, running_run
from tests.past_runs import FIRST, LAST, WHOLE, expected, keyed, made, made_entry, questions, stored

__all__ = ["database", "postgres_dsn"]

VIEWER = Actor(role=Role.VIEWER, origin=Origin.SLACK, name="vera")
NOBODY = Actor(role=Role.NONE, origin=Origin.SLACK, name="nora")


def service_of(database: Database) -> AnalyticsService:
    return AnalyticsService(ServiceContext(database, lambda: NOW))


async def report_of(database: Database, question: Question = WHOLE) -> Report:
    return await service_of(database).report(question, by=VIEWER)


async def computed(database: Database) -> int:
    return await service_of(database).compute_changed_days()


async def marks(database: Database) -> list[date]:
    async with database.sessions() as session:
        return await days.marked_days(session)


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
