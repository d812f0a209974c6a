"""The parts below the surfaces: database, workflow definitions and services."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.assembly.database_wait import DatabaseWait
from bot.assembly.settings import Settings
from bot.assembly.workspace_probe import LocalProbe
from bot.slack.setup import SlackCredentials
from core.agent.definitions.catalog import Catalog, load_catalog
from core.agent.definitions.check import check_definitions
from core.domain.errors import Unavailable
from core.domain.meter import NO_METER, Meter
from core.private_files import make_home_private
from core.services.alerts.alerts import AlertService
from core.services.alerts.subscriptions import SubscriptionService
from core.services.analytics import AnalyticsService
from core.services.audit import AuditService
from core.services.context import ServiceContext
from core.services.drawables import DrawableService
from core.services.feed import FeedService
from core.services.fleet.admission import AdmissionService
from core.services.fleet.fleet import FleetService
from core.services.fleet.resources import ResourceService
from core.services.fleet.workspaces import WorkspaceService
from core.services.intake import IntakeService
from core.services.people import PeopleService
from core.services.runs.kills import KillService
from core.services.runs.listing import RunListService
from core.services.runs.logs.service import RunLogService
from core.services.runs.recent_runs import RecentRuns
from core.services.runs.records import RunRecordService
from core.services.runs.restarts.service import RestartService
from core.services.runs.runs import RunService
from core.services.runs.status import StatusService
from core.services.runs.watching.service import RunWatchService
from core.services.runs.whole_runs import WholeRunService
from core.services.sessions import SessionService
from core.services.sign_ins import SignInService
from core.services.stats import StatsService
from core.services.threads import ThreadService
from core.services.tokens import TokenService
from core.store.database.embedded.server import embedded_postgres
from core.store.database.engine import Database, open_database
from core.store.database.schema import SchemaState, SchemaTooNew, schema_state, upgrade_if_behind

log = logging.getLogger(__name__)

# Database connections of a process, in addition to one for each run it can execute.
POOL_BASE = 10
NO_WAIT = DatabaseWait()


class SchemaBehind(Unavailable):
    """The database's schema is older than this program's."""

    code = "schema_behind"

    def __init__(self) -> None:
        super().__init__(
            "schema is not current",
            user_message="The database's schema is not up to date.",
        )


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Everything below the surfaces.

    Attributes:
        probe: Looks at repositories and workspaces; it gets those of this process's worker.
    """

    settings: Settings
    database: Database
    catalog: Catalog
    context: ServiceContext
    runs: RunService
    restarts: RestartService
    probe: LocalProbe
    kills: KillService
    stats: StatsService
    analytics: AnalyticsService
    fleet: FleetService
    workspaces: WorkspaceService
    resources: ResourceService
    feed: FeedService
    threads: ThreadService
    drawables: DrawableService
    intake: IntakeService
    people: PeopleService
    tokens: TokenService
    sign_ins: SignInService
    statuses: StatusService
    watches: RunWatchService
    records: RunRecordService
    logs: RunLogService
    run_lists: RunListService
    whole_runs: WholeRunService
    sessions: SessionService
    audit: AuditService
    admission: AdmissionService
    alerts: AlertService
    subscriptions: SubscriptionService


def utc_now() -> datetime:
    """The clock of every process; only tests use another."""
    return datetime.now(UTC)


def slack_credentials(settings: Settings) -> SlackCredentials:
    """The Slack credentials from the settings, not yet checked."""
    slack = settings.slack
    return SlackCredentials(
        bot_token=slack.bot_token.get_secret_value() if slack.bot_token else "",
        app_token=slack.app_token.get_secret_value() if slack.app_token else None,
        signing_secret=slack.signing_secret.get_secret_value() if slack.signing_secret else None,
        app_id=slack.app_id,
        api_url=slack.api_url,
    )


def postgres_folder(settings: Settings) -> Path:
    """The folder of the embedded Postgres."""
    return settings.node.home / "postgres"


