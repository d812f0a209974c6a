"""Leadership: an advisory lock that one process at a time holds, on a connection of its own.

A leader that dies loses its connection, and with it the lock.  A leader that is frozen (SIGSTOP,
a paused machine) keeps both without working.  A waiting process notices that the leader's probes
have stopped, and terminates its connection.  When the frozen process continues, the age of its
last probe tells it at once that it may not lead any more (`is_exclusive`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg

from core.store.database.connect import CONNECTION_ERRORS, make_connector
from core.waiting import Backoff, retry

log = logging.getLogger(__name__)

_BACKOFF = Backoff(first=timedelta(seconds=0.1), longest=timedelta(seconds=5))
# How soon a leader notices that the server no longer answers.
_PROBE_SECONDS = 2.0
# A waiting process waits for the lock in rounds of this length, on the server.  Between rounds it
# checks whether the leader is alive; that the round ends also shows that the server is.  The limit
# is for a round that does not end.
_LOCK_ROUND_SECONDS = 5.0
_LOCK_ROUND_LIMIT_SECONDS = 15.0
# A leader without a successful probe for 10 s no longer acts as the leader; without one for 15 s
# it counts as frozen.
_EXCLUSIVE_SECONDS = 10.0
FROZEN_AFTER = timedelta(seconds=15)
_CLOSE_SECONDS = 2.0

# Terminates the holder of the lock if its last probe is too old.  A probe is a statement, and the
# server knows when a connection's last statement began or ended.
_TERMINATE_FROZEN_HOLDERS = """
    SELECT activity.pid, pg_terminate_backend(activity.pid) AS ended
    FROM pg_locks AS held JOIN pg_stat_activity AS activity ON activity.pid = held.pid
    WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
        AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND held.classid = $1::bigint >> 32 AND held.objid = $1::bigint & 4294967295
        AND activity.pid <> pg_backend_pid()
        AND activity.state_change < clock_timestamp() - $2::interval
"""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Connect: TypeAlias = Callable[[], Awaitable[Connection]]


@dataclass(frozen=True)
class Leadership:
    """Leadership that has been gained.

    Attributes:
        lost: Set when the leadership has ended.  Another process may lead then, so the work of a
            leader must stop.
    """

    lost: asyncio.Event = field(default_factory=asyncio.Event)
    _probed_at: list[float] = field(default_factory=lambda: [time.monotonic()])

    @property
    def is_exclusive(self) -> bool:
        """Whether it is certain that no other process leads.

        It is false directly after a freeze, when `lost` is not set yet.
        """
        age = time.monotonic() - self._probed_at[0]
        return not self.lost.is_set() and age < _EXCLUSIVE_SECONDS

    def record_probe(self, at: float) -> None:
        """Record that a probe which began at `at` (monotonic seconds) has succeeded."""
        self._probed_at[0] = at


@asynccontextmanager
async def leadership(
    dsn: str, key: int, *, frozen_after: timedelta = FROZEN_AFTER, connect: Connect | None = None
) -> AsyncIterator[Leadership]:
    """Wait to become the leader for `key`, through outages of Postgres, and lead in the block.

    Args:
        dsn: The database.
        key: The key of the advisory lock (see `AdvisoryLock`); not negative.
        frozen_after: A leader without a probe for this long is deposed.
        connect: Opens a connection in which statements may wait for ever; `None` is the driver's.
    """
    # The lock is waited for without a limit of the server's; ours is in `_wait_for_lock`.
    connect = connect or make_connector(dsn, statement_timeout=None, name="signalbox-leadership")
    connection = await _acquire(connect, key, frozen_after)
    leader = Leadership()

    def lost(_: Any) -> None:
        leader.lost.set()

    connection.add_termination_listener(lost)
    if connection.is_closed():
        leader.lost.set()
    # No task group: it would wrap exceptions of the caller's block in an exception group.
    watch = asyncio.create_task(_watch(connection, leader), name=f"leadership-{key:x}")
    try:
        yield leader
    finally:
        leader.lost.set()
        connection.remove_termination_listener(lost)
        watch.cancel()
        await asyncio.wait([watch])
        await _close(connection)


async def _acquire(connect: Connect, key: int, frozen_after: timedelta) -> Connection:

    async def acquire_once() -> Connection:
        connection = await connect()
        await _wait_for_lock(connection, key, frozen_after)
        return connection

    def log_failure(error: Exception, pause: float) -> None:
        log.warning(
            "cannot wait to lead, next try in %.1f s: %s",
            pause,
            error,
            extra={"event": "leadership.wait_failed", "retry_seconds": pause},
        )

    # These errors include TimeoutError, an OSError, for a server that no longer answers.
    return await retry(acquire_once, on=CONNECTION_ERRORS, backoff=_BACKOFF, on_failure=log_failure)


async def _wait_for_lock(connection: Connection, key: int, frozen_after: timedelta) -> None:
    """Wait for the lock in rounds, and depose a frozen holder between them."""
    round_seconds = min(_LOCK_ROUND_SECONDS, frozen_after.total_seconds())
    try:
        await connection.execute(f"SET lock_timeout = {round(round_seconds * 1000)}")
        while True:
            try:
                await connection.execute(
                    f"SELECT pg_advisory_lock({int(key)})", timeout=_LOCK_ROUND_LIMIT_SECONDS
                )
            except asyncpg.LockNotAvailableError:
                for holder in await connection.fetch(
                    _TERMINATE_FROZEN_HOLDERS, key, frozen_after, timeout=_LOCK_ROUND_LIMIT_SECONDS
                ):
                    log.warning(
                        "the leader (backend %s) is frozen; deposed",
                        holder["pid"],
                        extra={
                            "event": "leader.deposed",
                            "key": key,
                            "backend_pid": holder["pid"],
                        },
                    )
            else:
                return
    except BaseException:
        connection.terminate()
        raise


async def _watch(connection: Connection, leader: Leadership) -> None:
    while not leader.lost.is_set():
        await asyncio.sleep(_PROBE_SECONDS)
        try:
            began = time.monotonic()
            await _probe(connection)
            leader.record_probe(began)
        except CONNECTION_ERRORS as error:
            log.warning("leadership lost: %r", error, extra={"event": "leadership.lost"})
            leader.lost.set()


async def _probe(connection: Connection) -> None:
    """Run a trivial statement to check the connection.

    The query runs in a task that is abandoned after the limit.  asyncpg's own timeout cannot be
    used: it waits for the server to confirm the cancellation, which never happens on a connection
    that the server closed while this process was frozen.

    Raises:
        TimeoutError: If there is no answer in time; the connection is then closed.
    """
    probe_query = asyncio.create_task(connection.fetchval("SELECT 1"), name="probe")
    done, _ = await asyncio.wait({probe_query}, timeout=_PROBE_SECONDS)
    if not done:
        probe_query.add_done_callback(_discard_exception)
        connection.terminate()
        probe_query.cancel()
        raise TimeoutError("no answer to a probe")
    probe_query.result()


def _discard_exception(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # Otherwise asyncio warns that nobody retrieved it.


async def _close(connection: Connection) -> None:
    try:
        await connection.close(timeout=_CLOSE_SECONDS)
    except CONNECTION_ERRORS:
        connection.terminate()
