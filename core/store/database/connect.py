"""Connections to Postgres, for the pool and for parts that need a connection of their own.

asyncpg parses the DSN itself, because it supports Unix sockets (`?host=/dir`), several hosts and
`sslmode`; SQLAlchemy's URLs for asyncpg do not.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from core.domain.errors import BadRequest

_SCHEMES = ("postgres", "postgresql")
_DEFAULT_PORT = 5432
_CONNECT_TIMEOUT = timedelta(seconds=10)
# A statement takes milliseconds; one that takes this long is stuck.
STATEMENT_TIMEOUT = timedelta(seconds=30)
# The client's time limit is later than the server's; it is for a server that no longer answers.
_CLIENT_MARGIN = timedelta(seconds=5)


# What asyncpg raises for a broken connection.  `InternalClientError` is for one that the server
# closed while this process was paused.
CONNECTION_ERRORS = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class BadDsn(BadRequest):
    """`DATABASE_URL` is not the URL of a Postgres database."""

    code = "bad_database_url"

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"bad database url: {detail}",
            user_message=f"DATABASE_URL is not the address of a Postgres: {detail}. It looks like "
            "postgresql://user:password@host:5432/database.",
        )
        self.detail = detail


def normalise_dsn(text: str) -> str:
    """Convert the common forms of a database URL to the plain libpq form.

    Raises:
        BadDsn: If it is not the URL of a Postgres database.
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


def server_of(dsn: str) -> str:
    """Where the server of a plain libpq URL is: `db.example.com:5432`; never the login."""
    address = urlsplit(dsn)
    # Of several hosts each has a port of its own: they are shown as written.
    place = address.netloc.rpartition("@")[2] or parse_qs(address.query).get("host", [""])[0]
    if place.startswith("/"):
        return f"the socket in {place}"
    has_port = place.rpartition(":")[2].isdigit() or "," in place
    return place if has_port else f"{place or 'localhost'}:{_DEFAULT_PORT}"


def make_connector(
    dsn: str, *, statement_timeout: timedelta | None = STATEMENT_TIMEOUT, name: str = "signalbox"
) -> Callable[..., Coroutine[Any, Any, asyncpg.Connection[asyncpg.Record]]]:
    """Return a function that opens a connection, with limits so that nothing can hang forever.

    Connecting takes at most 10 s.  The server cancels a statement, a wait for a lock, or an idle
    transaction after `statement_timeout`; `None` removes these limits.

    Args:
        dsn: A plain libpq URL, as of `normalise_dsn`.
        statement_timeout: The limit for one statement.
        name: The connection's name in `pg_stat_activity`.
    """
    settings = {
        "application_name": name,
        "timezone": "UTC",
        # A client that no longer answers must not keep its locks.
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
