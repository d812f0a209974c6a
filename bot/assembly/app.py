"""Assembly of a process: its parts, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from aiohttp import web
from sqlalchemy import text

from bot.assembly.alerting import alert_limits, alerting_jobs, subscriptions_sync
from bot.assembly.backend import Backend, open_backend, slack_credentials, utc_now
from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.database_wait import DatabaseWait
from bot.assembly.running_app import RunningApp
from bot.assembly.serve import (
    AppProcess,
    handle_signals,
    run_with_limit,
    temporary_files_in,
    wait_until_stopped,
    web_server,
)
from bot.assembly.settings import Settings
from bot.assembly.web.answering import answering_job
from bot.assembly.web.dashboard_links import DashboardLinks
from bot.assembly.web.local_access import local_url
from bot.assembly.web.local_token import grant_local_access
from bot.assembly.web.monitoring import monitoring_route, new_counts
from bot.slack.manifest import bot_scopes
from bot.slack.setup import SlackCredentials, problems_of, warnings_of
from bot.web.health import Health, health_routes
from core.domain.errors import Unavailable
from core.runner.clock import Clock, clock_jobs, history_jobs
from core.runner.worker.identity import WorkerIdentity, claimed_identity
from core.services.alerts.digests import DigestService
from core.services.fleet.resources import ResourceThinning
from core.services.housekeeping import HousekeepingService
from core.services.retention.retention import RetentionService
from core.services.runs.checkpoints import CheckpointExpiry
from core.store.database.engine import translate_errors

if TYPE_CHECKING:
    from bot.slack.client.meter import SlackMeter
    from bot.slack.service import SlackService
    from core.agent.process.isolation_probe import FoundIsolation
    from core.runner.worker.worker_runtime import WorkerRuntime

log = logging.getLogger(__name__)

# Parts of the 15 s that a shutdown may take.
_STOP_RECEIVING_LIMIT = timedelta(seconds=5)
# After the drain: stop each agent, save its work, put the run back into the queue.
_HANDOVER_LIMIT = timedelta(seconds=9)
_FINISH_DRAWING_LIMIT = timedelta(seconds=2)
_CHECK_LIMIT = timedelta(seconds=2)


OnStarted = Callable[[RunningApp], None]


def _log_started(running: RunningApp) -> None:
    log.info(
        "started; readiness at %s/readyz",
        running.url,
        extra={"event": "app.started", "url": running.url},
    )


async def run_process(
    settings: Settings,
    *,
    serves_slack: bool,
    runs_worker: bool,
    migrates: bool,
    grants_access: bool = False,
) -> None:
    """Run one process until a signal ends it.

    Args:
        settings: The settings, read once at the start.
        serves_slack: Receive and answer Slack requests, and draw messages.
        runs_worker: Execute runs.
        migrates: Bring the schema up to date first.
        grants_access: Write a token for commands of this machine into the home.

    Raises:
        OpsError: If it cannot start; the message says what to fix.
    """
    process = AppProcess()
    async with handle_signals(process):
        await serve(
            settings,
            process,
            serves_slack=serves_slack,
            runs_worker=runs_worker,
            migrates=migrates,
            grants_access=grants_access,
        )


async def serve(
    settings: Settings,
    process: AppProcess,
    *,
    serves_slack: bool,
    runs_worker: bool,
    migrates: bool,
    grants_access: bool = False,
    isolation: FoundIsolation | None = None,
    on_started: OnStarted = _log_started,
) -> None:
    """Start the parts, wait until a stop is requested, and stop the parts in order.

    The order: claim no more runs; let the running ones end or hand them over (Slack still
    accepts kills meanwhile); receive no more Slack requests; bring the threads up to date;
    close.  A worker tries out how it can isolate agents, unless `isolation` tells it.
    """
    credentials = _credentials(settings) if serves_slack else None
    async with AsyncExitStack() as stack:
        database_wait = DatabaseWait(
            timedelta(seconds=settings.database.wait_seconds), process.stop_requested
        )
        counts = new_counts()
        backend = await stack.enter_async_context(
            open_backend(settings, migrates=migrates, database_wait=database_wait, meter=counts)
        )
        if serves_slack and (limits := settings.config.limits) is not None:
            caps = limits.caps
            await database_wait.retry_until_reachable(lambda: backend.admission.set_caps(caps))
        thresholds = alert_limits(backend)
        links = DashboardLinks(backend.sign_ins, settings.node.public_url)
        slack = _slack_service(backend, credentials, counts, links) if credentials else None
        worker: WorkerRuntime | None = None
        if runs_worker:
            identity = stack.enter_context(claimed_identity(settings.node.home))
            stack.enter_context(temporary_files_in(identity.scratch.folder))
            worker = await _worker(backend, identity, isolation)
            backend.probe.workspaces = worker.workspaces
        health = _health(backend, slack, worker)
        metrics = monitoring_route(backend, counts, slack)
        url = await stack.enter_async_context(_web(backend, health, slack, metrics))
        links.local_url = local_url(url)
        stack.push_async_callback(process.end)
        if slack is not None:
            process.start("slack", slack.run())
            keeping = settings.config.retention.policy
            housekeeping = HousekeepingService(backend.context, retention=keeping)
            jobs = (
                *clock_jobs(
                    housekeeping,
                    backend.admission,
                    CheckpointExpiry(backend.context, settings.config.checkpoints.policy),
                    backend.workspaces,
                    ResourceThinning(backend.context, keeping),
                ),
                *history_jobs(
                    backend.analytics, RetentionService(backend.context, keeping, meter=counts)
                ),
                *alerting_jobs(backend, thresholds, counts),
                answering_job(backend),
            )
            clock = Clock(housekeeping.leadership, jobs)
            process.start("clock", clock.run())
        if worker is not None:
            process.start("worker", worker.run())
        if grants_access:
            await grant_local_access(backend.tokens, settings.node.home, url)
        on_started(RunningApp(url=url, backend=backend, health=health, dashboard=links))
        try:
            await wait_until_stopped(process)
        finally:
            log.info("stopping", extra={"event": "app.stop_requested"})
            if worker is not None:
                await _stop_worker(worker, process, settings.config.worker.drain)
            if slack is not None:
                await run_with_limit("hearing slack", _STOP_RECEIVING_LIMIT, slack.stop_receiving)
                await run_with_limit("drawing", _FINISH_DRAWING_LIMIT, slack.finish_drawing)


async def _stop_worker(worker: WorkerRuntime, process: AppProcess, drain: timedelta) -> None:
    """Let the worker's runs end, or hand them over; a second signal cuts the wait short."""

    async def skip_drain() -> None:
        await process.skip_drain_requested.wait()
        log.warning(
            "asked twice to stop: live runs are handed over now", extra={"event": "drain.skipped"}
        )
        worker.skip_drain()

    skip_watch = asyncio.create_task(skip_drain(), name="hasten")
    try:
        await run_with_limit(
            "the worker", drain + _HANDOVER_LIMIT, lambda: worker.stop(drain=drain)
        )
    finally:
        skip_watch.cancel()


