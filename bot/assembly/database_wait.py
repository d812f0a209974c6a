"""Wait at the start for a database that does not answer yet, as after a reboot of the machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from bot.assembly.config.bad_setting import BadSetting
from core.store.database.engine import DatabaseUnavailable, translate_errors
from core.waiting import Backoff, retry

log = logging.getLogger(__name__)

T = TypeVar("T")

_RETRY_PAUSE = timedelta(seconds=0.5)
_BACKOFF = Backoff(first=_RETRY_PAUSE, longest=_RETRY_PAUSE)


@dataclass(frozen=True)
class DatabaseWait:
    """How long a start waits for a database that does not answer.

    Attributes:
        limit: Counted from the first try; 0 does not wait.
        stop_requested: Set when the process should stop; that ends the waiting.
    """

    limit: timedelta = timedelta(0)
    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)

    async def retry_until_reachable(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Retry until the database answers; log once if it does not at first.

        Raises:
            DatabaseUnavailable: If it does not answer in time.
            BadSetting: If the server refuses the address or its password; waiting does not help.
        """
        is_logged = False

        async def try_once() -> T:
            try:
                with translate_errors():
                    return await operation()
            except DatabaseUnavailable as error:
                if error.is_refusal:
                    problem = f"Postgres refuses: {error.detail}; correct the address"
                    raise BadSetting("DATABASE_URL", problem) from error
                raise

        def log_once(error: Exception, _: float) -> None:
            nonlocal is_logged
            if not is_logged:
                seconds = self.limit.total_seconds()
                log.warning(
                    "%s; waiting for it, up to %.0f s",
                    error,
                    seconds,
                    extra={"event": "database_wait.started", "limit_seconds": seconds},
                )
                is_logged = True

        return await retry(
            try_once,
            on=DatabaseUnavailable,
            backoff=_BACKOFF,
            patience=self.limit,
            stop=self.stop_requested,
            on_failure=log_once,
        )
