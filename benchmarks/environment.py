"""The environment of the benchmarks: a real `signalbox up` and everything it needs.

Signalbox, the model and Postgres are separate processes, as in production; the Slack
sandbox runs in the benchmark's process, which does nothing else while it measures.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
from sqlalchemy import text

from bot.sandbox.model.server import API_KEY
from bot.sandbox.slack.people import BUILDS
from bot.sandbox.slack.server import Sandbox, open_sandbox
from core.agent.process.isolation_probe import find_isolation
from core.domain.isolation import IsolationMode, IsolationStatus
from core.domain.kills.termination import Termination
from core.domain.runs.run import LIVE_STATUSES, Run
from core.store import terminations
from core.store.database.embedded.server import embedded_postgres
from core.store.database.engine import Database, open_database
from core.store.database.migrate import upgrade
from core.store.runs import run_queries
from core.store.tables.base import quoted

READY_LIMIT = 60
STOP_LIMIT = 30
_POLL_SECONDS = 0.2
# Variables that a program needs; nothing about the caller's Slack, model or database.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "IS_SANDBOX")
_NEXT_RUN = "SELECT run_id FROM workflow_runs ORDER BY created_at, run_id OFFSET $1 LIMIT 1"
_HAS_ENDED = f"""
    SELECT status NOT IN ({quoted(LIVE_STATUSES)}) FROM workflow_runs WHERE run_id = $1
"""


@dataclass(frozen=True, kw_only=True)
class BenchEnvironment:
    """A running Signalbox and the services around it.

    Attributes:
        url: The base URL of Signalbox's web server.
        folder: For files of a benchmark; removed at the end.
        database: The rows, over the benchmark's own connection.
        signalbox: The process of `signalbox up`, `signalbox bot` or `signalbox worker`.
        is_isolated: Whether it must run its agents in namespaces of their own.
    """

    url: str
    folder: Path
    model_url: str
    sandbox: Sandbox
    database: Database
    signalbox: psutil.Process
    is_isolated: bool

    async def command(self, words: str) -> float:
        """Type `/workflow …` in #builds; returns the milliseconds until the acknowledgement."""
        result = await self.sandbox.human.slash(BUILDS, "/workflow", words)
        if not result.ok:
            raise RuntimeError(f"/workflow {words[:60]}: {result.error}")
        return result.ack_ms

    async def wait_until_started(self, after: int) -> Run:
        """Wait for the next run after the first `after` runs."""
        async with asyncio.timeout(READY_LIMIT):
            while True:
                # One row, without a transaction: what is polled must not be what is measured.
                row = await self.database.reads.fetch_row(_NEXT_RUN, after)
                if row is not None:
                    return await self.read_run(row[0])
                await asyncio.sleep(_POLL_SECONDS / 4)

    async def runs(self) -> list[Run]:
        """All runs, oldest first."""
        async with self.database.sessions() as session:
            ids = await session.scalars(
                text("SELECT run_id FROM workflow_runs ORDER BY created_at, run_id")
            )
            return [await run_queries.get(session, run_id) for run_id in ids]

    async def count(self, condition: str = "true") -> int:
        """Number of runs whose row meets a condition."""
        async with self.database.sessions() as session:
            found = await session.scalar(
                text(f"SELECT count(*) FROM workflow_runs WHERE {condition}")
            )
        return int(found or 0)

    async def wait_until(self, condition: str, wanted: int) -> None:
        """Wait until this many runs meet a condition; the caller sets the time limit."""
        while True:
            if await self.count(condition) >= wanted:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def read_run(self, run_id: str) -> Run:
        """The run's present row."""
        async with self.database.sessions() as session:
            return await run_queries.get(session, run_id)

    async def wait_until_ended(
        self, run_id: str, *, within: float = 300, poll_seconds: float = _POLL_SECONDS
    ) -> Run:
        """Wait for the end of a run; its row has the exact time of the end.

        Args:
            run_id: The run.
            within: Time limit in seconds.
            poll_seconds: Seconds between polls, each of which reads one value.
        """
        async with asyncio.timeout(within):
            while True:
                row = await self.database.reads.fetch_row(_HAS_ENDED, run_id)
                if row is not None and row[0]:
                    return await self.read_run(run_id)
                await asyncio.sleep(poll_seconds)

    async def termination(self, run: Run) -> Termination | None:
        """The latest termination of a run."""
        async with self.database.sessions() as session:
            return await terminations.latest_of_run(session, run.id)

    def cpu_seconds(self) -> float:
        """CPU seconds used by Signalbox and its ended children, without isolated agents."""
        times = self.signalbox.cpu_times()
        return times.user + times.system + times.children_user + times.children_system


