"""The HTTP API for tests: real HTTP over loopback, real Postgres, no Slack and no worker."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import yarl
from aiohttp import web

from bot.assembly.backend import utc_now
from bot.assembly.serve import web_server
from bot.assembly.workspace_probe import LocalProbe
from bot.charts.program import ChartProgram
from bot.web.api.table import ApiServices, api_table
from bot.web.authentication import Authentication
from bot.web.credentials import Credentials
from bot.web.dashboard.charts.program_routes import ChartProgramRoutes
from bot.web.dashboard.routes import dashboard_routes
from bot.web.dashboard.table import dashboard_pages
from bot.web.health import Health, health_routes
from bot.web.route import API_ROOT, AnyRoute
from bot.web.router import api_routes
from bot.web.settings_values import SettingsGroup, ShownSetting
from bot.web.streams.gate import StreamGate
from bot.web.streams.limits import StreamLimits
from bot.web.streams.server_sent import HEARTBEAT_INTERVAL
from core.agent.definitions.catalog import load_catalog
from core.domain.actor import SYSTEM, Action, Actor, Identity, Origin, Role
from core.domain.errors import Forbidden
from core.domain.reach.repositories import DEFAULT_POLICY, RepositoryPolicy
from core.domain.runs.request import Place
from core.domain.token import NewToken
from core.services.alerts.alerts import AlertService
from core.services.alerts.subscriptions import SubscriptionService
from core.services.analytics import AnalyticsService
from core.services.audit import AuditService
from core.services.context import ServiceContext
from core.services.feed import FeedService
from core.services.fleet.fleet import FleetService
from core.services.fleet.resources import ResourceService
from core.services.fleet.workspaces import WorkspaceService
from core.services.people import PeopleService
from core.services.runs.listing import RunListService
from core.services.runs.logs.service import RunLogService
from core.services.runs.recent_runs import CacheLimits, RecentRuns
from core.services.runs.records import RunRecordService
from core.services.runs.restarts.service import RestartService
from core.services.runs.runs import RunService
from core.services.runs.status import StatusService
from core.services.runs.watching.service import RunWatchService
from core.services.runs.whole_runs import WholeRunService
from core.services.sessions import SessionService
from core.services.sign_ins import SignInService
from core.services.stats import StatsService
from core.services.tokens import TokenService
from core.store.database.engine import Database

# Kept from one test to the next: it takes seconds to make.
_CHARTS = Path(tempfile.gettempdir()) / f"signalbox-tests-charts-{os.geteuid()}"

CONSOLE = "/workflows/claude-code"


class NoSuchMember(Forbidden):
    """The workspace has no full member with this id."""

    code = "no_such_member"


@dataclass
class FakeMembers:
    """Members of a Slack workspace, with their roles."""

    people: PeopleService
    roles: dict[str, Role] = field(default_factory=dict)

    async def actor_of(self, slack_user_id: str) -> Actor:
        if slack_user_id not in self.roles:
            raise NoSuchMember(slack_user_id, user_message="No member.")
        identity = Identity(
            origin=Origin.SLACK, external_id=slack_user_id, team_id="T1", name="Ada"
        )
        return await self.people.ensure_actor(identity, role=self.roles[slack_user_id])


class NoSuchChannel(Forbidden):
    """The bot, or the member, is not in the channel."""

    code = "no_such_channel"


@dataclass
class FakeChannels:
    """Channels of a Slack workspace; members are only in those that are listed for them."""

    closed: set[str] = field(default_factory=set)
    of_members: dict[str, set[str]] = field(default_factory=dict)

    async def admitted_place(self, channel_id: str, action: Action, *, by: Actor) -> Place:
        own = None if by.team_id is None else self.of_members.get(by.external_id or "", set())
        if channel_id in self.closed or (own is not None and channel_id not in own):
            raise NoSuchChannel(f"{action} in {channel_id}", user_message="No channel.")
        return Place(team_id="T1", channel_id=channel_id)


@dataclass(frozen=True)
class Reply:
    """An answer of the API."""

    status: int
    headers: Mapping[str, str]
    text: str
    body: Any

    @property
    def error(self) -> object:
        """The code of an error, whose answer has the one shape and nothing else."""
        assert set(self.body) == {"error", "message", "details"}, self.body
        assert self.body["message"]
        return self.body["error"]


@dataclass
class ApiHarness:
    """A server, a client, and the services behind.

    Attributes:
        place: Where runs without a thread get one.
        channels: On which channels may be acted.
        host: The server's host and port, for addresses as a client writes them.
    """

    database: Database
    context: ServiceContext
    tokens: TokenService
    members: FakeMembers
    table: list[AnyRoute]
    client: aiohttp.ClientSession
    health: Health
    place: list[Place]
    channels: FakeChannels
    host: str
    gate: StreamGate
    watches: RunWatchService
    sign_ins: SignInService

    async def token(
        self,
        name: str = "ci",
        role: Role | None = Role.OPERATOR,
        *,
        user: str | None = None,
        lifetime: timedelta | None = None,
    ) -> str:
        """Make a token and return its text."""
        request = NewToken(name=name, role=role, slack_user_id=user, lifetime=lifetime)
        return (await self.tokens.create(request, by=SYSTEM))[1]

    async def get(self, path: str, token: str | None = None, **options: Any) -> Reply:
        """GET a path below the API's root."""
        return await self.call("GET", path, token, **options)

    async def post(
        self, path: str, token: str | None = None, body: object = None, **options: Any
    ) -> Reply:
        """POST a JSON body to a path below the API's root."""
        return await self.call("POST", path, token, json=body, **options)

    async def call(self, method: str, path: str, token: str | None = None, **options: Any) -> Reply:
        """Send a request with a token in the header that clients use."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        # An address as a client writes it must not be normalised.
        is_whole = path.startswith("http")
        url = yarl.URL(path, encoded=True) if is_whole else f"{API_ROOT}{path}"
        async with self.client.request(method, url, headers=headers, **options) as response:
            # A stream does not end, and is read by `tests/streams.py`.
            is_stream = response.content_type == "text/event-stream"
            text = "" if is_stream else await response.text()
            is_json = response.content_type == "application/json"
            return Reply(
                status=response.status,
                headers=response.headers,
                text=text,
                body=await response.json() if is_json and text else None,
            )


@asynccontextmanager
async def open_api(
    database: Database,
    *,
    limits: StreamLimits | None = None,
    heartbeat: timedelta = HEARTBEAT_INTERVAL,
    check_seconds: float = 0.1,
    port: int = 0,
    has_cache: bool = True,
    subscribing: Role = Role.RUNNER,
    public_url: str | None = "https://signalbox.example.com",
) -> AsyncIterator[ApiHarness]:
    """Serve the API and the dashboard, on a free port unless one is given.

    Args:
        database: The rows.
        limits: Of streams.
        heartbeat: Of streams.
        check_seconds: Between two checks of the tokens of streams.
        port: To start a server again at the same address.
        has_cache: Whether answers about ended runs are kept.
        subscribing: The lowest role that subscribes channels.
        public_url: The address in links, which is not that of the server.
    """
    context = ServiceContext(database, utc_now)
    catalog = load_catalog(None)
    people = PeopleService(context)
    members = FakeMembers(people)
    tokens = TokenService(context)
    health = Health()
    place: list[Place] = []
    channels = FakeChannels()
    statuses = StatusService(context, RecentRuns(CacheLimits(is_on=has_cache)))
    feed = FeedService(context)
    watches = RunWatchService(context, feed, statuses)
    sign_ins = SignInService(context)
    services = ApiServices(
        runs=RunService(context, catalog, repositories=RepositoryPolicy(local=(Path("/srv/git"),))),
        restarts=RestartService(
            context,
            catalog,
            LocalProbe(Path("/nonexistent"), DEFAULT_POLICY),
        ),
        statuses=statuses,
        watches=watches,
        records=RunRecordService(context),
        logs=RunLogService(context),
        lists=RunListService(context, catalog),
        whole_runs=WholeRunService(context),
        sessions=SessionService(context),
        stats=StatsService(context),
        analytics=AnalyticsService(context),
        fleet=FleetService(context),
        workspaces=WorkspaceService(context),
        resources=ResourceService(context),
        audit=AuditService(context),
        alerts=AlertService(context),
        subscriptions=SubscriptionService(context, catalog, least_role=subscribing),
        channels=channels,
        dashboard=sign_ins,
        tokens=tokens,
        settings=(
            SettingsGroup(
                title="Web server",
                settings=[
                    ShownSetting(
                        name="SIGNALBOX_PORT", value="8765", source="default", is_default=True
                    )
                ],
            ),
        ),
        health=health,
        place=lambda: place[0] if place else None,
        clock=utc_now,
        heartbeat=heartbeat,
    )
    table = api_table(services)
    authentication = Authentication(
        tokens=Credentials(tokens, sign_ins),
        members=members,
        auditor=people,
        public_url=public_url,
    )
    gate = StreamGate(
        authentication=authentication,
        limits=limits or StreamLimits(),
        check_seconds=check_seconds,
        member_check_seconds=check_seconds,
    )
    app = web.Application(client_max_size=1024 * 1024)
    app.add_routes(health_routes(health))
    app.add_routes(
        api_routes(
            table,
            authentication=authentication,
            auditor=people,
            gate=gate,
            public_url=public_url,
        )
    )
    charts = ChartProgramRoutes(ChartProgram(_CHARTS))
    app.add_routes(
        dashboard_routes(
            dashboard_pages(services),
            sign_ins=sign_ins,
            authentication=authentication,
            auditor=people,
            gate=gate,
            feed=feed,
            charts=charts,
            public_url=public_url,
        )
    )
    app.cleanup_ctx.append(charts.lifespan)
    app.on_shutdown.append(gate.close)
    async with (
        web_server(app, host="127.0.0.1", port=port) as url,
        aiohttp.ClientSession(base_url=url) as client,
    ):
        try:
            yield ApiHarness(
                database=database,
                context=context,
                tokens=tokens,
                members=members,
                table=table,
                client=client,
                health=health,
                place=place,
                channels=channels,
                host=url.removeprefix("http://"),
                gate=gate,
                watches=watches,
                sign_ins=sign_ins,
            )
        finally:
            # It would open connections again that the test has closed.
            await statuses.answers.close()
