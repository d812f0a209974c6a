"""What the benchmarks of the API measure: a real `signalbox bot`, and a bare handler."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psutil
from sqlalchemy import text

from benchmarks.environment import (
    free_port,
    run_module,
    signalbox_process,
    wait_until_ready,
)
from benchmarks.seed.plans import USER, uuid_hex
from bot.sandbox.slack.server import open_sandbox
from core.domain.actor import SYSTEM, Role
from core.domain.token import NewToken
from core.services.context import ServiceContext
from core.services.tokens import TokenService
from core.store.database.engine import open_database


@dataclass(frozen=True, kw_only=True)
class Console:
    """A process that answers.

    Attributes:
        token: Of a viewer; empty if it needs none.
    """

    url: str
    process: psutil.Process
    token: str = ""

    def cpu_seconds(self) -> float:
        """The CPU seconds that the process has used."""
        times = self.process.cpu_times()
        return times.user + times.system


@asynccontextmanager
async def open_console(dsn: str, folder: Path, *, has_cache: bool = True) -> AsyncIterator[Console]:
    """Run `signalbox bot` on a database until the block ends.

    Args:
        dsn: A database at the newest revision.
        folder: An empty one, for its home and its log.
        has_cache: Whether it may keep what it answered about ended runs.
    """
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(open_sandbox())
        config = folder / "signalbox.toml"
        config.write_text(f"[status]\ncache = {str(has_cache).lower()}\n")
        port = free_port()
        process = await stack.enter_async_context(
            signalbox_process(
                folder,
                "bot",
                {
                    "DATABASE_URL": dsn,
                    "SIGNALBOX_HOME": str(folder / "home"),
                    "SIGNALBOX_CONFIG": str(config),
                    "SIGNALBOX_PORT": str(port),
                    "SLACK_BOT_TOKEN": sandbox.bot_token,
                    "SLACK_APP_TOKEN": sandbox.app_token,
                    "SLACK_API_URL": sandbox.api_url,
                },
            )
        )
        url = f"http://127.0.0.1:{port}"
        await wait_until_ready(f"{url}/readyz", process)
        yield Console(url=url, token=await _token(dsn), process=psutil.Process(process.pid))


async def _token(dsn: str) -> str:
    """A token that owns the runs of a seeded user."""
    async with open_database(dsn, pool_size=1) as database:
        tokens = TokenService(ServiceContext(database, lambda: datetime.now(UTC)))
        name = f"bench-{datetime.now(UTC):%H%M%S%f}"
        token, secret = await tokens.create(NewToken(name=name, role=Role.VIEWER), by=SYSTEM)
        async with database.sessions.begin() as session:
            await session.execute(
                text("UPDATE api_tokens SET user_id = :owner WHERE id = :id"),
                {"owner": UUID(uuid_hex(1, USER, 0)), "id": token.id},
            )
        return secret


@asynccontextmanager
async def open_bare_handler(dsn: str) -> AsyncIterator[Console]:
    """Run the bare handler on a database until the block ends."""
    async with run_module("benchmarks.api.bare_handler", dsn) as line:
        number, _, url = line.partition(" ")
        yield Console(url=url, process=psutil.Process(int(number)))
