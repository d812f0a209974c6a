"""The load balancer of a fleet that uses HTTP: it forwards, and can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from tests.faults.balancer import Balancer, open_balancer
from tests.limits import limit


@dataclass
class Bot:
    """A bot that acknowledges everything, once its gate is open."""

    url: str | None = None
    ready: bool = True
    received: list[bytes] = field(default_factory=list)
    has_heard: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def is_ready(self) -> bool:
        return self.ready

    async def handle(self, request: web.Request) -> web.Response:
        self.received.append(await request.read())
        self.has_heard.set()
        await self.may_answer.wait()
        return web.Response(text=f"received {request.headers['X-Slack-Signature']}")


@asynccontextmanager
async def bot_behind_balancer() -> AsyncIterator[tuple[Bot, Balancer]]:
    bot = Bot()
    app = web.Application()
    app.router.add_post("/slack/events", bot.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        bot.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        bot.may_answer.set()
        async with open_balancer([bot]) as balancer:
            yield bot, balancer
    finally:
        await runner.cleanup()


async def deliver(balancer: Balancer, *, limit: float = 5) -> tuple[int, str]:
    headers = {"X-Slack-Signature": "v0=signed"}
    timeout = aiohttp.ClientTimeout(total=limit)
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        http.post(balancer.url, data=b"text=hello", headers=headers) as answer,
    ):
        return answer.status, await answer.text()


async def deliver_when_ready(balancer: Balancer) -> tuple[int, str]:
    """Deliver as soon as the balancer knows a ready bot."""
    async with limit(5):
        # It polls the bots and sends no notification.
        while (answer := await deliver(balancer))[0] == 502:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return answer


async def test_a_delivery_reaches_a_bot_unchanged() -> None:
    async with bot_behind_balancer() as (bot, balancer):
        answer = await deliver_when_ready(balancer)

    assert answer == (200, "received v0=signed")
    assert bot.received == [b"text=hello"]


@pytest.mark.parametrize("how", ["dropped", "silent", "unavailable"])
async def test_no_delivery_passes_a_cut(how: str) -> None:
    async with bot_behind_balancer() as (bot, balancer):
        await deliver_when_ready(balancer)
        balancer.cut(how)
        try:
            outcome = str((await deliver(balancer, limit=0.5 if how == "silent" else 10))[0])
        except aiohttp.ServerDisconnectedError:
            outcome = "dropped"
        except TimeoutError:
            outcome = "silent"
        await balancer.wait_for_refused(more_than=0)
        balancer.restore(how)
        again = await deliver(balancer)

    assert outcome == ("503" if how == "unavailable" else how)
    assert again[0] == 200
    assert len(bot.received) == 2
    assert balancer.refused == 1


async def test_a_delivery_in_progress_at_a_cut_reaches_the_bot_but_gets_no_answer() -> None:
    async with bot_behind_balancer() as (bot, balancer):
        await deliver_when_ready(balancer)
        bot.may_answer.clear()
        bot.has_heard.clear()
        under_way = asyncio.create_task(deliver(balancer))
        async with limit(5):
            await bot.has_heard.wait()
        balancer.cut("dropped")
        with pytest.raises(aiohttp.ClientError):
            await under_way
        bot.may_answer.set()

    assert balancer.refused == 1


async def test_two_cuts_end_independently() -> None:
    async with bot_behind_balancer() as (_, balancer):
        await deliver_when_ready(balancer)
        balancer.cut("unavailable")
        balancer.cut("dropped")
        balancer.restore("dropped")
        status = (await deliver(balancer))[0]
        balancer.restore("unavailable")
        again = (await deliver(balancer))[0]

    assert (status, again) == (503, 200)
