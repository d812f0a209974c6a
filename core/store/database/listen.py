"""Hearing of changes: LISTEN on a connection of its own, which comes back for ever.

A notification is a hint to look.  Whoever listens also gets a tick now and then, and one
after each time nothing could be heard: looking at everything then makes every loop right.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg

from core.store.database.connect import CONNECTION_ERRORS, make_connector
from core.waiting import Backoff, wait_for_any

log = logging.getLogger(__name__)

TICK = ("", "")

_BACKOFF = Backoff(first=timedelta(seconds=0.1), longest=timedelta(seconds=5))
# A listener that falls further behind is told to look at everything instead.
_MAX_QUEUED = 1000
_CLOSE_SECONDS = 2.0
_PROBE_SECONDS = 5.0


class ChangeListener:
    """An endless iterator of (channel, payload), or `TICK`.

    It needs no task of its own: it connects, and connects again, while it is waited for.
    """

    def __init__(self, dsn: str, channels: tuple[str, ...], poll: timedelta) -> None:
        self._connect = make_connector(dsn, name="signalbox-listen")
        self._channels = channels
        self._poll = poll.total_seconds()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._queue: deque[tuple[str, str]] = deque()
        self._queued: set[tuple[str, str]] = set()
        self._wake_up = asyncio.Event()
        self._pauses = _BACKOFF.pauses()
        self._tick_at: float | None = None

    def __aiter__(self) -> ChangeListener:
        return self

    async def __anext__(self) -> tuple[str, str]:
        """The next change, at the latest a tick when the poll is due."""
        loop = asyncio.get_running_loop()
        if self._tick_at is None:
            self._tick_at = loop.time() + self._poll
        while True:
            if self._queue:
                change = self._queue.popleft()
                self._queued.discard(change)
                return change
            remaining_seconds = self._tick_at - loop.time()
            if remaining_seconds <= 0:
                self._tick_at = loop.time() + self._poll
                await self._probe()
                return TICK
            if self._connection is None or self._connection.is_closed():
                await self._reconnect(max_wait_seconds=remaining_seconds)
                continue
            self._wake_up.clear()
            await wait_for_any(self._wake_up, seconds=remaining_seconds)

    async def close(self) -> None:
        """Hear no more."""
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        connection.remove_termination_listener(self._on_connection_lost)
        try:
            await connection.close(timeout=_CLOSE_SECONDS)
        except CONNECTION_ERRORS:
            connection.terminate()

    async def _reconnect(self, max_wait_seconds: float) -> None:
        """Connect if Postgres lets us, else wait a little; a new connection asks for a tick."""
        connection = None
        try:
            connection = await self._connect()
            for channel in self._channels:
                await connection.add_listener(channel, self._on_notification)
            connection.add_termination_listener(self._on_connection_lost)
        except CONNECTION_ERRORS as error:
            if connection is not None:
                connection.terminate()
            pause = next(self._pauses)
            log.warning("cannot listen, next try in %.1f s: %s", pause, error)
            await asyncio.sleep(min(pause, max_wait_seconds))
        except BaseException:
            if connection is not None:
                connection.terminate()
            raise
        else:
            self._connection = connection
            self._pauses = _BACKOFF.pauses()
            self._tick_at = 0.0

    async def _probe(self) -> None:
        """Ask the server for a sign of life: a connection can die without a word."""
        if self._connection is None or self._connection.is_closed():
            return
        try:
            await self._connection.fetchval("SELECT 1", timeout=_PROBE_SECONDS)
        except CONNECTION_ERRORS as error:
            log.warning("listening connection lost: %s", error)
            self._connection.terminate()

    def _on_notification(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        change = (channel, str(payload))
        if change in self._queued:
            return  # one look is enough for both
        if len(self._queue) >= _MAX_QUEUED:
            self._queue.clear()
            self._queued.clear()
            change = TICK
        self._queued.add(change)
        self._queue.append(change)
        self._wake_up.set()

    def _on_connection_lost(self, _connection: Any) -> None:
        self._wake_up.set()


@asynccontextmanager
async def listen(dsn: str, *channels: str, poll: timedelta) -> AsyncIterator[ChangeListener]:
    """Listen on these channels: (channel, payload) for each change, `TICK` in between.

    The first item is a tick, and so is the first after each (re)connection.
    """
    changes = ChangeListener(dsn, channels, poll)
    try:
        yield changes
    finally:
        await changes.close()
