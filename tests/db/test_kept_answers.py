"""Answers about ended runs, stored for all processes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from bot.web.api.statuses.edition import answer_edition
from bot.web.api.statuses.keeping import AnswerKeeping
from bot.web.api.statuses.run_status import USUAL_QUERY, form_of
from bot.web.api.statuses.status_answer import StatusQuery, status_answer
from core.domain.actor import Actor, Origin, Role
from core.domain.runs.run import Run, StopReason
from core.services.context import ServiceContext
from core.services.runs.recent_runs import AnswerForm, CacheLimits, RecentRuns
from core.services.runs.status import StatusService
from core.store.database.engine import Database
from core.store.runs import runs
from tests.database import NOW, missing_table, running_run

PERSON = Actor(role=Role.VIEWER, origin=Origin.API, name="ann")
FORM = AnswerForm("1", edition="first")


def process(database: Database, *, is_on: bool = True) -> StatusService:
    """The service of a process that has just been started."""
    context = ServiceContext(database, lambda: NOW + timedelta(seconds=30))
    return StatusService(context, RecentRuns(CacheLimits(is_on=is_on)))


async def ended_run(database: Database, *, after: float = 20) -> Run:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        return await runs.finish(
            session,
            run.run_id,
            attempt=1,
            stop_reason=StopReason.SUCCESS,
            now=NOW + timedelta(seconds=after),
            result="Done.",
        )


async def store(database: Database, run: Run, written: bytes = b'{"a": 1}') -> None:
    service = process(database)
    report = await service.status(run.run_id, by=PERSON)
    service.keep(report, FORM, written=written, etag="mark")
    await service.answers.store()
    await service.answers.close()


async def test_what_one_process_answered_another_one_finds(database: Database) -> None:
    run = await ended_run(database)
    await store(database, run)

    found = await process(database).kept(run.run_id, FORM, by=PERSON)

    assert found is not None
    assert (found.written, found.etag) == (b'{"a": 1}', "mark")


@pytest.mark.parametrize(
    "form",
    [replace(FORM, edition="second"), replace(FORM, edition=None)],
    ids=["another edition", "a form that is not stored"],
)
async def test_what_was_not_answered_in_this_form_is_not_found(
    database: Database, form: AnswerForm
) -> None:
    run = await ended_run(database)
    await store(database, run)

    assert await process(database).kept(run.run_id, form, by=PERSON) is None


async def test_a_stored_answer_is_not_used_when_the_cache_is_off(database: Database) -> None:
    run = await ended_run(database)
    await store(database, run)

    assert await process(database, is_on=False).kept(run.run_id, FORM, by=PERSON) is None


async def test_any_write_to_the_run_ends_the_use_of_its_answer(database: Database) -> None:
    run = await ended_run(database)
    await store(database, run)

    async with database.sessions.begin() as session:
        # The version stays.
        await session.execute(text("UPDATE workflow_runs SET result = 'Done, really.'"))

    assert await process(database).kept(run.run_id, FORM, by=PERSON) is None
    await store(database, run, b'{"a": 2}')
    found = await process(database).kept(run.run_id, FORM, by=PERSON)
    assert found is not None
    assert found.written == b'{"a": 2}'


async def test_an_answer_that_cannot_be_stored_is_kept_in_the_process(database: Database) -> None:
    run, service = await ended_run(database), process(database)
    report = await service.status(run.run_id, by=PERSON)

    async with missing_table(database, "status_answers"):
        service.keep(report, FORM, written=b"{}", etag="a")

        assert await service.kept(run.run_id, FORM, by=PERSON) is not None
    await service.answers.close()


async def test_runs_that_ended_are_answered_for_before_anybody_asks(database: Database) -> None:
    live, ended = await running_run(database), await ended_run(database)
    service = process(database)
    keeping = AnswerKeeping(service, service.context.clock)

    assert await keeping.keep_due() == 1
    assert await keeping.keep_due() == 0

    other, form = process(database), form_of(USUAL_QUERY)
    assert await other.kept(live.run_id, form, by=PERSON) is None
    found = await other.kept(ended.run_id, form, by=PERSON)
    assert found is not None
    report = await process(database, is_on=False).status(ended.run_id, by=PERSON)
    answer = status_answer(report, USUAL_QUERY, now=service.context.clock())
    assert found.written == answer.model_dump_json(exclude_unset=True).encode()
    await service.answers.close()


async def test_a_run_whose_work_is_still_saved_is_answered_for_later(database: Database) -> None:
    run = await ended_run(database)
    async with database.sessions.begin() as session:
        await session.execute(text("UPDATE workflow_runs SET work_due_at = now()"))
    service = process(database)
    keeping = AnswerKeeping(service, service.context.clock)

    assert await keeping.keep_due() == 0

    async with database.sessions.begin() as session:
        await runs.settle_work(session, run.run_id, now=NOW)
    assert await keeping.keep_due() == 1
    await service.answers.close()


def test_only_answers_in_the_usual_form_are_stored() -> None:
    assert form_of(StatusQuery()).edition == answer_edition()
    assert form_of(StatusQuery(include_steps=False)).edition is None
    assert form_of(StatusQuery(enhanced=False)).edition is None
    assert len(answer_edition()) == 64
