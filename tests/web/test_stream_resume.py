"""Streams that are cut off go on where they were: no event is lost or sent twice."""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import AsyncExitStack, suppress

import aiohttp
import pytest

from bot.web.route import API_ROOT
from core.domain.actor import Role
from core.domain.runs.run import Run, StopReason
from core.services.runs.watching.watched_run import MAX_RECENT
from core.store.database.engine import Database, open_database
from core.store.runs import runs
from tests.api import CONSOLE, ApiHarness, open_api
from tests.database import NOW, running_run
from tests.limits import limit
from tests.postgres_proxy import open_postgres_proxy
from tests.streams import add_events, open_stream, texts_of

# The most that waits in this process for a client which takes nothing.
MAX_WAITING_BYTES = 512 * 1024


async def finish(database: Database, run: Run) -> None:
    async with database.sessions.begin() as session:
        await runs.finish(session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW)


async def write_slowly(database: Database, run: Run, total: int, chance: random.Random) -> None:
    """Write events in transactions of several sizes, and end the run."""
    written = 0
    while written < total:
        count = min(chance.randrange(1, 9), total - written)
        await add_events(database, run, *(f"text {written + n}" for n in range(count)))
        written += count
        await asyncio.sleep(chance.random() * 0.02)
    await finish(database, run)


async def read_bytes(api: ApiHarness, run: Run, token: str, last_id: str | None, size: int) -> str:
    """What the stream sends, cut off after some bytes; empty if there is nothing more."""
    headers = {"Authorization": f"Bearer {token}"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    url = f"http://{api.host}{API_ROOT}{CONSOLE}/run/{run.run_id}/stream"
    async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as response:
        assert response.status in (200, 204)
        with suppress(asyncio.IncompleteReadError):
            return (await response.content.readexactly(size)).decode()
        # The stream has ended before; another connection reads what it sent.
    async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as response:
        return await response.text()


@pytest.mark.parametrize("seed", range(2))
async def test_a_stream_that_is_cut_at_any_byte_loses_and_doubles_nothing(
    api: ApiHarness, seed: int
) -> None:
    chance = random.Random(seed)
    token = await api.token(role=Role.VIEWER)
    run = await running_run(api.database)
    total = 150
    writer = asyncio.create_task(write_slowly(api.database, run, total, chance))
    texts: list[str] = []
    last_id: str | None = None
    ends = 0

    async with limit(60):
        while True:
            sent = await read_bytes(api, run, token, last_id, chance.randrange(100, 9000))
            # As an EventSource does: what is not complete does not count.
            *blocks, _ = sent.split("\n\n")
            for block in blocks:
                fields = dict(line.split(": ", 1) for line in block.split("\n"))
                last_id = fields.get("id", last_id)
                if fields.get("event") == "event":
                    texts.append(fields["data"].partition('"text":"text ')[2].partition('"')[0])
                ends += fields.get("event") == "end"
            if not sent:
                break
    await writer

    assert texts == [str(number) for number in range(total)]
    assert ends == 1


async def test_a_client_goes_on_with_a_server_that_was_started_again(database: Database) -> None:
    async with open_api(database) as first:
        token = await first.token(role=Role.VIEWER)
        run = await running_run(database)
        await add_events(database, run, "one", "two")
        async with open_stream(first, run.run_id, token) as stream:
            seen = [await stream.until("event"), await stream.until("event")]
            port = int(first.host.rpartition(":")[2])
            async with limit(5):
                await first.gate.close()
                rest = await stream.rest()
            refused = await first.get(f"{CONSOLE}/run/{run.run_id}/stream", token)
    await add_events(database, run, "three")

    async with (
        open_api(database, port=port) as second,
        open_stream(second, run.run_id, token, last_id=stream.last_id) as again,
    ):
        seen.append(await again.until("event"))

    assert [one for one in rest if one.name != "status"] == []
    assert (refused.status, refused.error) == (503, "server_stopping")
    assert texts_of(seen) == ["one", "two", "three"]


async def test_a_server_that_stops_ends_its_streams_in_order(database: Database) -> None:
    async with AsyncExitStack() as server:
        api = await server.enter_async_context(open_api(database))
        token = await api.token(role=Role.VIEWER)
        run = await running_run(database)
        async with open_stream(api, run.run_id, token) as stream:
            await stream.until("status")
            stopping = asyncio.create_task(server.aclose())
            # A handler that is cut off would leave the answer incomplete, which is an error here.
            rest = await stream.rest()
            await stopping

    assert rest == []


async def test_a_slow_client_holds_no_memory_and_gets_every_event(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await running_run(api.database)
    texts = [f"{number} {'x' * 3900}" for number in range(1600)]
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.setblocking(False)
    host, _, port = api.host.rpartition(":")
    loop = asyncio.get_running_loop()
    await loop.sock_connect(listener, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=listener, limit=8192)
    writer.write(
        f"GET {API_ROOT}{CONSOLE}/run/{run.run_id}/stream HTTP/1.0\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    async with limit(20):
        await reader.readuntil(b"\n\nevent: status")
    for begin in range(0, len(texts), 200):
        await add_events(api.database, run, *texts[begin : begin + 200])
    await finish(api.database, run)

    (place,) = api.gate._places
    transport = place.request.transport
    assert transport is not None
    watched = api.watches._watched[run.run_id]
    waiting: list[int] = []
    async with limit(60):
        # It takes a while until nothing fits into the sockets any more.
        while not (watched.is_over and len(waiting) > 20):
            await asyncio.sleep(0.02)
            waiting.append(transport.get_write_buffer_size())
        received = (await reader.read()).decode()
    writer.close()

    assert max(waiting) < MAX_WAITING_BYTES
    assert len(watched.recent) <= MAX_RECENT
    numbers = [
        int(block.partition('"text":"')[2].partition(" ")[0])
        for block in received.split("\n\n")
        if block.startswith("event: event")
    ]
    assert numbers == list(range(1600))
    assert "event: end" in received


async def test_a_stream_outlasts_an_outage_of_the_database(database: Database) -> None:
    async with (
        open_postgres_proxy(database.dsn) as line,
        open_database(line.dsn) as cuttable,
        open_api(cuttable) as api,
    ):
        token = await api.token(role=Role.VIEWER)
        run = await running_run(database)
        async with open_stream(api, run.run_id, token) as stream:
            await stream.until("status")
            line.cut()
            await add_events(database, run, "meanwhile")
            # Long enough that connections are lost, and not only late.
            await asyncio.sleep(1)
            line.restore()
            async with limit(30):
                seen = await stream.until("event")
            await finish(database, run)
            rest = await stream.rest()

    assert seen.data["data"]["text"] == "meanwhile"
    assert rest[-1].name == "end"