@asynccontextmanager
async def open_bench(
    *,
    slots: int = 4,
    command: str = "up",
    postgres: Mapping[str, str] | None = None,
    isolation: IsolationMode = IsolationMode.AUTO,
    settings: str = "",
) -> AsyncIterator[BenchEnvironment]:
    """Start everything and wait until `/readyz` reports it ready.

    Args:
        slots: Number of concurrent runs.
        command: `up`, `bot` or `worker`.
        postgres: Settings of the database server.
        isolation: Whether agents run in namespaces of their own.
        settings: Further tables of `signalbox.toml`.
    """
    async with AsyncExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="signalbox-bench-", ignore_cleanup_errors=True)
            )
        )
        model_url = await stack.enter_async_context(run_module("benchmarks.scripted_model"))
        sandbox = await stack.enter_async_context(open_sandbox())
        dsn = await stack.enter_async_context(
            embedded_postgres(folder / "postgres", settings=dict(postgres or {}))
        )
        await asyncio.to_thread(upgrade, dsn)
        config = folder / "signalbox.toml"
        config.write_text(f'[agent]\nisolation = "{isolation}"\n{settings}')
        port = free_port()
        process = await stack.enter_async_context(
            signalbox_process(
                folder,
                command,
                {
                    "DATABASE_URL": dsn,
                    "SIGNALBOX_HOME": str(folder / "home"),
                    "SIGNALBOX_CONFIG": str(config),
                    "SIGNALBOX_PORT": str(port),
                    "SIGNALBOX_WORKER_SLOTS": str(slots),
                    "SLACK_BOT_TOKEN": sandbox.bot_token,
                    "SLACK_APP_TOKEN": sandbox.app_token,
                    "SLACK_API_URL": sandbox.api_url,
                    "ANTHROPIC_API_KEY": API_KEY,
                    "ANTHROPIC_BASE_URL": model_url,
                },
            )
        )
        await wait_until_ready(f"http://127.0.0.1:{port}/readyz", process)
        database = await stack.enter_async_context(open_database(dsn, pool_size=2))
        yield BenchEnvironment(
            url=f"http://127.0.0.1:{port}",
            folder=folder,
            model_url=model_url,
            sandbox=sandbox,
            database=database,
            signalbox=psutil.Process(process.pid),
            is_isolated=isolation is IsolationMode.REQUIRED,
        )


def isolation_status() -> IsolationStatus:
    """What this machine offers to keep agents apart."""
    with tempfile.TemporaryDirectory() as folder:
        found = find_isolation(
            IsolationMode.AUTO,
            home=Path(folder),
            real_homes=(Path.home(),),
            search_path=os.environ["PATH"],
        )
    return found.status


@asynccontextmanager
async def run_module(module: str, *arguments: str) -> AsyncIterator[str]:
    """Run a module of this project as a process until the block ends; yields its first line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )
    try:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the child has no pipes for its input and output")
        async with asyncio.timeout(READY_LIMIT):
            first = (await process.stdout.readline()).decode().strip()
        if not first:
            raise RuntimeError(f"{module} ended at its start")
        yield first
        process.stdin.close()
        async with asyncio.timeout(STOP_LIMIT):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def clean_environment() -> dict[str, str]:
    """This machine's environment variables without any credentials."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


@asynccontextmanager
async def signalbox_process(
    folder: Path, command: str, settings: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `signalbox …` until the block ends; what it logs is shown if the block fails."""
    with (folder / "signalbox.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot",
            command,
            stdout=log,
            stderr=log,
            env=clean_environment() | dict(settings),
        )
    try:
        yield process
    except BaseException:
        print((folder / "signalbox.log").read_text(errors="replace")[-4000:], file=sys.stderr)
        raise
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_LIMIT):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def wait_until_ready(url: str, process: asyncio.subprocess.Process) -> None:
    """Wait until this address answers with 200.

    Raises:
        RuntimeError: If the process ends first.
    """
    async with asyncio.timeout(READY_LIMIT), aiohttp.ClientSession() as http:
        while process.returncode is None:
            try:
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(_POLL_SECONDS)
    raise RuntimeError(f"signalbox ended at its start with {process.returncode}")


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
