"""Detection of a connection pooler that does not keep sessions.

A pooler in transaction mode gives each transaction any free connection to the server.  What
belongs to a session (LISTEN, advisory locks, prepared statements) is then lost or mixed up between
clients.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

import asyncpg

from core.domain.errors import OpsError
from core.store.database.connect import make_connector
from core.store.database.engine import translate_errors
from core.waiting import wait_for_any

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Connect: TypeAlias = Callable[[], Awaitable[Connection]]

# The startup parameters of `make_connector` that PgBouncer does not know.  In every mode it refuses
# connections with them, unless its `ignore_startup_parameters` lists them.
STARTUP_PARAMETERS = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_keepalives_count",
)
# Without a pooler it takes milliseconds.
NOTIFY_LIMIT = timedelta(seconds=2.5)
# For the whole check: a pooler without a second free connection would make it wait for minutes.
_LIMIT_SECONDS = 12.0
_CLOSE_SECONDS = 2.0


class SessionLoss(StrEnum):
    """What does not work because sessions are not kept; the values are texts for people."""

    LOCK = "a lock that one connection holds is given to another"
    NOTIFICATION = "a NOTIFY does not reach the connection that listens"
    STATEMENT = "prepared statements of several connections are mixed up"


class SessionRefused(OpsError):
    """Postgres refuses a statement of the check: it is a standby, or a permission is missing."""

    code = "session_refused"


async def find_session_loss(
    dsn: str, *, notify_limit: timedelta = NOTIFY_LIMIT
) -> SessionLoss | None:
    """Test with two connections whether sessions are kept; return what is lost, if anything.

    The test of a lock detects a pooler only if both clients get the same server connection.  The
    test of a notification nearly always detects it, but takes up to `notify_limit`.

    Raises:
        DatabaseUnavailable: If there is no connection, or no answer in time.
        SessionRefused: If Postgres refuses a statement.
    """
    connect = make_connector(dsn, name="signalbox-doctor")
    try:
        with translate_errors():
            async with (
                asyncio.timeout(_LIMIT_SECONDS),
                _open_connection(connect) as first,
                _open_connection(connect) as second,
            ):
                if not await _is_lock_exclusive(first, second):
                    return SessionLoss.LOCK
                if not await _is_notification_received(first, second, notify_limit):
                    return SessionLoss.NOTIFICATION
    except (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError):
        return SessionLoss.STATEMENT
    except asyncpg.PostgresError as error:
        raise SessionRefused(
            f"session refused: {error}",
            user_message=f"it refuses what every part of Signalbox needs ({error}).",
        ) from error
    return None


async def _is_lock_exclusive(first: Connection, second: Connection) -> bool:
    """Return whether the second connection cannot take a lock that the first one holds."""
    # A random key: if a pooler keeps the lock after the connection is closed, nobody needs it.
    key = secrets.randbits(62)
    await first.execute("SELECT pg_advisory_lock($1)", key)
    return not await second.fetchval("SELECT pg_try_advisory_lock($1)", key)


async def _is_notification_received(
    first: Connection, second: Connection, limit: timedelta
) -> bool:
    """Return whether a notification of the second connection reaches the listening first one."""
    received = asyncio.Event()
    channel = f"signalbox_doctor_{secrets.token_hex(8)}"
    await first.add_listener(channel, lambda *_: received.set())
    await second.execute("SELECT pg_notify($1, '')", channel)
    return await wait_for_any(received, seconds=limit.total_seconds())


@asynccontextmanager
async def _open_connection(connect: Connect) -> AsyncIterator[Connection]:
    connection = await connect()
    try:
        yield connection
    finally:
        try:
            await connection.close(timeout=_CLOSE_SECONDS)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()
