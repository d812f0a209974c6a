"""The lifetime of a process: start its parts, watch them, and stop them in order."""

from __future__ import annotations

import asyncio
import logging
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.assembly.config.bad_setting import BadSetting
from bot.slack.setup import SlackSetupError
from bot.web.server import ApiRunner
from core.runner.worker.duplicate_node import CopiedHome

log = logging.getLogger(__name__)

_END_LIMIT = timedelta(seconds=3)


class PartFailed(Exception):
    """A part of the process ended without being stopped; the process cannot continue."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} ended unexpectedly")


@dataclass
class AppProcess:
    """The running parts of a process.

    Attributes:
        stop_requested: Set by a signal, or by code that ends the process.
        skip_drain_requested: Set by a second signal: the drain ends at once.
    """

    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)
    skip_drain_requested: asyncio.Event = field(default_factory=asyncio.Event)
    _parts: dict[asyncio.Task[Any], str] = field(default_factory=dict)
    _reported: set[asyncio.Task[Any]] = field(default_factory=set)

    def start(self, name: str, part: Coroutine[Any, Any, None]) -> None:
        """Run a part until the process stops."""
        self._parts[asyncio.create_task(part, name=name)] = name

    async def wait_until_stopped(self) -> None:
        """Wait until a stop is requested.

        Raises:
            PartFailed: If a part ended first.
        """
        stop_wait = asyncio.create_task(self.stop_requested.wait(), name="stop requested")
        try:
            done, _ = await asyncio.wait(
                {stop_wait, *self._parts}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stop_wait.cancel()
        for task in done - {stop_wait}:
            self._reported.add(task)
            raise PartFailed(self._parts[task]) from task.exception()

    async def end(self) -> None:
        """Cancel all parts and wait for them."""
        for task in self._parts:
            task.cancel()
        if self._parts:
            await asyncio.wait(set(self._parts), timeout=_END_LIMIT.total_seconds())
        for task, name in self._parts.items():
            if not task.done():
                log.error(
                    "%s does not end and is left",
                    name,
                    extra={"event": "part.stop_timed_out", "part": name},
                )
                continue
            error = None if task.cancelled() else task.exception()
            if error is not None and task not in self._reported:
                log.error(
                    "%s failed at the end: %s",
                    name,
                    error,
                    extra={"event": "part.failed", "part": name},
                )


@asynccontextmanager
async def handle_signals(process: AppProcess) -> AsyncIterator[None]:
    """Set `stop_requested` at SIGTERM or SIGINT, and `skip_drain_requested` at the next one."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        event = (
            process.skip_drain_requested
            if process.stop_requested.is_set()
            else process.stop_requested
        )
        event.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def web_server(app: web.Application, *, host: str, port: int) -> AsyncIterator[str]:
    """Serve `app`, and yield its base URL; for port 0 the system chooses a port."""
    runner = ApiRunner(
        app,
        access_log=None,
        shutdown_timeout=2,
        # Slack signs the bytes that it sends, and nobody else may make this process inflate any.
        auto_decompress=False,
    )
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise BadSetting(
                "SIGNALBOX_PORT", f"{host}:{port} cannot be listened on ({error.strerror})"
            ) from error
        address = runner.addresses[0]
        yield f"http://{address[0]}:{address[1]}"


async def run_with_limit(
    name: str, limit: timedelta, action: Callable[[], Coroutine[Any, Any, Any]]
) -> None:
    """Run one step of a shutdown; after `limit` it is cancelled and the shutdown continues."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            await action()
    except TimeoutError:
        seconds = limit.total_seconds()
        log.warning(
            "%s took longer than %s s and was left",
            name,
            seconds,
            extra={"event": "shutdown_step.timed_out", "step": name, "limit_seconds": seconds},
        )


async def wait_until_stopped(process: AppProcess) -> None:
    """Wait until a stop of the process is requested.

    Raises:
        BadSetting: If the settings of Slack ended it.
        CopiedHome: If another worker uses a copy of its home.
        PartFailed: If a part ended for another reason.
    """
    try:
        await process.wait_until_stopped()
    except PartFailed as error:
        if isinstance(error.__cause__, SlackSetupError):
            raise BadSetting("Slack", " ".join(error.__cause__.lines)) from error
        if isinstance(error.__cause__, CopiedHome):
            raise error.__cause__ from None
        raise


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Put all temporary files of this process, also those of libraries, into `folder`.

    The agent's library copies transcripts there.  A worker that was killed leaves them behind,
    and the next worker recognises them as leftovers by the folder's name.
    """
    previous, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = previous
