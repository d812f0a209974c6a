"""Conversations as they are checked before an agent goes on, and set aside by a recovery leg."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from core.domain.runs.run import Run, StopReason
from core.domain.sessions.recovery import RECOVERY_KEY
from core.domain.sessions.transcript_check import TranscriptLink, TranscriptState
from core.runner.execution.conversation.state import has_been_answered, read_state
from core.runner.execution.history import prompt_of, read_history
from core.store.database.engine import Database
from core.store.runs import runs
from core.store.sessions import transcript_pages, transcripts
from core.store.sessions.transcripts import Transcripts
from tests.database import NOW, database, postgres_dsn, running_run, stored_run

__all__ = ["database", "postgres_dsn"]


def entry(uuid: object, parent: object, kind: str = "user", **more: Any) -> dict[str, Any]:
    return {
        "parentUuid": None if parent is None else str(parent),
        "type": kind,
        "uuid": str(uuid),
        **more,
    }


async def store(database: Database, session_id: UUID, *entries: dict[str, Any]) -> None:
    key = {"project_key": "p", "session_id": str(session_id)}
    await Transcripts(database).append(key, entries)


async def worked(database: Database, *, turns: int = 3, **fields: Any) -> Run:
    """A run that has ended after some turns."""
    run = await running_run(database, turns=turns, **fields)
    async with database.sessions.begin() as session:
        return await runs.finish(
            session, run.run_id, attempt=1, stop_reason=StopReason.MAX_TURNS, now=NOW
        )


async def state(database: Database, run: Run, *earlier: Run) -> TranscriptState:
    async with database.sessions.begin() as session:
        return await read_state(session, run, [*earlier, run])


async def test_links_are_read_whatever_the_entries_contain(database: Database) -> None:
    session_id, first, second, third = uuid4(), uuid4(), uuid4(), uuid4()
    await store(
        database,
        session_id,
        {"type": "queue-operation"},
        entry(first, None, message={"content": 'NUL \x00, half \ud800, "parentUuid":"x"'}),
        entry(second, first, "assistant", toolUseResult={"parentUuid": "inner"}),
        entry(third, second, "assistant", isSidechain=True),
        entry("odd", {"not": "an id"}, "system", isSidechain="yes"),
    )

    async with database.sessions.begin() as session:
        links = await transcript_pages.links(session, session_id)

    assert links[:3] == [
        TranscriptLink(uuid=str(first), parent=None, is_message=True),
        TranscriptLink(uuid=str(second), parent=str(first), is_message=True),
        TranscriptLink(uuid=str(third), parent=str(second), is_message=False),
    ]
    assert [link.is_message for link in links[3:]] == [False]


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        (None, TranscriptState.WHOLE),
        # Without any message of a person there is nothing to go on from.
        (0, TranscriptState.NONE),
        (1, TranscriptState.DAMAGED),
        (2, TranscriptState.WHOLE),
    ],
)
async def test_a_conversation_without_an_entry_that_another_follows_is_damaged(
    database: Database, lost: int | None, expected: TranscriptState
) -> None:
    first = await worked(database)
    second = await stored_run(database, session_id=first.session_id, parent_run_id=first.id)
    answer, other = uuid4(), uuid4()
    kept = [
        entry(first.id, None),
        entry(answer, first.id, "assistant"),
        entry(other, answer, "assistant"),
    ]
    if lost is not None:
        del kept[lost]
    await store(database, first.session_id, *kept)

    assert await state(database, second, first) is expected


async def test_a_conversation_without_the_newest_answered_prompt_is_damaged(
    database: Database,
) -> None:
    first = await worked(database)
    await store(database, first.session_id, entry(first.id, None))
    second = await worked(database, session_id=first.session_id, parent_run_id=first.id)
    third = await stored_run(database, session_id=first.session_id, parent_run_id=second.id)
    unanswered = await worked(database, turns=0, session_id=(await worked(database)).session_id)

    assert await state(database, third, first, second) is TranscriptState.DAMAGED
    assert await state(database, unanswered) is TranscriptState.NONE
    assert has_been_answered([first, second])
    assert not has_been_answered([unanswered])


async def test_a_recovery_leg_sets_the_conversation_aside_and_sums_it_up(
    database: Database,
) -> None:
    first = await worked(database, task_input="Count the pieces")
    said = {"content": [{"type": "tool_use", "name": "Bash", "input": {"command": "make"}}]}
    answer = uuid4()
    await store(
        database,
        first.session_id,
        entry(first.id, None),
        entry(answer, uuid4(), "assistant", message=said),
    )
    recovery = await stored_run(
        database,
        session_id=first.session_id,
        parent_run_id=first.id,
        task_input="go on",
        metadata={RECOVERY_KEY: True},
    )

    async with database.sessions.begin() as session:
        history = await read_history(session, recovery)
        # Read again, as after an answer of the database that was lost.
        again = await read_history(session, recovery)
        exists = await transcripts.exists(session, first.session_id)
    await store(database, first.session_id, entry(answer, None))
    async with database.sessions.begin() as session:
        pages = await transcript_pages.page(
            session, first.session_id, subpath="", after_id=0, limit=10
        )
        scopes = list(await session.scalars(text("SELECT DISTINCT scope FROM transcript_entries")))

    prompt = prompt_of(recovery, history)
    assert "RECOVERY" in prompt
    assert "Count the pieces" in prompt
    assert "Bash: make" in prompt
    assert prompt.endswith("go on")
    assert prompt_of(recovery, again) == prompt
    assert not history.has_transcript
    assert (history.is_missing, history.is_damaged) == (False, False)
    assert not exists
    # What was set aside is still read, before what came after.
    assert [line["uuid"] for _, line in pages] == [str(first.id), str(answer), str(answer)]
    assert sorted(scopes) == ["", f"superseded:{recovery.run_id}"]
