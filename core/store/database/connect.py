"""One way to connect to Postgres, for the pool and for connections of their own.

asyncpg reads the DSN itself: it knows Unix sockets (`?host=/dir`), several hosts and
`sslmode`, which a SQLAlchemy URL for it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from core.domain.errors import BadRequest

_SCHEMES = ("postgres", "postgresql")
_CONNECT_TIMEOUT = timedelta(seconds=10)
# A statement takes milliseconds; one that takes this long is stuck.
STATEMENT_TIMEOUT = timedelta(seconds=30)
# The client's own limit is for a server that has gone silent: it comes after the server's.
_CLIENT_MARGIN = timedelta(seconds=5)


# What a driver says of a connection that is of no use any more; the last of one that the server
# ended while this process stood still.
CONNECTION_ERRORS = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class BadDsn(BadRequest):
    """`DATABASE_URL` is not the address of a Postgres."""

    code = "bad_database_url"

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"bad database url: {detail}",
            user_message=f"DATABASE_URL is not the address of a Postgres: {detail}. It looks like "
            "postgresql://user:password@host:5432/database.",
        )
        self.detail = detail


def normalise_dsn(text: str) -> str:
    """A plain libpq URL, from any of the spellings people use.

    Raises:
        BadDsn: If it is not the URL of a Postgres.
    """
    scheme, separator, rest = text.strip().partition("://")
    family = scheme.lower().partition("+")[0]  # postgresql+asyncpg:// is SQLAlchemy's
    if not separator or family not in _SCHEMES:
        raise BadDsn("it does not begin with postgresql://")
    dsn = f"postgresql://{rest}"
    try:
        _ = urlsplit(dsn).hostname
    except ValueError as error:
        raise BadDsn("its host cannot be read") from error
    return dsn


def make_connector(
    dsn: str, *, statement_timeout: timedelta | None = STATEMENT_TIMEOUT, name: str = "signalbox"
) -> Callable[..., Coroutine[Any, Any, asyncpg.Connection[asyncpg.Record]]]:
    """A function that connects; nothing it opens can hang for ever."""
    settings = {
        "application_name": name,
        "timezone": "UTC",
        # A client that has gone silent must not keep its locks.
        "tcp_keepalives_idle": "15",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }
    if statement_timeout is not None:
        milliseconds = str(int(statement_timeout.total_seconds() * 1000))
        settings["statement_timeout"] = milliseconds
        settings["lock_timeout"] = milliseconds
        settings["idle_in_transaction_session_timeout"] = milliseconds

    async def connect(*_: Any, **__: Any) -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(
            dsn,
            timeout=_CONNECT_TIMEOUT.total_seconds(),
            command_timeout=(statement_timeout + _CLIENT_MARGIN).total_seconds()
            if statement_timeout
            else None,
            server_settings=settings,
        )

    return connect
