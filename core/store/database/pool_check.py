"""A look at a pooled connection before it is used again.

A restarted Postgres then costs a look and not one failed request a connection.  SQLAlchemy's own
(`pool_pre_ping`) looks every time, which is three round trips, as many as most transactions have
themselves; a connection that was used a moment ago is not looked at here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event, exc

# No Postgres stops, starts and lets somebody in within less.
PING_AFTER_IDLE_SECONDS = 0.25
_USED_AT = "used_at"


def ping_before_use(engine: Engine, *, now: Callable[[], float] = time.monotonic) -> None:
    """Have the engine's pool look at connections that have rested.

    Args:
        engine: A synchronous engine; an `AsyncEngine` has one.
        now: A monotonic clock, in seconds.
    """

    @event.listens_for(engine, "checkin")
    def note_check_in(_connection: Any, record: Any) -> None:
        record.info[_USED_AT] = now()

    @event.listens_for(engine, "checkout")
    def ping_if_idle(connection: Any, record: Any, _proxy: Any) -> None:
        used_at = record.info.get(_USED_AT)
        if used_at is None or now() - used_at < PING_AFTER_IDLE_SECONDS:
            return
        dialect = engine.dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            if not dialect.is_disconnect(error, connection, None):
                raise
            # Tried again with a new one; all the others are as old.
            raise exc.InvalidatePoolError from error
