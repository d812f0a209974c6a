"""The progress of an attempt, written by one statement."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from core.domain.runs.changes import RunChanges
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import CostSource, Run, Usage
from core.domain.runs.step import Step, StepStatus
from core.store import events, steps
from core.store.database.engine import Database, Unstorable, translate_errors
from core.store.runs import progress_write, run_queries
from core.store.runs.progress_write import ProgressWrite
from tests.database import NOW, running_run

LATER = NOW + timedelta(seconds=3)
PLAN = [
    Step(
        step_id=1,
        name="Read “it”\x00",
        status=StepStatus.COMPLETED,
        started_at=NOW,
        completed_at=LATER,
        result="Read.",
        tools_used=("Read", "Bash"),
        tool_calls=2,
        cost_usd=Decimal("0.1234567"),
    ),
    Step(step_id=2, name="Change it", source_id="7", status=StepStatus.IN_PROGRESS, started_at=NOW),
    Step(step_id=3, name="Test it"),
]
STORED = [replace(PLAN[0], name="Read “it”\ufffd"), *PLAN[1:]]


def changes(**fields: Any) -> RunChanges:
    given: dict[str, Any] = {
        "turns": 3,
        "usage": Usage(input_tokens=10, output_tokens=5, cache_read_tokens=2),
        "tool_calls": 4,
        "tools_used": ("Read", "Bash"),
        "cost_usd": Decimal("0.0000001"),
        "cost_source": CostSource.ESTIMATED,
        **fields,
    }
    return cast("RunChanges", given)


def given(run: Run, **fields: Any) -> ProgressWrite:
    values: dict[str, Any] = {
        "run_id": run.run_id,
        "attempt": run.attempt,
        "changes": changes(),
        "steps": (),
        "step_ids": None,
        "records": (),
        **fields,
    }
    return ProgressWrite(**values)


async def write(database: Database, wanted: ProgressWrite) -> bool:
    with translate_errors():
        return await progress_write.write(database.reads, wanted, now=LATER) is not None


async def read(database: Database, run: Run) -> tuple[Run, list[Step], list[EventRecord]]:
    async with database.sessions() as session:
        return (
            await run_queries.get(session, run.run_id),
            await steps.of_run(session, run.id),
            await events.of_run(session, run.id),
        )


async def test_the_row_the_steps_and_the_events_are_written(database: Database) -> None:
    run = await running_run(database, metadata={"a": 1, "b": 1})
    records = [
        EventRecord(kind=EventKind.TOOL_STARTED, at=NOW, data={"name": "Bash", "n": number})
        for number in range(12)
    ]
    told = changes(metadata={"b": 2, "c": "\x00"}, last_activity="Bash: ls", last_activity_at=LATER)

    assert await write(
        database, given(run, changes=told, steps=PLAN, step_ids={1, 2, 3}, records=records)
    )

    found, plan, stored = await read(database, run)
    assert (found.turns, found.tool_calls, found.tools_used) == (3, 4, ("Read", "Bash"))
    assert found.usage == Usage(input_tokens=10, output_tokens=5, cache_read_tokens=2)
    assert (found.cost_usd, found.cost_source) == (Decimal("0.0000001"), CostSource.ESTIMATED)
    assert found.metadata == {"a": 1, "b": 2, "c": "\ufffd"}
    assert (found.last_activity, found.last_activity_at) == ("Bash: ls", LATER)
    assert (found.updated_at, found.ai_model) == (LATER, run.ai_model)
    assert found.version > run.version
    assert plan == STORED
    assert [replace(one, id=0) for one in stored] == [replace(one, id=0) for one in records]


async def test_steps_that_were_taken_away_go_and_others_stay(database: Database) -> None:
    run = await running_run(database)
    await write(database, given(run, steps=PLAN, step_ids={1, 2, 3}))

    changed = replace(STORED[1], status=StepStatus.COMPLETED, completed_at=LATER)
    await write(database, given(run, steps=[changed]))
    assert (await read(database, run))[1] == [STORED[0], changed, STORED[2]]

    await write(database, given(run, step_ids={1}))
    assert (await read(database, run))[1] == STORED[:1]


@pytest.mark.parametrize("fields", [{"attempt": 2}, {"run_id": "run_000000000000"}])
async def test_nothing_is_written_for_another_attempt(
    database: Database, fields: dict[str, Any]
) -> None:
    run = await running_run(database)
    before = await read(database, run)
    record = EventRecord(kind=EventKind.AGENT_TEXT, at=NOW, data={"text": "Hello."})

    assert not await write(
        database, given(run, steps=PLAN, step_ids=(), records=[record], **fields)
    )

    assert await read(database, run) == before


async def test_a_value_that_cannot_be_stored_is_told(database: Database) -> None:
    run = await running_run(database)
    before = await read(database, run)

    with pytest.raises(Unstorable):
        await write(database, given(run, changes=changes(turns=2**40)))

    assert await read(database, run) == before


async def test_only_what_progress_changes_can_be_written(database: Database) -> None:
    run = await running_run(database)

    with pytest.raises(TypeError, match="result"):
        await write(database, given(run, changes=changes(result="Done.")))