def _credentials(settings: Settings) -> SlackCredentials:
    credentials = slack_credentials(settings)
    problems = problems_of(credentials)
    if problems:
        raise BadSetting("Slack", " ".join(problems))
    for line in warnings_of(credentials, settings.slack.variable_names):
        log.warning("slack settings: %s", line, extra={"event": "slack_settings.questioned"})
    return credentials


async def _worker(
    backend: Backend, identity: WorkerIdentity, isolation: FoundIsolation | None
) -> WorkerRuntime:
    # The import takes half a second and memory; a process that only serves Slack avoids it.
    from bot.assembly.worker_runtime import new_worker_runtime  # noqa: PLC0415

    return await new_worker_runtime(backend, identity, found=isolation)


def _slack_service(
    backend: Backend,
    credentials: SlackCredentials,
    meter: SlackMeter,
    dashboard: DashboardLinks,
) -> SlackService:
    # As above: a process that only runs a worker avoids the import.
    from bot.slack.app import Services  # noqa: PLC0415
    from bot.slack.inbound.access import AccessPolicy  # noqa: PLC0415
    from bot.slack.service import SlackService  # noqa: PLC0415
    from bot.slack.timing import Timing  # noqa: PLC0415

    config = backend.settings.config
    return SlackService(
        credentials=credentials,
        services=Services(
            runs=backend.runs,
            restarts=backend.restarts,
            kills=backend.kills,
            stats=backend.stats,
            fleet=backend.fleet,
            workspaces=backend.workspaces,
            threads=backend.threads,
            drawables=backend.drawables,
            inbox=backend.intake,
            people=backend.people,
            alerts=backend.alerts,
            subscriptions=backend.subscriptions,
            digests=DigestService(backend.context),
            sessions=backend.sessions,
            dashboard=dashboard,
        ),
        needed_scopes=bot_scopes(),
        policy=AccessPolicy(
            roles=config.roles.by_role() if config.roles else None,
            allowed_channels=config.channels.allow,
        ),
        timing=Timing(clock=utc_now),
        meter=meter,
        on_identified=subscriptions_sync(backend),
    )


def _health(backend: Backend, slack: SlackService | None, worker: WorkerRuntime | None) -> Health:
    async def database() -> bool:
        try:
            async with asyncio.timeout(_CHECK_LIMIT.total_seconds()):
                with translate_errors():
                    async with backend.database.sessions() as session:
                        await session.execute(text("SELECT 1"))
        except (Unavailable, TimeoutError):
            return False
        return True

    async def slack_ready() -> bool:
        return slack is not None and slack.is_ready

    async def worker_ready() -> bool:
        return worker is not None and worker.is_ready

    def warnings() -> list[str]:
        return [line for part in (slack, worker) if part is not None for line in part.warnings()]

    health = Health({"database": database}, warnings)
    if slack is not None:
        health.checks["slack"] = slack_ready
    if worker is not None:
        health.checks["worker"] = worker_ready
    return health


def _web(
    backend: Backend, health: Health, slack: SlackService | None, metrics: web.RouteDef
) -> AbstractAsyncContextManager[str]:
    app = web.Application(client_max_size=1024 * 1024)
    app.add_routes([*health_routes(health), metrics])
    if slack is not None:
        # A process that only runs a worker serves neither API nor MCP, and does not load them.
        from bot.assembly.web.api import add_web  # noqa: PLC0415
        from bot.assembly.web.mcp import mcp_endpoint  # noqa: PLC0415

        add_web(app, backend, health, slack)
        endpoint = mcp_endpoint(backend, slack)
        app.add_routes(endpoint.routes())
        app.cleanup_ctx.append(endpoint.lifespan)
        if not slack.credentials.app_token:
            app.add_routes([slack.route()])
    return web_server(app, host=backend.settings.node.host, port=backend.settings.node.port)
