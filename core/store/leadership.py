"""Being the one: an advisory lock, held on a connection of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import asyncpg

from core.store.connect import connector

log = logging.getLogger(__name__)

_FIRST_DELAY = 0.1
_LAST_DELAY = 5.0
# How soon a leader notices that the server is gone without a word; and how often one that
# waits makes sure that it still waits at a server.
_PROBE_SECONDS = 2.0
_WAIT_SECONDS = 30.0
_CLOSE_SECONDS = 2.0

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True)
class Leadership:
    """Held until `lost` is set: then another may lead, and what leaders do must stop."""

    lost: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def leadership(dsn: str, key: int) -> AsyncIterator[Leadership]:
    """Wait to be the one holder of `key`; outages of Postgres are waited out."""
    connection = await _acquire(dsn, key)
    leader = Leadership()

    def lost(_: Any) -> None:
        leader.lost.set()

    connection.add_termination_listener(lost)
    if connection.is_closed():
        leader.lost.set()
    # Not a TaskGroup: that would wrap what the body raises.
    watch = asyncio.create_task(_watch(connection, leader), name=f"leadership-{key:x}")
    try:
        yield leader
    finally:
        leader.lost.set()
        connection.remove_termination_listener(lost)
        watch.cancel()
        await asyncio.wait([watch])
        await _close(connection)


async def _acquire(dsn: str, key: int) -> Connection:
    # The lock is waited for without a limit of the server's; ours is below.
    connect = connector(dsn, statement_timeout=None, name="signalbox-leadership")
    delay = _FIRST_DELAY
    while True:
        try:
            connection = await connect()
            if await _locked(connection, key):
                return connection
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("cannot wait to lead, next try in %.1f s: %s", delay, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LAST_DELAY)


async def _locked(connection: Connection, key: int) -> bool:
    """Wait for the lock; `False` if another still holds it after a while.

    The connection is given up then, since its server may be gone without a word.
    """
    try:
        await connection.execute(f"SELECT pg_advisory_lock({int(key)})", timeout=_WAIT_SECONDS)
    except TimeoutError:
        connection.terminate()
        return False
    except BaseException:
        connection.terminate()
        raise
    return True


async def _watch(connection: Connection, leader: Leadership) -> None:
    while not leader.lost.is_set():
        await asyncio.sleep(_PROBE_SECONDS)
        try:
            await connection.fetchval("SELECT 1", timeout=_PROBE_SECONDS)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("leadership lost: %s", error)
            leader.lost.set()


async def _close(connection: Connection) -> None:
    try:
        await connection.close(timeout=_CLOSE_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()
