"""`signalbox doctor`: checks of the installation, and how to fix what is wrong."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import aiohttp
import typer
from aiohttp import web
from sqlalchemy import text

from bot.assembly.backend import (
    definition_warnings,
    open_dsn,
    postgres_folder,
    slack_credentials,
)
from bot.assembly.serve import web_server
from bot.assembly.settings import Settings
from bot.cli.abilities import abilities_line
from bot.cli.advice import error_line
from bot.cli.agent_checks import check_agent_environment, check_isolation, check_servers
from bot.cli.check_result import (
    EVERY_PART,
    NO_PART,
    SLACK_PARTS,
    CheckResult,
    CheckStatus,
    Part,
    failed,
    passed,
    verdict,
    warned,
)
from bot.cli.data_checks import data_results
from bot.cli.disk_checks import check_disk, workspace_results
from bot.slack.doctor import check_workspace
from bot.slack.manifest import bot_scopes
from bot.slack.setup import warnings_of
from core.agent.definitions.catalog import load_catalog
from core.agent.version import program_version
from core.domain.errors import OpsError
from core.private_files import ForeignDirectory, excess_permissions
from core.process_protection import is_protected
from core.store.database.embedded import password as embedded_password
from core.store.database.engine import DatabaseUnavailable, open_database, translate_errors
from core.store.database.pooler import STARTUP_PARAMETERS, SessionLoss, find_session_loss
from core.store.database.schema import SchemaState, SchemaTooNew, schema_state
from core.workspace.settings import git_environment

MIN_POSTGRES = 15
# The first with `http.curloptResolve`.
MIN_GIT = (2, 37)
MAX_CLOCK_SKEW = timedelta(seconds=5)
_GIT_LIMIT_SECONDS = 10
_HTTP_LIMIT_SECONDS = 5


async def run_doctor(settings: Settings, *, echo: Callable[[str], None] = typer.echo) -> int:
    """Run all checks, print one line each, and return the exit status: 1 if something is wrong."""
    results: list[CheckResult] = []
    for checks in (
        _variables(settings),
        _definitions(settings),
        _programs(),
        check_isolation(settings),
        _repositories(settings),
        check_disk(settings),
        _privacy(settings),
        _database(settings),
        check_agent_environment(settings),
        _web(settings),
        check_servers(settings),
        _slack(settings),
    ):
        async for result in checks:
            echo(result.line)
            results.append(result)
    echo(verdict(results))
    return 1 if any(result.status is CheckStatus.FAILED for result in results) else 0


async def _variables(settings: Settings) -> AsyncIterator[CheckResult]:
    for line in settings.unknown_variables:
        yield warned(line)


async def _definitions(settings: Settings) -> AsyncIterator[CheckResult]:
    try:
        catalog = await asyncio.to_thread(load_catalog, settings.node.workflows)
        warnings = definition_warnings(settings, catalog)
    except OpsError as error:
        yield failed(error_line(error), stops=EVERY_PART)
        return
    yield passed(f"{len(catalog.all)} workflow definitions")
    yield passed(f"workflows that {abilities_line(catalog.all)}")
    for warning in warnings:
        yield warned(f"{warning}.")


async def _programs() -> AsyncIterator[CheckResult]:
    version = await asyncio.to_thread(program_version)
    if version is None:
        yield failed(
            "The claude program does not run. Install claude-agent-sdk again.", spoils_runs=True
        )
    else:
        yield passed(f"claude {version}")
    git = shutil.which("git")
    if git is None:
        yield failed("git is not installed: install it.", spoils_runs=True)
        return
    found = await asyncio.to_thread(
        subprocess.run,
        [git, "--version"],
        capture_output=True,
        text=True,
        timeout=_GIT_LIMIT_SECONDS,
        check=False,
        env=git_environment(),
    )
    yield _git(found.stdout.strip())


def _git(named: str) -> CheckResult:
    version = tuple(int(part) for part in re.findall(r"\d+", named)[:2])
    if version < MIN_GIT:
        needed = ".".join(map(str, MIN_GIT))
        return warned(
            f"{named}: before {needed} git cannot be held to the addresses that were checked "
            "before a clone."
        )
    return passed(named)


async def _repositories(settings: Settings) -> AsyncIterator[CheckResult]:
    policy = settings.config.repositories.policy
    yield passed(f"repositories that may be cloned: {policy.summary}")
    for folder in settings.config.repositories.local:
        if not await asyncio.to_thread(folder.is_dir):
            yield warned(f"the folder {folder} of [repositories] is not on this machine.")


async def _privacy(settings: Settings) -> AsyncIterator[CheckResult]:
    home = settings.node.home
    if not home.is_dir():
        return  # The line about the disk says why.
    owner = home.stat().st_uid
    if os.geteuid() not in (owner, 0):
        yield failed(error_line(ForeignDirectory(home, owner)), stops=EVERY_PART)
    elif excess_permissions(home):
        yield warned(
            f"{home} is open to other users: the next start makes it private, or `chmod 700` now."
        )
    else:
        yield passed(f"{home} is private")
    if settings.database.url is None and embedded_password.is_exposed(postgres_folder(settings)):
        yield warned(
            "other users could read the password of the embedded Postgres: the next start replaces "
            "it."
        )
    if sys.platform == "linux" and not is_protected():
        yield warned("other programs of this user can read this process and its secrets.")


async def _database(settings: Settings) -> AsyncIterator[CheckResult]:
    kind = "DATABASE_URL" if settings.database.url else "embedded Postgres"
    try:
        async with open_dsn(settings) as dsn, open_database(dsn, pool_size=1) as database:
            loss = await find_session_loss(database.dsn)
            yield _sessions(kind, loss)
            if loss is not None:
                return  # The other answers would be unreliable too.
            with translate_errors():
                async with database.sessions.begin() as session:
                    version = int(
                        await session.scalar(text("SELECT current_setting('server_version_num')"))
                        or 0
                    )
                    now = await session.scalar(text("SELECT clock_timestamp()"))
                schema = await schema_state(database)
                held: list[CheckResult] = []
                if schema is SchemaState.CURRENT:
                    held = await workspace_results(database, settings)
                    held += await data_results(database)
    except DatabaseUnavailable as error:
        yield failed(
            f"{kind} cannot be used: {error.detail}.{_hint(error.detail)}", stops=EVERY_PART
        )
        return
    except OpsError as error:
        yield failed(f"{kind}: {error_line(error)}", stops=EVERY_PART)
        return
    major = version // 10_000
    if major < MIN_POSTGRES:
        yield failed(
            f"{kind} is Postgres {major}; {MIN_POSTGRES} or newer is needed.", stops=EVERY_PART
        )
    else:
        yield passed(f"{kind}: Postgres {major}")
    yield _schema(schema)
    if isinstance(now, datetime) and abs(now - datetime.now(UTC)) > MAX_CLOCK_SKEW:
        yield failed("this machine's clock and the database's differ: set up NTP on both.")
    else:
        yield passed("the clock agrees with the database's")
    for result in held:
        yield result


def _schema(found: SchemaState) -> CheckResult:
    match found:
        case SchemaState.CURRENT:
            return passed("the schema is current")
        case SchemaState.BEHIND:
            return warned(
                "the schema is not up to date: run `signalbox migrate` (`up` does it "
                "automatically).",
                stops=EVERY_PART - {Part.UP},
            )
        case SchemaState.NEWER:
            return failed(error_line(SchemaTooNew()), stops=EVERY_PART)


def _sessions(kind: str, loss: SessionLoss | None) -> CheckResult:
    if loss is None:
        return passed("connections keep their sessions (LISTEN, locks)")
    return failed(
        f"{kind} does not keep sessions ({loss}): use a direct connection or a pooler in session "
        "mode.",
        stops=EVERY_PART,
    )


def _hint(why: str) -> str:
    if "unsupported startup parameter" not in why:
        return ""
    return f" For PgBouncer: ignore_startup_parameters = {', '.join(STARTUP_PARAMETERS)}"


async def _web(settings: Settings) -> AsyncIterator[CheckResult]:
    host, port = settings.node.host, settings.node.port
    place = f"SIGNALBOX_PORT: {host}:{port}"
    try:
        async with web_server(web.Application(), host=host, port=port):
            pass
    except OpsError as error:
        if await _is_served(f"http://{host}:{port}/healthz"):
            yield warned(f"{place} is served: a Signalbox runs here already.", stops=EVERY_PART)
        else:
            yield failed(error_line(error), stops=EVERY_PART)
        return
    yield passed(f"{place} is free" if port else "SIGNALBOX_PORT: any free port")


async def _is_served(url: str) -> bool:
    limit = aiohttp.ClientTimeout(total=_HTTP_LIMIT_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=limit) as http, http.get(url) as answer:
            return answer.status == HTTPStatus.OK
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _slack(settings: Settings) -> AsyncIterator[CheckResult]:
    credentials = slack_credentials(settings)
    if not (credentials.bot_token or credentials.app_token or credentials.signing_secret):
        yield warned("Slack is not checked: no Slack token is set.", stops=SLACK_PARTS)
        return
    for warning in warnings_of(credentials, settings.slack.variable_names):
        yield warned(warning)
    checks = check_workspace(
        credentials, needed_scopes=bot_scopes(), api_channel=settings.config.api.channel
    )
    async for check in checks:
        if check.is_ok:
            yield passed(check.message)
        elif check.is_unknown:
            yield warned(check.message)
        else:
            yield failed(check.message, stops=SLACK_PARTS if check.prevents_start else NO_PART)
