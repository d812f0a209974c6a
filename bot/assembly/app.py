"""Assembly: which parts a process has, and the order in which they start and end."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web
from sqlalchemy import text

from bot.assembly.patience import Patience
from bot.assembly.scheduler import Scheduler
from bot.assembly.serve import PartFailed, Process, bounded, signals, web_server
from bot.assembly.settings import BadSetting, Settings
from bot.assembly.workplace import Workplace, opened_workplace, slack_credentials, utc_now
from bot.slack.manifest import bot_scopes
from bot.slack.setup import SlackCredentials, SlackSetupError, problems_of, warnings_of
from bot.web.health import Health, health_routes
from core.domain.errors import Unavailable
from core.runner.worker.duplicate_node import CopiedHome
from core.runner.worker.identity import Identity, claimed_identity
from core.services.housekeeping import HousekeepingService
from core.store.database.engine import translating

if TYPE_CHECKING:
    from bot.slack.connection import SlackPart
    from core.runner.worker.node import Node

log = logging.getLogger(__name__)

# Parts of the 15 s that a shutdown may take.
_HEARING_LIMIT = timedelta(seconds=5)
# After the drain: the ladder of each run, its work saved, its row given back.
_HANDOVER_LIMIT = timedelta(seconds=9)
_DRAWING_LIMIT = timedelta(seconds=2)
_CHECK_LIMIT = timedelta(seconds=2)

# Between two looks while the parts start.
_LOOK_AGAIN = 0.05


@dataclass(frozen=True, kw_only=True)
class Running:
    """A process whose parts were started.

    Attributes:
        url: Of its web server.
    """

    url: str
    workplace: Workplace
    health: Health

    async def ready(self) -> None:
        """Return when every part works; the caller sets the limit."""
        while True:
            if all((await self.health.look()).values()):
                return
            # Health is asked, it does not tell.
            await asyncio.sleep(_LOOK_AGAIN)


Started = Callable[[Running], None]


def _log_start(running: Running) -> None:
    log.info("started; readiness at %s/readyz", running.url)


async def run_process(settings: Settings, *, hears: bool, works: bool, migrates: bool) -> None:
    """Run one process until a signal ends it.

    Args:
        settings: As read at the start.
        hears: Hear and answer Slack, and draw.
        works: Execute runs.
        migrates: Bring the schema up to date first.

    Raises:
        OpsError: If it cannot start; the message says what to mend.
    """
    process = Process()
    async with signals(process):
        await serve(settings, process, hears=hears, works=works, migrates=migrates)


async def serve(
    settings: Settings,
    process: Process,
    *,
    hears: bool,
    works: bool,
    migrates: bool,
    started: Started = _log_start,
) -> None:
    """Start the parts, wait for the wish to stop, and end them in order.

    The order of the end: take no more runs, let those in hand end or hand them over (until
    then they can be killed from here), hear no more of Slack, bring the threads up to date,
    close.
    """
    credentials = _credentials(settings) if hears else None
    async with AsyncExitStack() as stack:
        patience = Patience(timedelta(seconds=settings.database.wait_seconds), process.stopping)
        workplace = await stack.enter_async_context(
            opened_workplace(settings, migrates=migrates, patience=patience)
        )
        limits = settings.config.limits
        if hears and limits is not None:
            caps = limits.caps
            await patience.until_reachable(lambda: workplace.admission.cap(caps))
        slack = _slack_part(workplace, credentials) if credentials else None
        node: Node | None = None
        if works:
            identity = stack.enter_context(claimed_identity(settings.node.home))
            stack.enter_context(_temporary_files_in(identity.scratch.folder))
            node = _node(workplace, identity)
        health = _health(workplace, slack, node)
        url = await stack.enter_async_context(_web(settings, health, slack))
        stack.push_async_callback(process.end)
        if slack is not None:
            process.start("slack", slack.run())
            clock = Scheduler(HousekeepingService(workplace.work), workplace.admission)
            process.start("clock", clock.run())
        if node is not None:
            process.start("worker", node.run())
        started(Running(url=url, workplace=workplace, health=health))
        try:
            await process.until_stopped()
        except PartFailed as error:
            if isinstance(error.__cause__, SlackSetupError):
                raise BadSetting("Slack", " ".join(error.__cause__.lines)) from error
            if isinstance(error.__cause__, CopiedHome):
                raise error.__cause__ from None
            raise
        finally:
            log.info("stopping")
            if node is not None:
                await _wind_down(node, process, settings.config.worker.drain)
            if slack is not None:
                await bounded("hearing slack", _HEARING_LIMIT, slack.stop_hearing)
                await bounded("drawing", _DRAWING_LIMIT, slack.draw_rest)


async def _wind_down(node: Node, process: Process, drain: timedelta) -> None:
    """End the worker's runs, or hand them over; sooner if a second signal comes."""

    async def hasten() -> None:
        await process.hurrying.wait()
        log.warning("asked twice to stop: runs in hand are handed over now")
        node.hasten()

    hastening = asyncio.create_task(hasten(), name="hasten")
    try:
        await bounded("the worker", drain + _HANDOVER_LIMIT, lambda: node.stop(drain=drain))
    finally:
        hastening.cancel()


