"""Socket Mode under stress: ends of every kind, and that nothing said meanwhile is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from bot.sandbox.slack.people import BOT_USER_ID
from bot.sandbox.slack.server import Sandbox
from bot.slack.client.rate_limits import RateLimiter
from bot.slack.client.socket import SocketPool, open_sockets
from bot.slack.client.web_api import open_slack_client
from bot.slack.service import wait_for_slack
from bot.slack.setup import SlackCredentials
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.sandbox import sandbox

__all__ = ["sandbox"]


@asynccontextmanager
async def connected_bot(
    sandbox: Sandbox, services: FakeServices, *, connections: int = 2
) -> AsyncIterator[tuple[RunningBot, SocketPool]]:
    """A bot whose sockets look after themselves within a second."""
    async with open_bot(sandbox, services, transport="http") as bot:
        sandbox.events_url = None
        async with open_sockets(
            bot.runtime.app,
            sandbox.app_token,
            connections=connections,
            watch_every=timedelta(milliseconds=100),
            ping_seconds=0.2,
            reconnect_after=timedelta(seconds=1),
        ) as sockets:
            await all_connected(sandbox, sockets, connections)
            yield bot, sockets


async def all_connected(sandbox: Sandbox, sockets: SocketPool, connections: int) -> None:
    """Wait until every connection stands."""
    await sandbox.human.wait_for(
        lambda: len(sandbox.sockets.connections) == connections and sockets.is_ready,
        what="the connections",
    )


async def starts_runs(sandbox: Sandbox, services: FakeServices, task: str) -> None:
    """A command is acknowledged and handled, once."""
    answer = await sandbox.human.slash("#builds", "/workflow", f"run builder {task}")
    assert answer.ok, answer
    await services.wait_until(
        lambda: [start.task for start in services.start_requests].count(task) == 1,
        what=f"the start of {task}",
    )


@pytest.mark.parametrize(
    "how", ["refresh", "warning", "link_disabled", "too_many_websockets", "abrupt", "freeze"]
)
async def test_after_an_end_of_any_kind_the_bot_hears_again(sandbox: Sandbox, how: str) -> None:
    services = FakeServices()
    async with connected_bot(sandbox, services) as (_, sockets):
        first = set(sandbox.sockets.connections)
        await sandbox.disconnect(how)
        await sandbox.human.wait_for(
            lambda: (
                len(sandbox.sockets.connections - first) == 2
                # Slack may use what the bot has not given up yet; warned ones live on.
                and (how == "warning" or not sandbox.sockets.connections & first)
                and sockets.is_ready
            ),
            what="two new connections",
        )

        await starts_runs(sandbox, services, "go")


@pytest.mark.parametrize("how", ["hang", "hush"])
async def test_a_connection_that_is_stuck_is_made_anew(sandbox: Sandbox, how: str) -> None:
    services = FakeServices()
    async with connected_bot(sandbox, services, connections=1) as (_, sockets):
        # The next connection gets no answer, or is let in and told nothing for ever.
        await sandbox.disconnect(how, times=1)
        await sandbox.human.wait_for(lambda: not sockets.is_ready, what="the loss")
        await sandbox.human.wait_for(lambda: sockets.is_ready, what="a connection that hears")

        await starts_runs(sandbox, services, "go")


@pytest.mark.parametrize("kind", ["429", "500", "timeout", "reset", "internal_error", "page"])
async def test_an_address_is_asked_for_until_slack_gives_one(sandbox: Sandbox, kind: str) -> None:
    services = FakeServices()
    async with connected_bot(sandbox, services, connections=1) as (_, sockets):
        first = set(sandbox.sockets.connections)
        sandbox.faults.add("apps.connections.open", kind, times=2)
        await sandbox.disconnect("abrupt")
        await sandbox.human.wait_for(
            lambda: sandbox.sockets.connections - first and sockets.is_ready,
            what="a new connection",
        )

        await starts_runs(sandbox, services, "go")


async def test_what_is_said_while_sockets_come_and_go_is_handled_once(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with connected_bot(sandbox, services) as (_, _sockets):
        said = [f"task {number}" for number in range(20)]
        troubles = iter(["refresh", "abrupt", "warning", "refresh", "abrupt"])
        for number, task in enumerate(said):
            if number % 4 == 1:
                await sandbox.disconnect(next(troubles))
            await sandbox.human.say("#builds", f"@signalbox run builder {task}")
        # What got no acknowledgement is sent again after a minute, and after five.
        async with asyncio.timeout(20):
            while len(services.start_requests) < len(said):
                sandbox.clock.advance(30)
                await asyncio.sleep(0.2)
        await services.wait_until_handled()

        assert sorted(start.task for start in services.start_requests) == sorted(said)


@pytest.mark.parametrize("kind", ["429", "500", "internal_error", "fatal_error", "page", "reset"])
@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open"])
async def test_a_slack_in_trouble_does_not_stop_the_start(
    sandbox: Sandbox, method: str, kind: str
) -> None:
    sandbox.faults.add(method, kind)
    given = SlackCredentials(
        bot_token=sandbox.bot_token, app_token=sandbox.app_token, api_url=sandbox.api_url
    )
    async with (
        asyncio.timeout(15),
        open_slack_client(
            token=given.bot_token,
            api_url=given.api_url,
            rate_limiter=RateLimiter(now=time.monotonic),
        ) as slack,
    ):
        found = await wait_for_slack(slack, given, needed_scopes=("chat:write",))

    assert found.bot_user_id == BOT_USER_ID
