"""One process of Signalbox: its parts started, watched, and stopped in order."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aiohttp import web

from bot.assembly.settings import BadSetting

log = logging.getLogger(__name__)

_END_LIMIT = timedelta(seconds=3)


class PartFailed(Exception):
    """A part of the process ended by itself; the process cannot go on without it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} ended by itself")


@dataclass
class Process:
    """The running parts of a process.

    Attributes:
        stopping: Set by a signal, or by who wants the end.
        hurrying: Set by a second signal: nothing is waited for that need not be.
    """

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    hurrying: asyncio.Event = field(default_factory=asyncio.Event)
    _parts: dict[asyncio.Task[Any], str] = field(default_factory=dict)
    _told: set[asyncio.Task[Any]] = field(default_factory=set)

    def start(self, name: str, part: Coroutine[Any, Any, None]) -> None:
        """Run a part until the process stops."""
        self._parts[asyncio.create_task(part, name=name)] = name

    async def until_stopped(self) -> None:
        """Wait for the wish to stop.

        Raises:
            PartFailed: If a part ended first.
        """
        wish = asyncio.create_task(self.stopping.wait(), name="wish to stop")
        try:
            done, _ = await asyncio.wait({wish, *self._parts}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            wish.cancel()
        for task in done - {wish}:
            self._told.add(task)
            raise PartFailed(self._parts[task]) from task.exception()

    async def end(self) -> None:
        """Cancel all parts and wait for them."""
        for task in self._parts:
            task.cancel()
        if self._parts:
            await asyncio.wait(set(self._parts), timeout=_END_LIMIT.total_seconds())
        for task, name in self._parts.items():
            if not task.done():
                log.error("%s does not end and is left", name)
                continue
            error = None if task.cancelled() else task.exception()
            if error is not None and task not in self._told:
                log.error("%s failed at the end: %s", name, error)


@asynccontextmanager
async def signals(process: Process) -> AsyncIterator[None]:
    """Set `stopping` at SIGTERM or SIGINT, and `hurrying` at the next one."""
    loop = asyncio.get_running_loop()

    def heard() -> None:
        wish = process.hurrying if process.stopping.is_set() else process.stopping
        wish.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def web_server(app: web.Application, *, host: str, port: int) -> AsyncIterator[str]:
    """Serve `app`; gives its URL, with the port the system chose for 0."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
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


async def bounded(name: str, limit: timedelta, act: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Do one thing of a shutdown, which goes on whether or not it works in time."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            await act()
    except TimeoutError:
        log.warning("%s took longer than %s s and was left", name, limit.total_seconds())
