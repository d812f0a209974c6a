"""The stream of a run: what it sends, when it ends, and what it refuses."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from bot.web.streams.limits import StreamLimits
from core.domain.actor import SYSTEM, Role
from core.domain.runs.run import StopReason
from core.store.database.engine import Database
from core.store.runs import runs
from tests.api import CONSOLE, ApiHarness, open_api
from tests.database import NOW, running_run, stored_run
from tests.limits import limit
from tests.streams import add_events, open_stream, texts_of, until


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.VIEWER)


async def end(database: Database, run_id: str, **fields: object) -> None:
    async with database.sessions.begin() as session:
        await runs.finish(
            session,
            run_id,
            attempt=1,
            stop_reason=StopReason.SUCCESS,
            now=NOW,
            **fields,  # type: ignore[arg-type]
        )


async def test_a_run_is_streamed_from_its_first_event_to_its_end(
    api: ApiHarness, token: str
) -> None:
    run = await running_run(api.database)
    await add_events(api.database, run, "one", "two")

    async with open_stream(api, run.run_id, token) as stream:
        first = await stream.until("status")
        await stream.until("event")
        await stream.until("event")
        await add_events(api.database, run, "three\nfour")
        live = await stream.until("event")
        changed = await stream.until("status")
        await end(api.database, run.run_id)
        rest = await stream.rest()

    headers = stream.response.headers
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert headers["Cache-Control"] == "no-store, no-transform"
    assert headers["X-Accel-Buffering"] == "no"
    assert stream.retry == 3000
    assert (first.data["run_id"], first.data["status"]) == (run.run_id, "running")
    assert live.data["data"] == {"text": "three\nfour"}
    assert (live.data["kind"], live.data["text"]) == ("agent_text", "agent: three four")
    assert live.last_id == str(live.data["id"])
    assert changed.data["last_activity"] == "three\nfour"
    assert [one.name for one in rest] == ["status", "end"]
    assert rest[0].data["status"] == "completed"
    assert rest[1].data == {
        "run_id": run.run_id,
        "status": "completed",
        "stop_reason": "success",
    }
    assert rest[1].last_id == f"{live.data['id']}.end"


async def test_the_status_of_a_stream_is_that_of_the_status_route(
    api: ApiHarness, token: str
) -> None:
    run = await running_run(api.database)
    await add_events(api.database, run, "one")
    await end(api.database, run.run_id)

    async with open_stream(api, run.run_id, token) as stream:
        streamed = (await stream.until("status")).data
    asked = (await api.get(f"{CONSOLE}/run/{run.run_id}/status", token)).body

    assert streamed == asked


async def test_an_ended_run_is_replayed_and_then_says_that_there_is_no_more(
    api: ApiHarness, token: str
) -> None:
    run = await running_run(api.database)
    await add_events(api.database, run, *(f"text {number}" for number in range(300)))
    await end(api.database, run.run_id)

    async with open_stream(api, run.run_id, token) as stream:
        received = await stream.rest()
    async with open_stream(api, run.run_id, token, last_id=stream.last_id) as again:
        status, body = again.response.status, await again.response.read()
    without_end = str(stream.last_id).removesuffix(".end")
    async with open_stream(api, run.run_id, token, last_id=without_end) as missed_end:
        rest = await missed_end.rest()

    assert [one.name for one in received] == ["status", *["event"] * 300, "end"]
    assert texts_of(received) == [f"text {number}" for number in range(300)]
    assert (status, body) == (204, b"")
    assert [one.name for one in rest] == ["status", "end"]


async def test_an_event_after_the_end_is_sent_to_who_comes_back(
    api: ApiHarness, token: str
) -> None:
    run = await running_run(api.database)
    await end(api.database, run.run_id)
    async with open_stream(api, run.run_id, token) as stream:
        await stream.rest()
    await add_events(api.database, run, "a left-over process was ended")

    async with open_stream(api, run.run_id, token, last_id=stream.last_id) as again:
        received = await again.rest()

    assert stream.last_id == "0.end"
    assert texts_of(received) == ["a left-over process was ended"]
    assert received[-1].name == "end"


async def test_the_end_waits_for_the_facts_that_come_after_it(api: ApiHarness, token: str) -> None:
    run = await running_run(api.database)

    async with open_stream(api, run.run_id, token) as stream:
        await stream.until("status")
        await end(api.database, run.run_id, work_due_at=NOW + timedelta(minutes=4))
        ended = await stream.until("status")
        async with api.database.sessions.begin() as session:
            await runs.settle_work(
                session, run.run_id, now=NOW, changes_unknown="The disk is full."
            )
        rest = await stream.rest()

    assert ended.data["status"] == "completed"
    assert [one.name for one in rest] == ["status", "end"]


async def test_a_pending_run_and_a_session_are_streamed_too(api: ApiHarness, token: str) -> None:
    run = await stored_run(api.database)

    async with open_stream(api, str(run.session_id), token) as stream:
        found = await stream.until("status")

    assert (found.data["run_id"], found.data["status"]) == (run.run_id, "pending")


async def test_a_query_parameter_is_the_cursor_of_who_has_no_header(
    api: ApiHarness, token: str
) -> None:
    run = await running_run(api.database)
    await add_events(api.database, run, "one", "two", "three")
    page = (await api.get(f"{CONSOLE}/run/{run.run_id}/events?limit=1", token)).body
    await end(api.database, run.run_id)
    query = f"?last_event_id={page['next']}"

    async with open_stream(api, run.run_id, token, query=query) as by_query:
        from_query = await by_query.rest()
    last_id = str(page["next"] + 1)
    async with open_stream(api, run.run_id, token, query=query, last_id=last_id) as by_header:
        from_header = await by_header.rest()

    assert texts_of(from_query) == ["two", "three"]
    assert texts_of(from_header) == ["three"]


@pytest.mark.parametrize(
    "cursor", ["x", "-1", "1.5", "1.end.end", "9" * 19, "9" * 30, "1; drop", ".end"]
)
async def test_a_malformed_cursor_is_refused_before_the_stream(
    api: ApiHarness, token: str, cursor: str
) -> None:
    run = await running_run(api.database)

    async with open_stream(api, run.run_id, token, last_id=cursor) as stream:
        body = await stream.response.json()

    assert (stream.response.status, body["error"]) == (400, "invalid_request")
    assert body["details"]["problems"][0]["field"] == "Last-Event-ID"


async def test_a_cursor_ahead_of_all_events_begins_anew(api: ApiHarness, token: str) -> None:
    run = await running_run(api.database)
    await add_events(api.database, run, "one")
    await end(api.database, run.run_id)

    async with open_stream(api, run.run_id, token, last_id=str(2**62)) as stream:
        received = await stream.rest()

    assert texts_of(received) == ["one"]


async def test_what_cannot_be_streamed_is_refused_in_the_usual_shape(
    api: ApiHarness, token: str
) -> None:
    path = f"{CONSOLE}/run/run_000000000000/stream"
    run = await running_run(api.database)

    unknown = await api.get(path, token)
    without = await api.get(path)
    wrong = await api.get(f"{CONSOLE}/run/{run.run_id}/stream?after=1", token)
    head = await api.call("HEAD", f"{CONSOLE}/run/{run.run_id}/stream", token)

    assert (unknown.status, unknown.error) == (404, "run_not_found")
    assert (without.status, without.error) == (401, "unauthenticated")
    assert (wrong.status, wrong.error) == (400, "invalid_request")
    assert head.status == 405


async def test_silence_is_broken_by_comments(database: Database) -> None:
    async with open_api(database, heartbeat=timedelta(milliseconds=50)) as api:
        token = await api.token()
        run = await running_run(database)

        async with open_stream(api, run.run_id, token) as stream:
            await stream.until("status")
            async with limit(10):
                comments = [await stream.next() for _ in range(3)]

    assert [(one.name, one.data) for one in comments if one] == [("", "heartbeat")] * 3


async def test_a_revoked_token_and_a_lost_role_end_streams(api: ApiHarness) -> None:
    run = await running_run(api.database)
    revoked = await api.token("revoked", Role.VIEWER)
    kept = await api.token("kept", Role.VIEWER)
    api.members.roles["U1"] = Role.VIEWER
    member = await api.token("member", None, user="U1")

    async with (
        open_stream(api, run.run_id, revoked) as first,
        open_stream(api, run.run_id, member) as second,
        open_stream(api, run.run_id, kept) as third,
    ):
        for stream in (first, second, third):
            await stream.until("status")
        await api.tokens.revoke("revoked", by=SYSTEM)
        del api.members.roles["U1"]
        ended = [await first.rest(), await second.rest()]
        async with open_stream(api, run.run_id, revoked, last_id=first.last_id) as again:
            status = again.response.status
        await add_events(api.database, run, "still here")
        seen = await third.until("event")

    assert ended == [[], []]
    assert status == 401
    assert seen.data["data"]["text"] == "still here"


async def test_an_expiring_token_ends_its_stream(api: ApiHarness) -> None:
    run = await running_run(api.database)
    token = await api.token("short", Role.VIEWER, lifetime=timedelta(hours=1))

    async with open_stream(api, run.run_id, token) as stream:
        await stream.until("status")
        async with api.database.sessions.begin() as session:
            await session.execute(text("UPDATE api_tokens SET expires_at = now()"))
        rest = await stream.rest()

    assert rest == []


async def test_streams_are_limited_for_each_token_and_in_all(database: Database) -> None:
    limits = StreamLimits(total=3, per_token=2)
    async with open_api(database, limits=limits) as api:
        tokens = [await api.token(name, Role.VIEWER) for name in ("a", "b")]
        run = await running_run(database)
        path = f"{CONSOLE}/run/{run.run_id}/stream"

        async with (
            open_stream(api, run.run_id, tokens[0]) as one,
            open_stream(api, run.run_id, tokens[0]) as two,
            open_stream(api, run.run_id, tokens[1]) as three,
        ):
            for stream in (one, two, three):
                await stream.until("status")
            too_many = await api.get(path, tokens[0])
            full = await api.get(path, tokens[1])
            status = await api.get(f"{CONSOLE}/run/{run.run_id}/status", tokens[0])
        # The places of those who left are free soon.
        await until(lambda: not api.gate.open_count)
        async with open_stream(api, run.run_id, tokens[0]) as again:
            await again.until("status")

    assert (too_many.status, too_many.error) == (429, "too_many_streams")
    assert too_many.body["details"] == {"allowed": 2}
    assert too_many.headers["Retry-After"]
    assert (full.status, full.error) == (503, "streams_full")
    assert status.status == 200


async def test_a_run_is_read_once_for_all_its_watchers_and_not_while_nothing_changes(
    api: ApiHarness, token: str
) -> None:
    run = await running_run(api.database)
    statements: list[str] = []

    def note(*statement: Any) -> None:
        statements.append(statement[2])

    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(open_stream(api, run.run_id, token)) for _ in range(8)
        ]
        # Once the feed has told of a change, all that a beginning reads is read.
        await add_events(api.database, run, "first")
        for stream in streams:
            await stream.until("event")
            await stream.until("status")
        engine = api.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            # The tokens are checked several times meanwhile.
            await asyncio.sleep(0.5)
            idle, statements = statements, []
            await add_events(api.database, run, "x")
            seen = [(await stream.until("event")).data["text"] for stream in streams]
        finally:
            event.remove(engine, "before_cursor_execute", note)

    assert not [one for one in idle if "run_events" in one]
    assert seen == ["agent: x"] * 8
    reads = [one for one in statements if "SELECT run_events" in one]
    assert 1 <= len(reads) < len(streams)
    await until(lambda: not api.watches._watched)
    assert api.watches._tasks is None
