"""Socket Mode: two connections to Slack and somebody who watches them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp

from bot.slack.client import is_loopback

log = logging.getLogger(__name__)

# Slack closes a connection before its successor is open; the other one hears meanwhile.
CONNECTIONS = 2
WATCH_EVERY = timedelta(seconds=5)
# How long a connection may try by itself before it is started anew.
_PATIENCE = timedelta(seconds=30)
_CLOSE_LIMIT = timedelta(seconds=5)
# Between pings; a connection silent for four of them counts as dead.
PING_SECONDS = 5.0


class Sockets:
    """The bot's ears."""

    def __init__(
        self,
        app: AsyncApp,
        app_token: str,
        *,
        connections: int = CONNECTIONS,
        watch_every: timedelta = WATCH_EVERY,
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        """Must be made inside the running event loop."""
        self._handlers = [
            AsyncSocketModeHandler(app, app_token, ping_interval=ping_seconds)
            for _ in range(connections)
        ]
        if is_loopback(app.client.base_url):
            for handler in self._handlers:
                handler.client.proxy = None
        self._watch_every = watch_every.total_seconds()
        self._connecting: dict[int, asyncio.Task[None]] = {}
        self._connected: set[int] = set()

    @property
    def is_ready(self) -> bool:
        """Whether at least one connection hears Slack."""
        return bool(self._connected)

    async def run(self) -> None:
        """Keep the connections open, until cancelled."""
        down_for = dict.fromkeys(range(len(self._handlers)), 0.0)
        self._connect_all()
        while True:
            await self._look(down_for)
            # Until the first connection stands, look often: readiness waits for it.
            await asyncio.sleep(self._watch_every if self._connected else 0.1)

    async def close(self) -> None:
        """Hear no more.  What was heard is still handled; what was not is sent again."""
        self._connected.clear()
        for task in self._connecting.values():
            task.cancel()
        for handler in self._handlers:
            try:
                async with asyncio.timeout(_CLOSE_LIMIT.total_seconds()):
                    await handler.client.close()  # type: ignore[no-untyped-call]
            except (OSError, RuntimeError) as error:
                log.info("a socket did not close well: %s", type(error).__name__)
        # The SDK only cancels its tasks; they end in the next turns of the loop.
        ending = [task for handler in self._handlers for task in _tasks_of(handler)]
        ending += list(self._connecting.values())
        if ending:
            await asyncio.wait(ending, timeout=_CLOSE_LIMIT.total_seconds())

    def _connect_all(self) -> None:
        for number, handler in enumerate(self._handlers):
            self._connecting[number] = asyncio.create_task(
                handler.client.connect(),  # type: ignore[no-untyped-call]
                name=f"slack socket {number}",
            )

    async def _look(self, down_for: dict[int, float]) -> None:
        for number, handler in enumerate(self._handlers):
            if await handler.client.is_connected():
                if number not in self._connected:
                    log.info("slack socket %d is connected", number)
                self._connected.add(number)
                down_for[number] = 0.0
                continue
            if number in self._connected:
                log.warning("slack socket %d was lost; connecting again", number)
            self._connected.discard(number)
            # The SDK tries a refused address for ever, though each is good for one use:
            # without an address it asks Slack for a new one.
            handler.client.wss_uri = None
            down_for[number] += self._watch_every
            if down_for[number] > _PATIENCE.total_seconds():
                down_for[number] = 0.0
                self._restart(number, handler)

    def _restart(self, number: int, handler: AsyncSocketModeHandler) -> None:
        """Connect anew by hand, if nothing in the SDK still tries to."""
        if not self._connecting[number].done():
            return
        self._connecting[number] = asyncio.create_task(
            handler.client.connect_to_new_endpoint(), name=f"slack socket {number}"
        )


def _tasks_of(handler: AsyncSocketModeHandler) -> list[asyncio.Future[None]]:
    client = handler.client
    found = (client.message_processor, client.current_session_monitor, client.message_receiver)
    return [task for task in found if task is not None]


@asynccontextmanager
async def open_sockets(
    app: AsyncApp,
    app_token: str,
    *,
    connections: int = CONNECTIONS,
    watch_every: timedelta = WATCH_EVERY,
    ping_seconds: float = PING_SECONDS,
) -> AsyncIterator[Sockets]:
    """Hear Slack for as long as the context is open."""
    sockets = Sockets(
        app,
        app_token,
        connections=connections,
        watch_every=watch_every,
        ping_seconds=ping_seconds,
    )
    watching = asyncio.create_task(sockets.run(), name="slack sockets")
    try:
        yield sockets
    finally:
        watching.cancel()
        await asyncio.wait({watching})
        await sockets.close()
