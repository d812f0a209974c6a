"""Socket Mode connections to the sandbox: links, limits, losses."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from slack_bolt.async_app import AsyncAck

from bot.sandbox.slack.server import Sandbox
from tests.flows.sandbox_clients import Document, http
from tests.flows.sandbox_sockets import Listener, listen, new_link, short_timeout_sandbox
from tests.limits import patient
from tests.sandbox import connected, new_app, sandbox

__all__ = ["http", "sandbox", "short_timeout_sandbox"]


async def test_a_link_can_be_used_once(
    short_timeout_sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    link = await new_link(short_timeout_sandbox)
    socket = await http.ws_connect(link)

    with pytest.raises(aiohttp.WSServerHandshakeError):
        await http.ws_connect(link)
    await socket.close()


async def test_a_link_expires(short_timeout_sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    link = await new_link(short_timeout_sandbox)
    short_timeout_sandbox.clock.advance(31)

    with pytest.raises(aiohttp.WSServerHandshakeError):
        await http.ws_connect(link)


async def test_the_eleventh_connection_is_refused(
    short_timeout_sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    open_ones = [await listen(short_timeout_sandbox, http) for _ in range(10)]

    eleventh = Listener(
        short_timeout_sandbox, await http.ws_connect(await new_link(short_timeout_sandbox))
    )

    assert (await eleventh.next())["reason"] == "too_many_websockets"
    for each in [*open_ones, eleventh]:
        await each.socket.close()


async def test_an_envelope_lost_with_its_connection_goes_over_the_other(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    first, second = [await listen(sandbox, http) for _ in range(2)]
    command = asyncio.create_task(sandbox.human.slash("#builds", "/workflow", "help"))
    waiting = [asyncio.create_task(each.next()) for each in (first, second)]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    took = waiting.index(done.pop())
    got, other = (first, second)[took], (first, second)[1 - took]

    await got.socket.close()
    envelope = await waiting[1 - took]
    await other.acknowledge(envelope, {"text": "here"})
    result = await command

    assert (result.ok, result.response_text) == (True, "here")
    await other.socket.close()


async def test_events_go_to_any_connection_and_each_to_one(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    listeners = [await listen(sandbox, http) for _ in range(3)]
    counts = [0, 0, 0]

    async def answer(index: int) -> None:
        async for message in listeners[index].socket:
            counts[index] += 1
            await listeners[index].acknowledge(message.json())

    tasks = [asyncio.create_task(answer(index)) for index in range(3)]
    await asyncio.gather(*(sandbox.human.say("#builds", f"n{n}") for n in range(60)))
    for each in listeners:
        await each.socket.close()
    await asyncio.gather(*tasks)

    assert sum(counts) == 60
    assert min(counts) > 0


async def test_an_app_asked_to_reconnect_misses_nothing(sandbox: Sandbox) -> None:
    app = new_app(sandbox)
    received: list[str] = []

    @app.event("message")
    async def on_message(event: Document) -> None:
        received.append(event["text"])

    async with connected(app, sandbox, transport="socket"):
        for n in range(3):
            await sandbox.disconnect("refresh")
            await sandbox.human.say("#builds", f"n{n}")
        await sandbox.human.wait_for(lambda: len(received) == 3, what="three messages")

        assert sorted(received) == ["n0", "n1", "n2"]
        assert sandbox.sockets.opened == 4


async def test_a_disconnected_app_reconnects_when_it_is_accepted(sandbox: Sandbox) -> None:
    app = new_app(sandbox)

    @app.command("/workflow")
    async def on_command(ack: AsyncAck) -> None:
        await ack()

    async with connected(app, sandbox, transport="socket"):
        await sandbox.disconnect("abrupt")
        await sandbox.human.wait_for(
            lambda: sandbox.sockets.opened == 2 and bool(sandbox.sockets.connections),
            what="the second connection",
        )

        assert (await sandbox.human.slash("#builds", "/workflow", "help")).ok


async def test_a_refused_app_stays_out(
    short_timeout_sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    listener = await listen(short_timeout_sandbox, http)
    await short_timeout_sandbox.disconnect("refuse", times=1)
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await http.ws_connect(await new_link(short_timeout_sandbox))

    again = await listen(short_timeout_sandbox, http)

    assert (await listener.socket.receive(timeout=patient(10))).type in (
        aiohttp.WSMsgType.CLOSED,
        aiohttp.WSMsgType.ERROR,
    )
    await again.socket.close()
