"""A local Slack: opens the sandbox on the loopback interface."""

import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from bot.sandbox.slack.acting_page import remember_page
from bot.sandbox.slack.api.call import Call
from bot.sandbox.slack.api.gate import Gate
from bot.sandbox.slack.api.rate_limits import RateLimits
from bot.sandbox.slack.app_routes import AppRoutes
from bot.sandbox.slack.clock import Clock
from bot.sandbox.slack.control import ControlApi
from bot.sandbox.slack.delivery.dispatcher import Deliverer, Transport
from bot.sandbox.slack.delivery.request_url import RequestUrl
from bot.sandbox.slack.delivery.socket_mode import SocketMode
from bot.sandbox.slack.faults import Faults
from bot.sandbox.slack.inspector import Inspector, Problem
from bot.sandbox.slack.manifest import DEFAULT_MANIFEST, find_manifest, read_manifest
from bot.sandbox.slack.organisation import Organisation
from bot.sandbox.slack.origin_guard import guard
from bot.sandbox.slack.people import APP_ID, BOT_USER_ID, TEAM_ID
from bot.sandbox.slack.person.actions import PersonActions
from bot.sandbox.slack.person.block_interactions import BlockInteractions
from bot.sandbox.slack.person.human import Human
from bot.sandbox.slack.state import Document, Workspace
from bot.sandbox.slack.stream import Stream

# Slack's limit for an acknowledgement.
ACK_SECONDS = 3.0


class Sandbox:
    """A running sandbox.

    Attributes:
        url: Its address; the page is at the root.
        api_url: The base address of the Web API, for `SLACK_API_URL`.
        events_url: Address for deliveries by HTTP; None: over Socket Mode.
        human: The actions of a person.
        faults: Faults to inject.
        problems: Everything the real Slack would have refused; tests assert that it is empty.
    """

    def __init__(
        self,
        *,
        workspace: Workspace,
        http: aiohttp.ClientSession,
        url: str,
        rate_limits: bool,
        signing_secret: str,
        events_url: str | None,
        ack_timeout: float,
    ) -> None:
        self.url = url
        self.api_url = url + "/api/"
        self.signing_secret = signing_secret
        self.bot_token = f"xoxb-1000000001-2000000002-{secrets.token_hex(12)}"
        self.app_token = f"xapp-1-{APP_ID}-3000000003-{secrets.token_hex(32)}"
        self.team_id = TEAM_ID
        self.bot_user_id = BOT_USER_ID
        self.events_url = events_url
        self.workspace = workspace
        self.inspector = workspace.inspector
        self.clock = workspace.clock
        self.limits = RateLimits(enabled=rate_limits)
        self.faults = Faults(now=self.clock.now)
        self.sockets = SocketMode(clock=self.clock, inspector=self.inspector, url=url)
        self.request_url = RequestUrl(
            http, url=lambda: self.events_url or "", secret=signing_secret
        )
        self.deliverer = Deliverer(workspace, self._transport, ack_timeout=ack_timeout)
        workspace.emit = self.deliverer.emit
        actions = PersonActions(workspace, self.deliverer, url)
        block_interactions = BlockInteractions(actions)
        self.human = Human(actions, block_interactions)
        self.gate = Gate(
            workspace=workspace,
            limits=self.limits,
            faults=self.faults,
            bot_token=self.bot_token,
            app_token=self.app_token,
            url=url,
            extra_handlers={"apps.connections.open": self._open_connection},
        )
        self.app_routes = AppRoutes(
            workspace=workspace, gate=self.gate, faults=self.faults, sockets=self.sockets
        )
        self.stream = Stream(workspace)
        self.control = ControlApi(
            actions=actions,
            block_interactions=block_interactions,
            faults=self.faults,
            sockets=self.sockets,
            reset=self.reset,
        )

    def _transport(self) -> Transport:
        return self.request_url if self.events_url else self.sockets

    def _open_connection(self, _call: Call) -> Document:
        return {"url": self.sockets.new_link()}

    @property
    def problems(self) -> list[Problem]:
        """Everything the real Slack would have refused, oldest first."""
        return self.inspector.problems

    def take_problems(self) -> list[Problem]:
        """Return the problems and remove them: a test expected them."""
        taken = list(self.inspector.problems)
        self.inspector.problems.clear()
        return taken

    def calls(self, method: str) -> list[Document]:
        """The arguments of every call to a method, oldest first."""
        return [
            each.request
            for each in self.inspector.entries
            if each.direction == "api" and each.name == method
        ]

    def reset(self) -> None:
        """Restore the initial state; connections stay open."""
        self.workspace.seed()
        self.limits.reset()
        self.faults.clear()
        self.inspector.problems.clear()
        self.inspector.entries.clear()
        self.inspector.publish_change("channel")

    async def disconnect(self, how: str = "refresh", *, times: float = float("inf")) -> None:
        """Disturb the Socket Mode connections: see `SocketMode.disconnect`."""
        await self.sockets.disconnect(how, times=times)

    async def wait_until_idle(self, *, timeout: float = 120) -> None:
        """Wait until no event is being delivered."""
        await self.deliverer.wait_until_idle(timeout=timeout)

    async def aclose(self) -> None:
        """Close all connections and stop all deliveries."""
        self.app_routes.close()
        self.stream.close()
        await self.deliverer.aclose()
        await self.sockets.aclose()


@asynccontextmanager
async def open_sandbox(
    *,
    manifest: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    rate_limits: bool = True,
    signing_secret: str | None = None,
    events_url: str | None = None,
    extra_routes: Callable[[web.Application], None] | None = None,
    ack_timeout: float = ACK_SECONDS,
    organisation: Organisation | None = None,
) -> AsyncIterator[Sandbox]:
    """Open a sandbox until the block ends.

    Args:
        manifest: Path of the app's manifest; by default this project's.
        host: The interface, by the name used to reach it; the loopback one, unless
            something else protects it.
        port: 0: any free one.
        rate_limits: Whether calls above Slack's limits get a 429.
        signing_secret: Secret that signs HTTP deliveries; by default random.
        events_url: URL for deliveries by HTTP instead of Socket Mode.
        extra_routes: Adds the caller's own routes, such as a page.
        ack_timeout: Seconds in which the app must acknowledge.
        organisation: The organisation that team Acme belongs to, with people of its other
            workspaces; by default it belongs to none.
    """
    path = manifest or find_manifest()
    clock = Clock()
    workspace = Workspace(
        clock=clock,
        manifest=read_manifest(path) if path else DEFAULT_MANIFEST,
        inspector=Inspector(clock.now),
        organisation=organisation,
    )
    listening = socket.create_server((host, port))
    url = f"http://{host}:{listening.getsockname()[1]}"
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(listening.close)
        # No `trust_env`: the machine's proxy must not stand between the sandbox and the app.
        http = await stack.enter_async_context(aiohttp.ClientSession())
        sandbox = Sandbox(
            workspace=workspace,
            http=http,
            url=url,
            rate_limits=rate_limits,
            signing_secret=signing_secret or secrets.token_hex(16),
            events_url=events_url,
            ack_timeout=ack_timeout,
        )
        app = web.Application(client_max_size=20_000_000, middlewares=[guard(url), remember_page])
        sandbox.app_routes.add_routes(app)
        sandbox.control.add_routes(app)
        app.router.add_get("/_emu/stream", sandbox.stream.serve)
        if extra_routes is not None:
            extra_routes(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listening).start()
        stack.push_async_callback(sandbox.aclose)
        yield sandbox
