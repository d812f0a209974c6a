"""The pool of connections, the sessions on it, and what its failures mean to a person."""

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
from core.store.database.connect import STATEMENT_TIMEOUT, make_connector, normalise_dsn
from core.store.database.pool_check import ping_before_use
from core.store.tables.types import to_json

log = logging.getLogger(__name__)

_POOL_TIMEOUT_SECONDS = 10
_RECYCLE_SECONDS = 1800
_CHECKIN_WAIT_SECONDS = 1.0
_POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Database:
    """An open database.  `dsn` is for connections outside the pool (LISTEN, locks, engine)."""

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    dsn: str


@asynccontextmanager
async def open_database(
    dsn: str, *, pool_size: int = 10, statement_timeout: timedelta | None = STATEMENT_TIMEOUT
) -> AsyncIterator[Database]:
    """A pool, closed at the end.  It connects when first used, and again after an outage.

    Raises:
        BadDsn: If `dsn` is not the address of a Postgres.
    """
    dsn = normalise_dsn(dsn)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=make_connector(dsn, statement_timeout=statement_timeout),
        pool_size=pool_size,
        max_overflow=5,
        pool_timeout=_POOL_TIMEOUT_SECONDS,
        pool_recycle=_RECYCLE_SECONDS,
        # The one used last first: it need not be looked at.
        pool_use_lifo=True,
        json_serializer=to_json,
        # They hold people's words, and an error's text goes into logs.
        hide_parameters=True,
    )
    ping_before_use(engine.sync_engine)
    sessions = async_sessionmaker(
        engine,
        expire_on_commit=False,
        # Rows are read afresh in each statement: what a compare-and-set returns is what is.
        execution_options={"populate_existing": True},
    )
    try:
        yield Database(engine=engine, sessions=sessions, dsn=dsn)
    finally:
        await _wait_for_checkins(engine)
        await engine.dispose()


async def _wait_for_checkins(engine: AsyncEngine) -> None:
    """Wait a moment for connections in use: they would stay open.

    Who is called off in the middle of a commit is gone at once; its connection comes back when
    the commit is done.
    """
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return
    deadline = time.monotonic() + _CHECKIN_WAIT_SECONDS
    # The pool tells nobody.
    while pool.checkedout() and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(_POLL_SECONDS)


class DatabaseUnavailable(Unavailable):
    """Postgres does not answer, or is too busy to.

    Attributes:
        detail: What the server, or the way to it, said.
        is_refusal: Whether it let nobody in: a wrong password, a database that is not there.
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
    """A value the database refuses: too long, too large, not text."""

    code = "unstorable"

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"unstorable value: {detail}",
            user_message="One of the values is too long or holds characters that cannot be kept. "
            "Shorten it and try again.",
        )
        self.detail = detail


# Classes and codes of SQLSTATE that say: not now.  08 connection, 53 resources, 57 operator's
# intervention and start-up, 55P03 lock timeout, 40 deadlock and serialisation, 28 and 3D a
# database that is being set up or was set up wrongly, 25P0 an idle transaction cut off.
_UNAVAILABLE_CODES = ("08", "53", "57", "55P03", "40", "28", "3D", "25P0", "58", "XX")
_REFUSED_CODES = ("28", "3D")
_BAD_VALUE_CLASS = "22"


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn failures of the database into errors for people; others pass.

    Raises:
        DatabaseUnavailable: If Postgres cannot be reached or could not answer in time.
        Unstorable: If it refuses a value.
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
        # The server ended the connection while this process stood still.
        raise DatabaseUnavailable(str(error)) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        code = str(getattr(error, "sqlstate", None) or "")
        if _is_connection_failure(error) or code.startswith(_UNAVAILABLE_CODES):
            raise DatabaseUnavailable(str(error) or type(error).__name__, sqlstate=code) from error
        raise


def _is_connection_failure(error: BaseException | None) -> bool:
    """Whether the connection failed: refused, reset, timed out, closed under us."""
    depth = 0
    while error is not None and depth < 5:
        if isinstance(error, OSError | asyncpg.PostgresConnectionError):
            return True
        if isinstance(error, asyncpg.InterfaceError) and "clos" in str(error):
            return True
        error, depth = error.__cause__, depth + 1
    return False
