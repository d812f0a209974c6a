"""Socket Mode under stress: connections end in every way, and no message is lost."""

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
from tests.limits import limit
from tests.sandbox import sandbox

__all__ = ["sandbox"]


@asynccontextmanager
async def connected_bot(
    sandbox: Sandbox, services: FakeServices, *, connections: int = 2
) -> AsyncIterator[tuple[RunningBot, SocketPool]]:
    """A bot whose sockets are checked and replaced within a second."""
    async with open_bot(sandbox, services, transport="http") as bot:
        sandbox.events_url = None
        async with open_sockets(
            bot.runtime.deliveries.receive,
            bot.runtime.app.client,
            sandbox.app_token,
            connections=connections,
            watch_every=timedelta(milliseconds=100),
            ping_seconds=0.2,
            reconnect_after=timedelta(seconds=1),
        ) as sockets:
            await all_connected(sandbox, sockets, connections)
            yield bot, sockets


async def all_connected(sandbox: Sandbox, sockets: SocketPool, connections: int) -> None:
    """Wait until every connection is open."""
    await sandbox.human.wait_for(
        lambda: len(sandbox.sockets.connections) == connections and sockets.is_ready,
        what="the connections",
    )


async def starts_runs(sandbox: Sandbox, services: FakeServices, task: str) -> None:
    """Assert that a command is acknowledged and handled once."""
    answer = await sandbox.human.slash("#builds", "/workflow", f"run builder {task}")
    assert answer.ok, answer
    await services.wait_until(
        lambda: [start.task for start in services.start_requests].count(task) == 1,
        what=f"the start of {task}",
    )


@pytest.mark.parametrize(
    "how", ["refresh", "warning", "link_disabled", "too_many_websockets", "abrupt", "freeze"]
)
async def test_the_bot_receives_again_after_any_kind_of_disconnect(
    sandbox: Sandbox, how: str
) -> None:
    services = FakeServices()
    async with connected_bot(sandbox, services) as (_, sockets):
        first = set(sandbox.sockets.connections)
        await sandbox.disconnect(how)
        await sandbox.human.wait_for(
            lambda: (
                len(sandbox.sockets.connections - first) == 2
                # Slack may use connections that the bot has not closed yet; warned ones stay open.
                and (how == "warning" or not sandbox.sockets.connections & first)
                and sockets.is_ready
            ),
            what="two new connections",
        )

        await starts_runs(sandbox, services, "go")


@pytest.mark.parametrize("how", ["hang", "hush"])
async def test_a_stuck_connection_is_replaced(sandbox: Sandbox, how: str) -> None:
    services = FakeServices()
    async with connected_bot(sandbox, services, connections=1) as (_, sockets):
        # The next connection gets no answer, or is accepted and never gets a hello.
        await sandbox.disconnect(how, times=1)
        await sandbox.human.wait_for(lambda: not sockets.is_ready, what="the loss")
        await sandbox.human.wait_for(lambda: sockets.is_ready, what="a working connection")

        await starts_runs(sandbox, services, "go")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", ["429", "500", "timeout", "reset", "internal_error", "page"])
async def test_an_address_is_requested_until_slack_gives_one(sandbox: Sandbox, kind: str) -> None:
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


async def test_messages_during_reconnects_are_handled_once(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with connected_bot(sandbox, services) as (_, _sockets):
        said = [f"task {number}" for number in range(20)]
        disconnects = iter(["refresh", "abrupt", "warning", "refresh", "abrupt"])
        for number, task in enumerate(said):
            if number % 4 == 1:
                await sandbox.disconnect(next(disconnects))
            await sandbox.human.say("#builds", f"@signalbox run builder {task}")
        # Slack sends an unacknowledged event again after a minute, and after five.
        async with limit(20):
            while len(services.start_requests) < len(said):
                sandbox.clock.advance(30)
                await asyncio.sleep(0.2)
        await services.wait_until_handled()

        assert sorted(start.task for start in services.start_requests) == sorted(said)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", ["429", "500", "internal_error", "fatal_error", "page", "reset"])
@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open"])
async def test_a_failing_slack_does_not_prevent_the_start(
    sandbox: Sandbox, method: str, kind: str
) -> None:
    sandbox.faults.add(method, kind)
    given = SlackCredentials(
        bot_token=sandbox.bot_token, app_token=sandbox.app_token, api_url=sandbox.api_url
    )
    async with (
        limit(15),
        open_slack_client(
            token=given.bot_token,
            api_url=given.api_url,
            rate_limiter=RateLimiter(now=time.monotonic),
        ) as slack,
    ):
        found = await wait_for_slack(slack, given, needed_scopes=("chat:write",))

    assert found.bot_user_id == BOT_USER_ID
