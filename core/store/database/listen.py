"""Notifications of changes: LISTEN on a connection of its own, which reconnects forever.

A notification is only a hint that something has changed.  The consumer also gets a tick at
regular intervals and after each reconnection.  A consumer that then checks everything misses no
change, even if notifications were lost.
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
# If more changes than this are queued, a single tick replaces them.
_MAX_QUEUED = 1000
_CLOSE_SECONDS = 2.0
_PROBE_SECONDS = 5.0


class ChangeListener:
    """An endless iterator of changes: (channel, payload), or `TICK` to check everything.

    It needs no task: it connects, and reconnects, while a consumer waits for the next item.
    Equal changes that are queued at the same time are delivered once.
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
        """Wait for the next change, or for a tick when the poll interval has passed."""
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
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        connection.remove_termination_listener(self._on_connection_lost)
        try:
            await connection.close(timeout=_CLOSE_SECONDS)
        except CONNECTION_ERRORS:
            connection.terminate()

    async def _reconnect(self, max_wait_seconds: float) -> None:
        """Try to connect once; after a failure wait.  A new connection makes a tick due."""
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
            log.warning(
                "cannot listen, next try in %.1f s: %s",
                pause,
                error,
                extra={"event": "listener.connect_failed", "retry_seconds": pause},
            )
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
        """Check that the server still answers, and close the connection if not."""
        if self._connection is None or self._connection.is_closed():
            return
        try:
            await self._connection.fetchval("SELECT 1", timeout=_PROBE_SECONDS)
        except CONNECTION_ERRORS as error:
            log.warning("listening connection lost: %s", error, extra={"event": "listener.lost"})
            self._connection.terminate()

    def _on_notification(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        change = (channel, str(payload))
        if change in self._queued:
            return
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
    """Listen on channels; yields an iterator of (channel, payload), with `TICK` in between.

    The first item after each connection is a tick.

    Args:
        dsn: The database.
        channels: The channels of NOTIFY.
        poll: The interval of the ticks.
    """
    changes = ChangeListener(dsn, channels, poll)
    try:
        yield changes
    finally:
        await changes.close()
