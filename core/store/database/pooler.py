"""Whether a connection keeps its session, or something before Postgres lends it out.

A pooler in transaction mode gives each transaction whichever connection to the server is free.
What belongs to a session is then lost, or somebody else's: LISTEN, advisory locks, prepared
statements.
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

# What our connections ask for at their start and PgBouncer does not know: it refuses them, in
# every mode, unless it is told to ignore these.
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
# All of it; a pooler that has no second connection to give lets us wait for minutes.
_LIMIT_SECONDS = 12.0
_CLOSE_SECONDS = 2.0


class SessionLoss(StrEnum):
    """What a session loses."""

    LOCK = "a lock that one connection holds is given to another"
    NOTIFICATION = "a NOTIFY does not reach the connection that listens"
    STATEMENT = "prepared statements of several connections are mixed up"


class SessionRefused(OpsError):
    """Postgres refuses what Signalbox needs of a connection: a standby, a right that is missing."""


async def find_session_loss(
    dsn: str, *, notify_limit: timedelta = NOTIFY_LIMIT
) -> SessionLoss | None:
    """Try with two connections what sessions are needed for; what is lost, if anything is.

    A lock shows it if both happen to be lent the same connection; a notification nearly always
    does, but that takes its time.

    Raises:
        DatabaseUnavailable: If there is no connection, or no answer in time.
        NotAllowed: If it is refused.
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
    """Whether a lock of the first connection is refused to the second."""
    # Nobody else's: it is let go with the connection, and a pooler that keeps it harms nobody.
    key = secrets.randbits(62)
    await first.execute("SELECT pg_advisory_lock($1)", key)
    return not await second.fetchval("SELECT pg_try_advisory_lock($1)", key)


async def _is_notification_received(
    first: Connection, second: Connection, limit: timedelta
) -> bool:
    """Whether the first connection, which listens, hears what the second says."""
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
