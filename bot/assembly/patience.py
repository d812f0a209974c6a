"""Patience of a start with its database: after a reboot of the machine both come up at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from bot.assembly.settings import BadSetting
from core.store.database.engine import DatabaseUnavailable, translating

log = logging.getLogger(__name__)

T = TypeVar("T")

_PAUSE = timedelta(seconds=0.5)


@dataclass(frozen=True)
class Patience:
    """How long a start waits for a database that does not answer.

    Attributes:
        limit: From the first question; 0 does not wait.
        given_up: Set by the wish to stop, which ends the waiting.
    """

    limit: timedelta = timedelta(0)
    given_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_reachable(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer; says so once, if that takes time.

        Raises:
            DatabaseUnavailable: If there is none in time.
            BadSetting: If the server lets nobody in, which waiting does not mend.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.limit.total_seconds()
        is_told = False
        while True:
            try:
                with translating():
                    return await ask()
            except DatabaseUnavailable as error:
                if error.is_refusal:
                    why = f"Postgres refuses: {error.why}; correct the address"
                    raise BadSetting("DATABASE_URL", why) from error
                if clock() >= deadline or self.given_up.is_set():
                    raise
                if not is_told:
                    seconds = self.limit.total_seconds()
                    log.warning("%s; it is waited for, up to %.0f s", error, seconds)
                    is_told = True
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE.total_seconds()):
                    await self.given_up.wait()
