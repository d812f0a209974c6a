"""The Slack side as one part of a process: joined when Slack answers, left in good order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aiohttp import web

from bot.slack.app import Services, SlackSide, open_slack_side
from bot.slack.client.client import RateLimited, Slack, SlackUnreachable, open_slack_client
from bot.slack.client.http import EVENTS_PATH, slack_route
from bot.slack.client.rate_limits import Budget
from bot.slack.client.socket import Sockets, open_sockets
from bot.slack.inbound.access import Installation
from bot.slack.setup import SlackCredentials, check_slack
from core.domain.actor import Role
from core.services.intake import RENEWED_EVERY

log = logging.getLogger(__name__)

_FIRST_RETRY = 1.0
_LAST_RETRY = 30.0
_HEARD_LIMIT = timedelta(seconds=4)
_LOOK_AGAIN = 0.05


@dataclass(kw_only=True)
class SlackPart:
    """Hears Slack, answers it and draws, from the first answer of Slack to the end.

    Attributes:
        credentials: Tokens and the Web API's address; with an app token Socket Mode is used,
            else HTTP through `route`.
        side: Once Slack has answered.
    """

    credentials: SlackCredentials
    services: Services
    needed_scopes: Collection[str]
    roles: Mapping[Role, tuple[str, ...]] | None
    allowed_channels: frozenset[str] | None
    clock: Callable[[], datetime]
    side: SlackSide | None = None
    _sockets: Sockets | None = None
    _route: web.RouteDef | None = None
    _stop_hearing: asyncio.Event = field(default_factory=asyncio.Event)
    _is_deaf: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_ready(self) -> bool:
        """Whether Slack is heard."""
        if self._stop_hearing.is_set():
            return False
        return self._route is not None or (self._sockets is not None and self._sockets.is_ready)

    def route(self) -> web.RouteDef:
        """`POST /slack/events`, there from the start; 503 until Slack has answered."""

        async def receive(request: web.Request) -> web.StreamResponse:
            if self._route is None or self._stop_hearing.is_set():
                return web.Response(status=503)
            return await self._route.handler(request)

        return web.post(EVENTS_PATH, receive)

    async def run(self) -> None:
        """Join Slack and stay, until cancelled.

        Raises:
            SlackSetupError: If the settings cannot work.
        """
        budget = Budget(now=time.monotonic)
        async with AsyncExitStack() as stack:
            slack = await stack.enter_async_context(
                open_slack_client(
                    token=self.credentials.bot_token,
                    api_url=self.credentials.api_url,
                    budget=budget,
                )
            )
            installation = await join(slack, self.credentials, needed_scopes=self.needed_scopes)
            log.info("slack workspace %s, as %s", installation.team_name, installation.bot_name)
            self.side = await stack.enter_async_context(
                open_slack_side(
                    slack,
                    installation,
                    self.services,
                    roles=self.roles,
                    allowed_channels=self.allowed_channels,
                    clock=self.clock,
                    signing_secret=self.credentials.signing_secret or "",
                )
            )
            await self._work(self.side)

    async def stop_hearing(self) -> None:
        """Hear nothing more of Slack, and finish what was heard; drawing goes on."""
        self._stop_hearing.set()
        if self.side is None:
            return
        await self._is_deaf.wait()
        await self.side.supervised.drain(_HEARD_LIMIT)

    async def draw_rest(self) -> None:
        """Return when every thread shows what the rows say."""
        side = self.side
        while side is not None:
            if not await self.services.threads.behind(team_id=side.installation.team_id):
                return
            # Other processes draw too, so no event of this one could tell.
            await asyncio.sleep(_LOOK_AGAIN)

    async def _work(self, side: SlackSide) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(side.redraw.run(), name="redraw")
            group.create_task(side.intake.keep_replaying(side.app), name="replay")
            group.create_task(side.intake.keep_hold(every=RENEWED_EVERY), name="hold deliveries")
            group.create_task(self._hear(side), name="hear slack")

    async def _hear(self, side: SlackSide) -> None:
        try:
            if self.credentials.app_token:
                async with open_sockets(side.app, self.credentials.app_token) as sockets:
                    self._sockets = sockets
                    await self._stop_hearing.wait()
            else:
                self._route = slack_route(
                    side.app, signing_secret=self.credentials.signing_secret or "", now=time.time
                )
                await self._stop_hearing.wait()
        finally:
            self._sockets = None
            self._is_deaf.set()


async def join(
    slack: Slack, credentials: SlackCredentials, *, needed_scopes: Collection[str]
) -> Installation:
    """Ask Slack who we are, until it answers.

    Raises:
        SlackSetupError: If the settings cannot work.
    """
    pause = _FIRST_RETRY
    while True:
        try:
            return await check_slack(slack, credentials, needed_scopes=needed_scopes)
        except RateLimited as error:
            log.warning("slack lets nobody in yet: %s", error)
            await asyncio.sleep(error.seconds)
        except SlackUnreachable as error:
            log.warning("slack does not answer yet: %s", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_RETRY)
