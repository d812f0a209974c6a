"""How much of the connection pool is in use, and who waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import AsyncAdaptedQueuePool, PoolProxiedConnection


@dataclass(frozen=True, kw_only=True)
class PoolUse:
    """The pool at one moment.

    Attributes:
        size: The largest number of connections that it opens.
        in_use: Connections that are handed out or being opened.
        idle: Open connections that nobody uses.
        waiting: Tasks that want a connection and have none yet, because all are in use or a new
            one is being opened.
    """

    size: int
    in_use: int
    idle: int
    waiting: int


class CountingPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool, which also knows how many tasks wait for a connection."""

    # SQLAlchemy would log each step of the pool under the name of this module, and so at its level.
    _sqla_logger_namespace = "sqlalchemy.pool.CountingPool"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._most = options["pool_size"] + options["max_overflow"]
        self._waiting = 0

    def connect(self) -> PoolProxiedConnection:
        """Hand out a connection; the task is counted until it has one."""
        self._waiting += 1
        try:
            return super().connect()
        finally:
            self._waiting -= 1

    def use(self) -> PoolUse:
        """The pool now."""
        return PoolUse(
            size=self._most,
            in_use=self.checkedout(),
            idle=self.checkedin(),
            waiting=self._waiting,
        )
