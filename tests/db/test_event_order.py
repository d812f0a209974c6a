"""The events of a run are committed in the order of their ids, with several writers too."""

from __future__ import annotations

import asyncio

from core.domain.runs.event import EventKind, EventRecord
from core.store import events
from core.store.database.engine import Database
from tests.database import NOW, stored_run, wait_for_blocked_session
from tests.limits import limit

RECORD = EventRecord(kind=EventKind.AGENT_TEXT, at=NOW, data={"text": "x"})


async def test_a_second_writer_of_a_run_gets_its_ids_after_the_first_has_committed(
    database: Database,
) -> None:
    run = await stored_run(database)
    other = await stored_run(database)

    async with (
        database.sessions() as first,
        database.sessions() as second,
        database.sessions() as third,
        database.sessions() as reader,
    ):
        await events.append(first, run.id, 1, [RECORD])
        waiting = asyncio.create_task(events.append(second, run.id, 1, [RECORD]))
        await wait_for_blocked_session(reader)
        # Another run's writer does not wait.
        async with limit(5):
            await events.append(third, other.id, 1, [RECORD])
            await third.commit()
        seen_before = await events.of_run(reader, run.id)
        await first.commit()
        await waiting
        seen_between = await events.of_run(reader, run.id)
        await second.commit()
        seen_after = await events.of_run(reader, run.id)

    assert [len(found) for found in (seen_before, seen_between, seen_after)] == [0, 1, 2]
    assert seen_after[0].id == seen_between[0].id < seen_after[1].id
