"""The connection pool, its sessions, and the translation of database errors."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
from sqlalchemy import QueuePool, exc
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from core.domain.errors import BadRequest, OpsError, Unavailable
from core.domain.meter import NO_METER, Meter
from core.store.database.connect import STATEMENT_TIMEOUT, make_connector, normalise_dsn
from core.store.database.direct import DirectReads
from core.store.database.measuring import MeasuredSession, session_info
from core.store.database.pool_check import ping_before_use
from core.store.database.pool_use import CountingPool, PoolUse
from core.store.tables.types import to_json

log = logging.getLogger(__name__)

_POOL_TIMEOUT_SECONDS = 10
_RECYCLE_SECONDS = 1800
_CHECKIN_WAIT_SECONDS = 1.0
_POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Database:
    """An open database.

    Attributes:
        engine: The connection pool.
        sessions: Opens sessions and transactions on the pool.
        reads: Runs single statements on it, without a transaction.
        dsn: For connections outside the pool (LISTEN, advisory locks, the job engine).
    """

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    reads: DirectReads
    dsn: str

    @property
    def pool_use(self) -> PoolUse | None:
        """How much of the pool is in use; `None` if another kind of pool was put in its place."""
        pool = self.engine.pool
        return pool.use() if isinstance(pool, CountingPool) else None


@asynccontextmanager
async def open_database(
    dsn: str,
    *,
    pool_size: int = 10,
    statement_timeout: timedelta | None = STATEMENT_TIMEOUT,
    meter: Meter = NO_METER,
) -> AsyncIterator[Database]:
    """Open a connection pool for the block.

    It connects on first use, and reconnects after an outage.

    Args:
        dsn: The URL of the database, in any form that `normalise_dsn` accepts.
        pool_size: Connections that stay open; 5 more are opened under load.
        statement_timeout: The limit for one statement; `None` is no limit.
        meter: Hears of what the sessions have committed.

    Raises:
        BadDsn: If `dsn` is not the URL of a Postgres database.
    """
    dsn = normalise_dsn(dsn)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=make_connector(dsn, statement_timeout=statement_timeout),
        poolclass=CountingPool,
        pool_size=pool_size,
        max_overflow=5,
        pool_timeout=_POOL_TIMEOUT_SECONDS,
        pool_recycle=_RECYCLE_SECONDS,
        # The connection used last comes first, since it needs no check (see `pool_check`).
        pool_use_lifo=True,
        json_serializer=to_json,
        # Parameters contain texts of people, and error messages are logged.
        hide_parameters=True,
    )
    ping_before_use(engine.sync_engine)
    sessions = async_sessionmaker(
        engine,
        sync_session_class=MeasuredSession,
        info=session_info(meter),
        expire_on_commit=False,
        # Each statement overwrites loaded rows, so a compare-and-set returns the present values.
        execution_options={"populate_existing": True},
    )
    reads = DirectReads(engine)
    try:
        yield Database(engine=engine, sessions=sessions, reads=reads, dsn=dsn)
    finally:
        await reads.close()
        await _wait_for_checkins(engine)
        await engine.dispose()


async def _wait_for_checkins(engine: AsyncEngine) -> None:
    """Wait up to one second for connections in use, which would stay open otherwise.

    A task that is cancelled during a commit ends at once, but its connection returns to the pool
    only after the commit.
    """
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return
    deadline = time.monotonic() + _CHECKIN_WAIT_SECONDS
    # The pool offers no event to wait for.
    while pool.checkedout() and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(_POLL_SECONDS)


class DatabaseUnavailable(Unavailable):
    """Postgres cannot be reached, is too busy, or did not answer in time.

    Attributes:
        detail: The message of the server or the driver.
        is_refusal: Whether the server refused the login: a wrong password, a missing database.
    """

    code = "database_unavailable"

    def __init__(self, detail: str, *, sqlstate: str = "") -> None:
        self.detail = detail
        self.is_refusal = sqlstate.startswith(_REFUSED_CODES)
        super().__init__(
            f"database unavailable: {detail}",
            user_message="The database does not answer just now.",
        )


class Unstorable(BadRequest):
    """The database rejects a value: it is too long, too large, or not valid text."""

    code = "unstorable"

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"unstorable value: {detail}",
            user_message="One of the values is too long or holds characters that cannot be kept. "
            "Shorten it and try again.",
        )
        self.detail = detail


# Classes and codes of SQLSTATE after which a retry may work: 08 connection, 53 resources, 57
# operator intervention and start-up, 55P03 lock timeout, 40 deadlock and serialisation, 28 and 3D
# authorisation and catalog (a database that is being set up), 25P0 idle transaction timeout,
# 58 system error, XX internal error.
_UNAVAILABLE_CODES = ("08", "53", "57", "55P03", "40", "28", "3D", "25P0", "58", "XX")
_REFUSED_CODES = ("28", "3D")
_BAD_VALUE_CLASS = "22"


@contextmanager
def translate_errors() -> Iterator[None]:
    """Translate database errors of the block; other exceptions pass through.

    Raises:
        DatabaseUnavailable: If Postgres cannot be reached, or could not answer in time.
        Unstorable: If Postgres rejects a value.
    """
    try:
        yield
    except OpsError:
        raise
    except exc.DBAPIError as error:
        code = str(getattr(error.orig, "sqlstate", None) or "")
        if (
            error.connection_invalidated
            or code.startswith(_UNAVAILABLE_CODES)
            or _is_connection_failure(error.orig)
        ):
            raise DatabaseUnavailable(str(error.orig), sqlstate=code) from error
        if code.startswith(_BAD_VALUE_CLASS):
            raise Unstorable(str(error.orig)) from error
        raise
    except exc.TimeoutError as error:
        raise DatabaseUnavailable("no free connection") from error
    except asyncpg.InternalClientError as error:
        # The server closed the connection while this process was paused.
        raise DatabaseUnavailable(str(error)) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        code = str(getattr(error, "sqlstate", None) or "")
        if _is_connection_failure(error) or code.startswith(_UNAVAILABLE_CODES):
            raise DatabaseUnavailable(str(error) or type(error).__name__, sqlstate=code) from error
        if code.startswith(_BAD_VALUE_CLASS):
            raise Unstorable(str(error)) from error
        raise


def _is_connection_failure(error: BaseException | None) -> bool:
    """Return whether the connection failed: it was refused, reset, timed out or closed."""
    depth = 0
    while error is not None and depth < 5:
        if isinstance(error, OSError | asyncpg.PostgresConnectionError):
            return True
        if isinstance(error, asyncpg.InterfaceError) and "clos" in str(error):
            return True
        error, depth = error.__cause__, depth + 1
    return False
