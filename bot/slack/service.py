"""The Slack surface as one part of a process, from its connection to its orderly end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta

from aiohttp import web

from bot.slack.app import Services, SlackRuntime, open_slack_runtime
from bot.slack.client.errors import RateLimited, SlackError, SlackUnreachable
from bot.slack.client.http import EVENTS_PATH, slack_route
from bot.slack.client.meter import NO_SLACK_METER, SlackMeter
from bot.slack.client.rate_limits import RateLimiter
from bot.slack.client.socket import SocketPool, open_sockets
from bot.slack.client.web_api import Slack, open_slack_client
from bot.slack.drawing.notices import Notices
from bot.slack.inbound.access import AccessPolicy
from bot.slack.inbound.installation import Installation
from bot.slack.setup import SlackCredentials, check_slack
from bot.slack.timing import Timing
from bot.words import counts
from core.domain.actor import Action, Actor
from core.domain.errors import Unavailable
from core.domain.runs.request import Place
from core.services.intake import RENEWAL_INTERVAL

log = logging.getLogger(__name__)

_FIRST_RETRY_DELAY = 1.0
_MAX_RETRY_DELAY = 30.0
_DRAIN_LIMIT = timedelta(seconds=4)
_POLL_SECONDS = 0.05


async def _nothing(_team_id: str) -> None:
    """Do nothing at the first contact with Slack."""


class SlackNotConnected(Unavailable):
    """What only Slack knows is asked for, and Slack does not answer."""

    code = "slack_unavailable"

    def __init__(self) -> None:
        super().__init__(
            "slack does not answer",
            user_message="Slack does not answer just now, and this needs it: for a person's role, "
            "or for the channel of the thread. Try again in a minute.",
        )


@dataclass(kw_only=True)
class SlackService:
    """Receives and answers Slack requests, and draws messages.

    Attributes:
        credentials: Tokens and the Web API's address.  With an app token it uses Socket Mode,
            otherwise HTTP through `route`.
        meter: Hears of calls to Slack, and of what was drawn there.
        on_identified: Called with the id of the workspace, once Slack has told it.
        runtime: Its parts; `None` until Slack has answered for the first time.
    """

    credentials: SlackCredentials
    services: Services
    needed_scopes: Collection[str]
    policy: AccessPolicy
    timing: Timing
    meter: SlackMeter = NO_SLACK_METER
    on_identified: Callable[[str], Awaitable[None]] = _nothing
    runtime: SlackRuntime | None = None
    _sockets: SocketPool | None = None
    _route: web.RouteDef | None = None
    _stop_requested: asyncio.Event = field(default_factory=asyncio.Event)
    _receiving_ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_ready(self) -> bool:
        """Whether it receives requests from Slack."""
        if self._stop_requested.is_set():
            return False
        return self._route is not None or (self._sockets is not None and self._sockets.is_ready)

    def warnings(self) -> list[str]:
        """What Slack does not let this process do at present, one line each."""
        return drawing_warnings(self.runtime.redraw.drawing.notices) if self.runtime else []

    @property
    def drawing_lag_seconds(self) -> float:
        """How long the longest outdated drawable has been so; 0 if none is, or others draw."""
        return self.runtime.redraw.lag.oldest_seconds if self.runtime else 0.0

    async def actor_of(self, slack_user_id: str) -> Actor:
        """A member of the workspace who acts through another surface, with their present role.

        Raises:
            NotAdmitted: If they are no full member, or have no role.
            SlackNotConnected: If Slack has not answered yet, or does not answer.
            Unavailable: If the database cannot be reached.
        """
        if self.runtime is None:
            raise SlackNotConnected
        try:
            return await self.runtime.access.actor_of(slack_user_id)
        except SlackError as error:
            raise SlackNotConnected from error

    def place(self, channel_id: str) -> Place:
        """A channel of the workspace as the place of a thread.

        Raises:
            SlackNotConnected: If Slack has not answered yet, so that the workspace is unknown.
        """
        if self.runtime is None:
            raise SlackNotConnected
        return Place(team_id=self.runtime.installation.team_id, channel_id=channel_id)

    async def admitted_place(self, channel_id: str, action: Action, *, by: Actor) -> Place:
        """A channel on which an actor may act through another surface, as the place of messages.

        Raises:
            NotAdmitted: If Signalbox does not work there, or the actor may not act on it.
            SlackNotConnected: If Slack has not answered yet, or does not answer.
            Unavailable: If the database cannot be reached.
        """
        if self.runtime is None:
            raise SlackNotConnected
        try:
            await self.runtime.channels.require(channel_id, action, by=by)
        except SlackError as error:
            raise SlackNotConnected from error
        return self.place(channel_id)

    def route(self) -> web.RouteDef:
        """The route `POST /slack/events`; it answers 503 until the first contact with Slack."""

        async def receive(request: web.Request) -> web.StreamResponse:
            if self._route is None or self._stop_requested.is_set():
                return web.Response(status=503)
            return await self._route.handler(request)

        return web.post(EVENTS_PATH, receive)

    async def run(self) -> None:
        """Connect to Slack and serve it, until cancelled.

        Raises:
            SlackSetupError: If the settings cannot work.
        """
        rate_limiter = RateLimiter(now=self.timing.now)
        async with AsyncExitStack() as stack:
            slack = await stack.enter_async_context(
                open_slack_client(
                    token=self.credentials.bot_token,
                    api_url=self.credentials.api_url,
                    rate_limiter=rate_limiter,
                    clock=self.timing.clock,
                    meter=self.meter,
                )
            )
            installation = await wait_for_slack(
                slack, self.credentials, needed_scopes=self.needed_scopes
            )
            log.info(
                "slack workspace %s, as %s",
                installation.team_name,
                installation.bot_name,
                extra={
                    "event": "slack.identified",
                    "team_id": installation.team_id,
                    "bot_user_id": installation.bot_user_id,
                },
            )
            self.runtime = await stack.enter_async_context(
                open_slack_runtime(
                    slack,
                    installation,
                    self.services,
                    policy=self.policy,
                    timing=self.timing,
                )
            )
            await self._run_tasks(self.runtime)

    async def stop_receiving(self) -> None:
        """Receive no more requests, and finish those in progress; drawing continues."""
        self._stop_requested.set()
        if self.runtime is None:
            return
        await self._receiving_ended.wait()
        await self.runtime.background_tasks.drain(_DRAIN_LIMIT)

    async def finish_drawing(self) -> None:
        """Return when everything shows the state in the database.

        Drawings that only follow other rows are not waited for.
        """
        runtime = self.runtime
        while runtime is not None:
            table = runtime.redraw.drawing.kinds
            kinds = [name for name, kind in table.items() if not kind.depends_on]
            if not await self.services.drawables.outdated(
                team_id=runtime.installation.team_id, kinds=kinds, limit=1
            ):
                return
            # Other processes draw too, so there is no event to wait for.
            await asyncio.sleep(_POLL_SECONDS)

    async def _run_tasks(self, runtime: SlackRuntime) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(runtime.redraw.run(), name="redraw")
            group.create_task(
                _awaited(self.on_identified(runtime.installation.team_id)), name="on identified"
            )
            group.create_task(runtime.intake.keep_replaying(runtime.app), name="replay")
            group.create_task(
                runtime.intake.keep_renewing(every=RENEWAL_INTERVAL), name="renew claims"
            )
            group.create_task(self._receive(runtime), name="receive from slack")

    async def _receive(self, runtime: SlackRuntime) -> None:
        try:
            if self.credentials.app_token:
                async with open_sockets(
                    runtime.deliveries.receive, runtime.app.client, self.credentials.app_token
                ) as sockets:
                    self._sockets = sockets
                    await self._stop_requested.wait()
            else:
                self._route = slack_route(
                    runtime.deliveries.receive_body,
                    signing_secret=self.credentials.signing_secret or "",
                    now=time.time,
                )
                await self._stop_requested.wait()
        finally:
            self._sockets = None
            self._receiving_ended.set()


async def _awaited(act: Awaitable[None]) -> None:
    await act


def drawing_warnings(notices: Notices) -> list[str]:
    """What Slack does not let the bot draw, for readiness: without ids, since anybody reads it."""
    lines = [
        f"slack: {limit.method} is limited since {limit.since:%H:%M} UTC, "
        f"next try at {limit.until:%H:%M} UTC"
        for limit in notices.limits.current()
    ]
    if count := notices.given_up_count():
        lines.append(
            f"slack: refused for good in the last 24 hours: {counts.plural(count, 'message')} "
            "(message.given_up in the log)"
        )
    return lines


async def wait_for_slack(
    slack: Slack, credentials: SlackCredentials, *, needed_scopes: Collection[str]
) -> Installation:
    """Check the settings with Slack, and retry until it answers.

    Raises:
        SlackSetupError: If the settings cannot work.
    """
    pause = _FIRST_RETRY_DELAY
    while True:
        try:
            return await check_slack(slack, credentials, needed_scopes=needed_scopes)
        except RateLimited as error:
            log.warning(
                "slack limits the rate of calls at the start: %s",
                error,
                extra={"event": "slack.rate_limited", "retry_seconds": error.seconds},
            )
            await asyncio.sleep(error.seconds)
        except SlackUnreachable as error:
            log.warning(
                "slack is unreachable: %s",
                error,
                extra={"event": "slack.unreachable", "retry_seconds": pause},
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_RETRY_DELAY)
