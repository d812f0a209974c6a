from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import Any, cast
from uuid import uuid4

import pytest
from claude_agent_sdk import SessionStore, fold_session_summary
from claude_agent_sdk.testing import run_session_store_conformance
from sqlalchemy import text

from core.domain.errors import Unavailable
from core.store.database.engine import Database, open_database
from core.store.sessions.transcripts import Transcripts, answers_since, exists
from tests.database import running_run


def key(session_id: str, project: str = "-srv-a", **subpath: str) -> dict[str, Any]:
    return {"project_key": project, "session_id": session_id, **subpath}


async def test_the_store_meets_the_sdks_contracts(database: Database) -> None:
    contracts = []

    async def fresh() -> SessionStore:
        contracts.append(1)
        async with database.sessions.begin() as session:
            await session.execute(text("DELETE FROM transcript_entries"))
        return cast("SessionStore", Transcripts(database, fold=fold_session_summary))

    await run_session_store_conformance(fresh)

    # One store for inspection, then one for each contract (7 and 8 among them).
    assert len(contracts) >= 14


async def test_a_session_resumed_in_another_directory_finds_its_history(
    database: Database,
) -> None:
    transcripts = Transcripts(database)
    session_id = str(uuid4())
    await transcripts.append(key(session_id, "-srv-a"), [{"type": "user", "uuid": "1"}])
    await transcripts.append(key(session_id, "-srv-b"), [{"type": "user", "uuid": "2"}])
    await transcripts.append(key(session_id, "-srv-b", subpath="subagents/x"), [{"type": "user"}])

    elsewhere = key(session_id.upper(), "-srv-c")

    loaded = await transcripts.load(elsewhere)
    assert [entry["uuid"] for entry in loaded or []] == ["1", "2"]
    assert await transcripts.list_subkeys(elsewhere) == ["subagents/x"]


async def test_a_line_sent_twice_is_stored_once_in_its_first_position(database: Database) -> None:
    transcripts = Transcripts(database)
    transcript_key = key(str(uuid4()))
    lines = [{"type": "user", "uuid": uuid} for uuid in ("b", "a", "b")]
    await transcripts.append(transcript_key, lines)
    await transcripts.append(transcript_key, [{"type": "user", "uuid": "c"}, *lines])
    await transcripts.append(transcript_key, [{"type": "tag"}])
    await transcripts.append(transcript_key, [{"type": "tag"}])

    loaded = await transcripts.load(transcript_key) or []

    assert [entry.get("uuid") for entry in loaded] == ["b", "a", "c", None, None]


async def test_a_line_is_read_exactly_as_stored(database: Database) -> None:
    transcripts = Transcripts(database)
    transcript_key = key(str(uuid4()))
    line = {
        "type": "user",
        "text": "nul \x00 half \ud800 emoji 🚦 backslash \\u0000",
        "number": 12345678901234567890.5,
        "deep": [{"z": None, "a": True}],
    }

    await transcripts.append(transcript_key, [line])

    assert await transcripts.load(transcript_key) == [line]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_a_number_that_json_cannot_express_does_not_block_a_transcript(
    database: Database, number: str
) -> None:
    transcripts = Transcripts(database)
    transcript_key = key(str(uuid4()))
    line = json.loads(f'{{"type": "user", "uuid": "1", "cost": [{number}]}}')

    await transcripts.append(transcript_key, [line, {"type": "user", "uuid": "2"}])

    loaded = await transcripts.load(transcript_key) or []
    assert [entry["uuid"] for entry in loaded] == ["1", "2"]


async def test_a_uuid_that_does_not_fit_the_index_does_not_block_a_transcript(
    database: Database,
) -> None:
    transcripts = Transcripts(database)
    transcript_key = key(str(uuid4()))
    line = {"type": "user", "uuid": token_hex(20_000)}

    await transcripts.append(transcript_key, [line])

    assert await transcripts.load(transcript_key) == [line]


@pytest.mark.parametrize(
    "words", ["a \x00 b", "half \ud800", "\\u0000 \x00 \\", '"\x00"', "🚦 \x00", "\\ud800"]
)
async def test_a_session_with_any_text_can_be_resumed_and_counted(
    database: Database, words: str
) -> None:
    transcripts = Transcripts(database)
    session_id, prompt = uuid4(), uuid4()
    lines: list[dict[str, Any]] = [
        {"type": "tool", "text": words, words: [words]},
        {"type": "user", "uuid": str(prompt), "text": words},
        {"text": words, "type": "assistant", "deep": {"type": "user", "text": words}},
    ]

    await transcripts.append(key(str(session_id)), lines)

    async with database.sessions() as session:
        assert await exists(session, session_id)
        assert await answers_since(session, session_id, [prompt]) == [lines[2]]


async def test_an_attempt_adds_only_to_its_own_session(database: Database) -> None:
    run, other = await running_run(database), await running_run(database)
    transcripts = Transcripts(database)
    of_attempt = transcripts.for_attempt(run.run_id, run.attempt)
    forged = [{"type": "user", "uuid": "forged"}]

    for session_id in (str(other.session_id), str(uuid4()), "no-uuid"):
        await of_attempt.append(key(session_id), forged)
        await of_attempt.append(key(session_id, subpath="subagents/agent-1"), forged)
    await of_attempt.append(key(str(run.session_id)), [{"type": "user", "uuid": "own"}])
    await of_attempt.append(key(str(run.session_id), subpath="subagents/agent-1"), forged)

    async with database.sessions() as session:
        rows = await session.execute(text("SELECT session_id, subpath FROM transcript_entries"))
        assert [tuple(row) for row in rows] == [
            (str(run.session_id), ""),
            (str(run.session_id), "subagents/agent-1"),
        ]


async def test_concurrent_batches_do_not_mix(database: Database) -> None:
    transcripts = Transcripts(database)
    transcript_key = key(str(uuid4()))

    await asyncio.gather(
        *(
            transcripts.append(
                transcript_key, [{"type": "user", "batch": batch, "n": n} for n in range(20)]
            )
            for batch in range(6)
        )
    )

    loaded = await transcripts.load(transcript_key) or []
    order = [entry["batch"] for entry in loaded]
    assert [entry["n"] for entry in loaded] == list(range(20)) * 6
    assert sum(a != b for a, b in pairwise(order)) == 5


async def test_a_session_can_be_resumed_after_its_first_message(database: Database) -> None:
    transcripts = Transcripts(database)
    session_id = uuid4()
    transcript_key = key(str(session_id))
    # A program that dies at its start has stored its queue, but cannot resume from that.
    await transcripts.append(
        transcript_key, [{"type": "queue-operation"}, {"type": "queue-operation"}]
    )
    async with database.sessions() as session:
        assert not await exists(session, session_id)

    await transcripts.append(transcript_key, [{"type": "user", "uuid": "1"}])

    async with database.sessions() as session:
        assert await exists(session, session_id)


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.append(key("s"), [{"type": "user"}]),
        lambda store: store.load(key("s")),
        lambda store: store.list_subkeys(key("s")),
        lambda store: store.list_sessions("-srv-a"),
        lambda store: store.delete(key("s")),
    ],
    ids=["append", "load", "list_subkeys", "list_sessions", "delete"],
)
async def test_an_unreachable_database_raises_its_own_error(
    ask: Callable[[Transcripts], Awaitable[object]], tmp_path: Path
) -> None:
    # Nothing listens on this port.
    async with open_database(f"postgresql://me@/none?host={tmp_path}") as away:
        with pytest.raises(Unavailable):
            await ask(Transcripts(away))