def definition_warnings(settings: Settings, catalog: Catalog) -> tuple[str, ...]:
    """Check the workflow definitions against the settings; see `check_definitions`.

    Raises:
        BadDefinition: If a definition asks for more than the settings give.
    """
    agent = settings.config.agent
    return check_definitions(catalog.all, isolation=agent.isolation, network=agent.network)


@asynccontextmanager
async def open_dsn(settings: Settings) -> AsyncIterator[str]:
    """The address of the configured database, or of an embedded one that runs meanwhile."""
    if settings.database.url is not None:
        yield settings.database.url.get_secret_value()
        return
    async with embedded_postgres(postgres_folder(settings)) as dsn:
        yield dsn


async def require_current_schema(database: Database) -> None:
    """Check that the database has this program's schema.

    Raises:
        SchemaBehind: If its schema is older.
        SchemaTooNew: If its schema is newer.
        OSError, DBAPIError: If the database cannot be reached; see `translate_errors`.
    """
    found = await schema_state(database)
    if found is SchemaState.NEWER:
        raise SchemaTooNew
    if found is SchemaState.BEHIND:
        raise SchemaBehind


@asynccontextmanager
async def open_backend(
    settings: Settings,
    *,
    migrates: bool,
    database_wait: DatabaseWait = NO_WAIT,
    meter: Meter = NO_METER,
) -> AsyncIterator[Backend]:
    """Open the database, and construct the services on it.

    Args:
        settings: The settings, read once at the start.
        migrates: Bring the schema up to date first; without it an old schema is an error.
        database_wait: How long to wait for a database that does not answer yet.
        meter: Hears of what this process writes.

    Raises:
        SchemaBehind: If the schema is old and `migrates` is false.
        SchemaTooNew: If the schema is that of a newer version.
        BadDefinition: If a workflow definition is wrong.
        Unavailable: If the database cannot be reached.
        BadSetting: If Postgres refuses the address or its password.
        ForeignDirectory: If the home belongs to another user.
    """
    await asyncio.to_thread(make_home_private, settings.node.home)
    catalog = await asyncio.to_thread(load_catalog, settings.node.workflows)
    for warning in definition_warnings(settings, catalog):
        log.warning("workflow %s", warning, extra={"event": "definition.weakened"})
    pool_size = POOL_BASE + settings.slots
    async with (
        open_dsn(settings) as dsn,
        open_database(dsn, pool_size=pool_size, meter=meter) as database,
        AsyncExitStack() as stack,
    ):
        if migrates:
            await database_wait.retry_until_reachable(lambda: upgrade_if_behind(database))
        else:
            await database_wait.retry_until_reachable(lambda: require_current_schema(database))
        work = ServiceContext(database, utc_now)
        config = settings.config
        runs = RunService(work, catalog, config.worker.on_lost, config.repositories.policy)
        probe = LocalProbe(settings.node.home, config.repositories.policy)
        feed = FeedService(work)
        statuses = StatusService(work, RecentRuns(config.status.limits))
        stack.push_async_callback(statuses.answers.close)
        yield Backend(
            settings=settings,
            database=database,
            catalog=catalog,
            context=work,
            runs=runs,
            restarts=RestartService(
                work, catalog, probe, config.worker.on_lost, config.repositories.policy
            ),
            probe=probe,
            kills=KillService(work, catalog, runs),
            stats=StatsService(work),
            analytics=AnalyticsService(work),
            fleet=FleetService(work),
            workspaces=WorkspaceService(work),
            resources=ResourceService(work),
            feed=feed,
            threads=ThreadService(work),
            drawables=DrawableService(work, feed),
            intake=IntakeService(work),
            people=PeopleService(work),
            tokens=TokenService(work),
            sign_ins=SignInService(work),
            statuses=statuses,
            watches=RunWatchService(work, feed, statuses),
            records=RunRecordService(work),
            logs=RunLogService(work),
            run_lists=RunListService(work, catalog),
            whole_runs=WholeRunService(work),
            sessions=SessionService(work),
            audit=AuditService(work),
            admission=AdmissionService(work),
            alerts=AlertService(work),
            subscriptions=SubscriptionService(
                work, catalog, least_role=config.alerts.subscribe, cost_limit=config.alerts.cost
            ),
        )
