"""The load balancer of a fleet that hears over HTTP: it leads on, and can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from tests.faults.balancer import Balancer, open_balancer


@dataclass
class Bot:
    """A bot that acknowledges everything, once it may."""

    url: str | None = None
    ready: bool = True
    heard: list[bytes] = field(default_factory=list)
    has_heard: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def is_ready(self) -> bool:
        return self.ready

    async def handle(self, request: web.Request) -> web.Response:
        self.heard.append(await request.read())
        self.has_heard.set()
        await self.may_answer.wait()
        return web.Response(text=f"heard {request.headers['X-Slack-Signature']}")


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
    """Deliver, as soon as the balancer knows of a bot."""
    async with asyncio.timeout(5):
        # It looks by itself; nobody is told.
        while (answer := await deliver(balancer))[0] == 502:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return answer


async def test_a_delivery_comes_to_a_bot_as_it_was_sent() -> None:
    async with bot_behind_balancer() as (bot, balancer):
        answer = await deliver_when_ready(balancer)

    assert answer == (200, "heard v0=signed")
    assert bot.heard == [b"text=hello"]


@pytest.mark.parametrize("how", ["dropped", "silent", "unavailable"])
async def test_nothing_comes_through_while_it_is_cut(how: str) -> None:
    async with bot_behind_balancer() as (bot, balancer):
        await deliver_when_ready(balancer)
        balancer.cut(how)
        try:
            told = str((await deliver(balancer, limit=0.5 if how == "silent" else 10))[0])
        except aiohttp.ServerDisconnectedError:
            told = "dropped"
        except TimeoutError:
            told = "silent"
        await balancer.wait_for_refused(more_than=0)
        balancer.restore(how)
        again = await deliver(balancer)

    assert told == ("503" if how == "unavailable" else how)
    assert again[0] == 200
    assert len(bot.heard) == 2
    assert balancer.refused == 1


async def test_what_is_under_way_when_it_is_cut_was_heard_and_has_no_answer() -> None:
    async with bot_behind_balancer() as (bot, balancer):
        await deliver_when_ready(balancer)
        bot.may_answer.clear()
        bot.has_heard.clear()
        under_way = asyncio.create_task(deliver(balancer))
        async with asyncio.timeout(5):
            await bot.has_heard.wait()
        balancer.cut("dropped")
        with pytest.raises(aiohttp.ClientError):
            await under_way
        bot.may_answer.set()

    assert balancer.refused == 1


async def test_two_cuts_are_mended_one_by_one() -> None:
    async with bot_behind_balancer() as (_, balancer):
        await deliver_when_ready(balancer)
        balancer.cut("unavailable")
        balancer.cut("dropped")
        balancer.restore("dropped")
        status = (await deliver(balancer))[0]
        balancer.restore("unavailable")
        again = (await deliver(balancer))[0]

    assert (status, again) == (503, 200)
