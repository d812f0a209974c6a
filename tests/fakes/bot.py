"""The Slack side on a sandbox, over one of the transports, with fake services."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiohttp import web

from bot.assembly.serve import web_server
from bot.sandbox.slack.server import Sandbox
from bot.slack.app import Services, SlackRuntime, open_slack_runtime
from bot.slack.client.http import slack_route
from bot.slack.client.rate_limits import RateLimiter
from bot.slack.client.socket import open_sockets
from bot.slack.client.web_api import CALL_TIMEOUT, Slack, open_slack_client
from bot.slack.drawing.kinds import DrawnKinds
from bot.slack.drawing.messages.sending import ARRIVAL_WINDOW
from bot.slack.inbound.access import AccessPolicy
from bot.slack.setup import SlackCredentials, check_slack
from bot.slack.timing import Timing
from core.domain.actor import Role
from tests.fakes.restarts import FakeRestarts
from tests.fakes.services import FakeServices
from tests.fakes.subscriptions import FakeSubscriptions


@dataclass(frozen=True)
class RunningBot:
    """A running Slack side."""

    runtime: SlackRuntime
    slack: Slack
    services: FakeServices
    sandbox: Sandbox
    subscriptions: FakeSubscriptions
    restarts: FakeRestarts


@asynccontextmanager
async def open_bot(
    sandbox: Sandbox,
    services: FakeServices,
    *,
    transport: str = "socket",
    roles: Mapping[Role, tuple[str, ...]] | None = None,
    allowed_channels: frozenset[str] | None = None,
    connections: int = 1,
    refresh_every: timedelta = timedelta(seconds=20),
    is_drawing: bool = True,
    speed: float = 1.0,
    call_timeout: timedelta = CALL_TIMEOUT,
    kinds: DrawnKinds | None = None,
    clock_skew: float = 0.0,
    subscriptions: FakeSubscriptions | None = None,
) -> AsyncIterator[RunningBot]:
    """Run the Slack side until the block ends.

    Args:
        speed: Factor by which its rate limits and waits are faster than normal.
        call_timeout: Time limit of a call, in real time.
        kinds: What is drawn; `None` for all that the program knows.
        subscriptions: The subscriptions of channels; none at first if left out.
        clock_skew: Seconds by which the machine's clock is fast, over HTTP.
    """
    kept = FakeSubscriptions() if subscriptions is None else subscriptions
    restarts = FakeRestarts(services)
    credentials = SlackCredentials(
        bot_token=sandbox.bot_token,
        app_token=sandbox.app_token if transport == "socket" else None,
        signing_secret=sandbox.signing_secret if transport == "http" else None,
        api_url=sandbox.api_url,
    )

    def now() -> float:
        return time.monotonic() * speed

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / speed)

    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(
            open_slack_client(
                token=credentials.bot_token,
                api_url=credentials.api_url,
                rate_limiter=RateLimiter(now=now, sleep=sleep),
                call_timeout=call_timeout,
            )
        )
        side = await stack.enter_async_context(
            open_slack_runtime(
                slack,
                await check_slack(slack, credentials, needed_scopes=("chat:write", "commands")),
                Services(
                    runs=services,
                    kills=services,
                    restarts=restarts,
                    stats=services,
                    fleet=services,
                    workspaces=services,
                    threads=services,
                    alerts=services.alerts,
                    drawables=services,
                    inbox=services,
                    people=services,
                    subscriptions=kept,
                ),
                policy=AccessPolicy(roles=roles, allowed_channels=allowed_channels),
                timing=Timing(
                    clock=lambda: datetime.now(UTC),
                    refresh_every=refresh_every,
                    drain=timedelta(seconds=5),
                    now=now,
                    sleep=sleep,
                    arrival_window=ARRIVAL_WINDOW / speed,
                ),
                kinds=kinds,
            )
        )
        if is_drawing:
            drawing = asyncio.create_task(side.redraw.run(), name="redraw")
            stack.push_async_callback(_stop, drawing)
        if transport == "http":
            sandbox.events_url = await _serve(stack, side, sandbox, clock_skew=clock_skew)
        else:
            sockets = await stack.enter_async_context(
                open_sockets(
                    side.deliveries.receive,
                    side.app.client,
                    sandbox.app_token,
                    connections=connections,
                )
            )
            await sandbox.human.wait_for(
                lambda: len(sandbox.sockets.connections) == connections, what="the connections"
            )
            assert sockets is not None
        yield RunningBot(
            runtime=side,
            slack=slack,
            services=services,
            sandbox=sandbox,
            subscriptions=kept,
            restarts=restarts,
        )


async def _serve(
    stack: AsyncExitStack, side: SlackRuntime, sandbox: Sandbox, *, clock_skew: float
) -> str:
    app = web.Application()
    app.add_routes(
        [
            slack_route(
                side.deliveries.receive_body,
                signing_secret=sandbox.signing_secret,
                now=lambda: time.time() + clock_skew,
            )
        ]
    )
    url = await stack.enter_async_context(web_server(app, host="127.0.0.1", port=0))
    return f"{url}/slack/events"


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
