"""The status of runs, composed from what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from core.domain.actor import Actor, Origin, Role
from core.domain.progress.enrichment import Enrichment
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run, StopReason
from core.domain.runs.step import Step, StepStatus
from core.services.context import NotAllowed, ServiceContext
from core.services.runs.recent_runs import AnswerForm, CacheLimits, RecentRuns
from core.services.runs.status import StatusService
from core.store import events, steps
from core.store.database.engine import Database
from core.store.runs import runs
from tests.database import NOW, missing_table, running_run

PERSON = Actor(role=Role.VIEWER, origin=Origin.API, name="ann")
LATER = NOW + timedelta(seconds=30)
FORM = AnswerForm("1")


def service(database: Database, *, is_on: bool = True, now: datetime = LATER) -> StatusService:
    context = ServiceContext(database=database, clock=lambda: now)
    return StatusService(context, RecentRuns(CacheLimits(is_on=is_on)))


async def enriched(reader: StatusService, target: str) -> Enrichment:
    report = await reader.status(target, by=PERSON)
    assert report.is_complete
    assert report.enrichment is not None
    return report.enrichment


def step(number: int, status: StepStatus, **fields: Any) -> Step:
    found = Step(step_id=number, name=f"S{number}", source_id=str(number), status=status)
    return replace(found, **fields)


async def write(
    database: Database, run: Run, *, plan: Sequence[Step] = (), said: Sequence[str] = ()
) -> None:
    records = [EventRecord(kind=EventKind.AGENT_TEXT, at=NOW, data={"text": one}) for one in said]
    records.append(
        EventRecord(
            kind=EventKind.TOOL_STARTED, at=NOW, data={"name": "Edit", "summary": "core/a.py"}
        )
    )
    async with database.sessions.begin() as session:
        await steps.replace(session, run.id, plan)
        await events.append(session, run.id, 1, records)


async def finish(database: Database, run: Run, *, after: float, **fields: Any) -> Run:
    async with database.sessions.begin() as session:
        return await runs.finish(
            session,
            run.run_id,
            attempt=1,
            stop_reason=StopReason.SUCCESS,
            now=NOW + timedelta(seconds=after),
            **fields,
        )


async def test_a_running_run_has_an_estimate_from_the_runs_before(database: Database) -> None:
    for number in range(3):
        past = await running_run(database)
        await finish(database, past, after=50 + 10 * number)
    run = await running_run(database, metadata={})
    done = step(1, StepStatus.COMPLETED, started_at=NOW, completed_at=NOW + timedelta(seconds=10))
    await write(database, run, plan=[done, step(2, StepStatus.IN_PROGRESS, started_at=NOW)])

    found = await enriched(service(database), run.run_id)

    assert found.progress_summary is not None
    assert found.progress_summary.completion_percentage == 50
    estimate = found.progress_summary.estimated_completion
    assert estimate is not None
    assert estimate.at == NOW + timedelta(seconds=60)
    assert estimate.earliest < estimate.at < estimate.latest
    assert estimate.runs == 3
    assert found.workflow_steps is not None
    assert found.workflow_steps.current_step == 2


async def test_runs_of_other_workflows_say_nothing(database: Database) -> None:
    for _ in range(3):
        past = await running_run(database, workflow_name="review")
        await finish(database, past, after=50)
    run = await running_run(database)

    found = await enriched(service(database), run.run_id)

    assert found.progress_summary is not None
    assert found.progress_summary.estimated_completion is None


async def test_a_completed_run_has_its_result_and_what_is_proved(database: Database) -> None:
    run = await running_run(database)
    summary = "## Summary\n\nThe parser reads dates.\n\n## Changes\n- Read dates\n- Test them"
    await write(
        database,
        run,
        plan=[step(1, StepStatus.COMPLETED), step(2, StepStatus.SKIPPED)],
        said=[summary, "Done."],
    )
    tests = {"passed": 12, "failed": 0, "skipped": 0}
    await finish(database, run, after=20, result="Done.", metadata={"tests": tests})

    found = await enriched(service(database), run.run_id[:9])

    assert found.final_result == f"{summary}\n\n---\n\nDone."
    assert found.workflow_summary is not None
    assert found.workflow_summary.tests_passed == 12
    assert found.workflow_summary.success_rate == 100
    assert found.workflow_summary.major_achievements == ("Read dates", "Test them")
    assert found.workflow_summary.deployment_ready is None
    assert found.step_by_step_results is not None
    assert [one.success for one in found.step_by_step_results] == [True, None]


async def test_the_newest_events_of_a_kind_come_in_order(database: Database) -> None:
    run, other = await running_run(database), await running_run(database)
    await write(database, run, said=[f"Text {number}" for number in range(6)])
    await write(database, other, said=["Other"])
    kinds = {EventKind.AGENT_TEXT}

    async with database.sessions.begin() as session:
        found = await events.newest(session, run.id, kinds=kinds, limit=3, within=100)
        few = await events.newest(session, run.id, kinds=kinds, limit=3, within=2)

    assert [one.data["text"] for one in found] == ["Text 3", "Text 4", "Text 5"]
    assert [one.data["text"] for one in few] == ["Text 5"]


async def test_an_answer_is_kept_until_the_row_of_its_run_is_written(database: Database) -> None:
    run = await running_run(database)
    await finish(database, run, after=20, result="Done.")
    reader = service(database)
    report = await reader.status(run.run_id, by=PERSON)

    async def is_kept() -> bool:
        return await reader.kept(run.run_id, FORM, by=PERSON) is not None

    assert not await is_kept()
    reader.keep(report, FORM, written=b"{}", etag="a")
    assert await is_kept()
    assert await reader.kept(run.run_id, AnswerForm("2"), by=PERSON) is None
    assert await reader.kept(run.run_id, FORM, by=replace(PERSON, role=Role.NONE)) is None

    async with database.sessions.begin() as session:
        await session.execute(text("UPDATE workflow_runs SET result = 'Done, really.'"))

    # The version was not raised by that write.
    assert not await is_kept()


async def test_what_changes_as_time_passes_is_not_kept(database: Database) -> None:
    live = await running_run(database)
    reader = service(database)
    report = await reader.status(live.run_id, by=PERSON)

    reader.keep(report, FORM, written=b"{}", etag="a")

    assert await reader.kept(live.run_id, FORM, by=PERSON) is None


async def test_nothing_of_an_ended_run_changes_as_time_passes(database: Database) -> None:
    run = await running_run(database)
    await write(database, run, plan=[step(1, StepStatus.IN_PROGRESS, started_at=NOW)])
    await finish(database, run, after=20)

    soon, late = [
        await enriched(service(database, now=NOW + timedelta(hours=hours)), run.run_id)
        for hours in (1, 2)
    ]

    assert soon == late
    assert [one.duration_seconds for one in soon.steps] == [20]


@pytest.mark.parametrize("is_ended", [False, True])
async def test_reading_at_once_and_by_parts_gives_the_same(
    database: Database, is_ended: bool
) -> None:
    run = await running_run(database)
    plan = [
        step(
            1,
            StepStatus.COMPLETED,
            started_at=NOW,
            completed_at=NOW + timedelta(microseconds=1),
            result="Read “it”\n",
            tools_used=("Read", "Edit"),
            tool_calls=2,
            cost_usd=Decimal("0.1234567"),
        ),
        step(2, StepStatus.FAILED, source_id=None, error="No."),
    ]
    await write(database, run, plan=plan, said=["## Summary\n\nFine.", "Done."])
    if is_ended:
        await finish(database, run, after=20, result="Done.")
    reader = service(database, is_on=False)

    # A prefix of an id is not looked up at once.
    by_parts = await reader.status(run.run_id[:12], by=PERSON)

    assert await reader.status(run.run_id, by=PERSON) == by_parts
    assert await reader.status(f" {run.run_id[4:].upper()} ", by=PERSON) == by_parts
    plain = await reader.status(run.run_id, by=PERSON, is_enhanced=False)
    assert plain == await reader.status(run.run_id[:12], by=PERSON, is_enhanced=False)


async def test_a_status_that_cannot_be_read_at_once_has_the_run(database: Database) -> None:
    run = await running_run(database)

    async with missing_table(database, "run_events"):
        report = await service(database).status(run.run_id, by=PERSON)

    assert report.run.run_id == run.run_id
    assert not report.is_complete


async def test_who_may_not_view_runs_sees_no_status(database: Database) -> None:
    run = await running_run(database)

    with pytest.raises(NotAllowed):
        await service(database).status(run.run_id, by=replace(PERSON, role=Role.NONE))
