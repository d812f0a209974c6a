"""What is fuzzed: the Slack side over both transports on a real database, without a worker.

Only the pace is not real: Slack's rate limits would make thousands of answers wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web

from bot.assembly.backend import Backend, utc_now
from bot.assembly.serve import web_server
from bot.sandbox.slack.server import Sandbox
from bot.slack.app import Services, SlackRuntime, open_slack_runtime
from bot.slack.client.http import slack_route
from bot.slack.client.rate_limits import RateLimiter
from bot.slack.client.socket import open_sockets
from bot.slack.client.web_api import open_slack_client
from bot.slack.inbound.access import AccessPolicy
from bot.slack.setup import SlackCredentials, check_slack
from bot.slack.timing import Timing
from bot.web.health import Health, health_routes

_SPEED = 10_000


@dataclass(frozen=True)
class Target:
    """A running Slack side, and its web server's address."""

    url: str
    runtime: SlackRuntime

    async def wait_until_idle(self) -> None:
        """Wait until everything that was received is handled."""
        tasks = self.runtime.background_tasks
        while tasks.running:
            await asyncio.wait(tasks.running)


@asynccontextmanager
async def open_target(sandbox: Sandbox, backend: Backend) -> AsyncIterator[Target]:
    """Run the Slack side until the block ends."""
    credentials = SlackCredentials(
        bot_token=sandbox.bot_token,
        app_token=sandbox.app_token,
        signing_secret=sandbox.signing_secret,
        api_url=sandbox.api_url,
    )

    def now() -> float:
        return time.monotonic() * _SPEED

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / _SPEED)

    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(
            open_slack_client(
                token=credentials.bot_token,
                api_url=credentials.api_url,
                rate_limiter=RateLimiter(now=now, sleep=sleep),
            )
        )
        runtime = await stack.enter_async_context(
            open_slack_runtime(
                slack,
                await check_slack(slack, credentials),
                Services(
                    runs=backend.runs,
                    kills=backend.kills,
                    restarts=backend.restarts,
                    stats=backend.stats,
                    fleet=backend.fleet,
                    workspaces=backend.workspaces,
                    threads=backend.threads,
                    drawables=backend.drawables,
                    inbox=backend.intake,
                    people=backend.people,
                    alerts=backend.alerts,
                    subscriptions=backend.subscriptions,
                ),
                policy=AccessPolicy(),
                timing=Timing(clock=utc_now, drain=timedelta(seconds=10)),
            )
        )
        await stack.enter_async_context(
            open_sockets(runtime.deliveries.receive, runtime.app.client, sandbox.app_token)
        )
        app = web.Application()
        app.add_routes(health_routes(Health()))
        app.add_routes(
            [
                slack_route(
                    runtime.deliveries.receive_body,
                    signing_secret=sandbox.signing_secret,
                    now=time.time,
                )
            ]
        )
        url = await stack.enter_async_context(web_server(app, host="127.0.0.1", port=0))
        await sandbox.human.wait_for(lambda: sandbox.sockets.connections, what="a connection")
        yield Target(url=url, runtime=runtime)
