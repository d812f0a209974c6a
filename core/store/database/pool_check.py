"""A check of pooled connections that were idle, before they are used again.

Without it, a restart of Postgres would make one request fail for each pooled connection.
SQLAlchemy's `pool_pre_ping` checks every time, which takes three round trips, as many as most
transactions need.  A server that ends closes its connections, and the event loop hears of that by
itself.  So only a connection that has been idle for long is asked, for one whose server or network
vanished without a word.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event, exc

# After a quarter of a second, a quarter of all statements of an idle bot belonged to pings.
PING_AFTER_IDLE_SECONDS = 5.0
_USED_AT = "used_at"


def ping_before_use(engine: Engine, *, now: Callable[[], float] = time.monotonic) -> None:
    """Make the engine's pool check connections of asyncpg before it hands them out again.

    Args:
        engine: A synchronous engine (`AsyncEngine.sync_engine`).
        now: A monotonic clock, in seconds.
    """

    @event.listens_for(engine, "checkin")
    def record_check_in(_connection: Any, record: Any) -> None:
        record.info[_USED_AT] = now()

    @event.listens_for(engine, "checkout")
    def check_if_idle(connection: Any, record: Any, _proxy: Any) -> None:
        used_at = record.info.get(_USED_AT)
        if used_at is None:
            return
        if connection.driver_connection.is_closed():
            raise exc.InvalidatePoolError
        if now() - used_at < PING_AFTER_IDLE_SECONDS:
            return
        dialect = engine.dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            if not dialect.is_disconnect(error, connection, None):
                raise
            # The pool drops all connections, which are probably broken too, and opens a new one.
            raise exc.InvalidatePoolError from error