def _credentials(settings: Settings) -> SlackCredentials:
    credentials = slack_credentials(settings)
    problems = problems_of(credentials)
    if problems:
        raise BadSetting("Slack", " ".join(problems))
    for line in warnings_of(credentials, settings.slack.surroundings):
        log.warning("%s", line)
    return credentials


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Let the temporary files of this process bear its name, also those of its libraries.

    That of the agent copies transcripts there; a worker that was killed leaves them, and the
    next one knows by the name that they are nobody's.
    """
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _node(workplace: Workplace, identity: Identity) -> Node:
    # Its libraries take half a second and memory, which a process that only hears Slack is spared.
    from bot.assembly.node import new_node  # noqa: PLC0415

    return new_node(workplace, identity)


def _slack_part(workplace: Workplace, credentials: SlackCredentials) -> SlackPart:
    # As above, of a process that only works.
    from bot.slack.app import Services  # noqa: PLC0415
    from bot.slack.connection import SlackPart  # noqa: PLC0415

    config = workplace.settings.config
    return SlackPart(
        credentials=credentials,
        services=Services(
            runs=workplace.runs,
            kills=workplace.kills,
            stats=workplace.stats,
            fleet=workplace.fleet,
            threads=workplace.threads,
            inbox=workplace.intake,
            people=workplace.people,
        ),
        needed_scopes=bot_scopes(),
        roles=config.roles.by_role() if config.roles else None,
        allowed_channels=config.channels.allow,
        clock=utc_now,
    )


def _health(workplace: Workplace, slack: SlackPart | None, node: Node | None) -> Health:
    async def database() -> bool:
        try:
            async with asyncio.timeout(_CHECK_LIMIT.total_seconds()):
                with translating():
                    async with workplace.database.sessions() as session:
                        await session.execute(text("SELECT 1"))
        except (Unavailable, TimeoutError):
            return False
        return True

    async def hears() -> bool:
        return slack is not None and slack.is_ready

    async def works() -> bool:
        return node is not None and node.is_ready

    health = Health({"database": database})
    if slack is not None:
        health.checks["slack"] = hears
    if node is not None:
        health.checks["worker"] = works
    return health


def _web(
    settings: Settings, health: Health, slack: SlackPart | None
) -> AbstractAsyncContextManager[str]:
    app = web.Application(client_max_size=1024 * 1024)
    app.add_routes(health_routes(health))
    if slack is not None and not slack.credentials.app_token:
        app.add_routes([slack.route()])
    return web_server(app, host=settings.node.host, port=settings.node.port)
