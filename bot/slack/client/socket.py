"""Socket Mode: two connections to Slack, watched and renewed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from aiohttp import WSMessage, WSMsgType
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.client.envelopes import EnvelopeClient, Receive, parse_frame
from bot.slack.client.web_api import is_loopback

log = logging.getLogger(__name__)

# Slack closes a connection before its successor is open; the other one receives meanwhile.
CONNECTIONS = 2
WATCH_EVERY = timedelta(seconds=5)
# How long a connection may receive nothing before it is replaced: longer than Slack's hello and
# the SDK's own retries take, and far shorter than the minutes for which a handshake can hang.
RECONNECT_AFTER = timedelta(seconds=30)
# Messages about the connection are short; longer ones are deliveries, which Bolt handles.
_MAX_CONTROL_CHARS = 2000
# Reasons of a planned disconnect.
_ROUTINE_REASONS = frozenset({"warning", "refresh_requested"})
_CLOSE_LIMIT = timedelta(seconds=5)
# Between pings; the SDK drops a connection without answers for four intervals.
PING_SECONDS = 5.0


class SocketConnection:
    """One connection.  The SDK keeps it open; if the SDK hangs, `reconnect` replaces it."""

    def __init__(self, number: int, make_client: Callable[[], EnvelopeClient]) -> None:
        self.number = number
        self._make_client = make_client
        self._greeted_session: object = None
        self._start()

    def _start(self) -> None:
        self._client = self._make_client()
        self._client.on_message_listeners.append(self._on_message)
        self._client.on_error_listeners.append(self._on_error)
        self._connecting = asyncio.create_task(
            self._client.connect(),  # type: ignore[no-untyped-call]
            name=f"slack socket {self.number}",
        )

    async def is_receiving(self) -> bool:
        """Whether it is connected, and Slack sent its hello over this very connection."""
        session = self._client.current_session
        return session is self._greeted_session and await self._client.is_connected()

    async def drop_stale_url(self) -> None:
        """Make the SDK request a new URL for its next try.

        It retries a refused URL for ever, although each URL is valid only once.
        """
        if not await self._client.is_connected():
            self._client.wss_uri = None

    async def reconnect(self) -> None:
        """Close the connection and open a new one, with a new client."""
        await self.close()
        self._start()

    async def close(self) -> None:
        """Close the connection; Slack sends unacknowledged deliveries again."""
        client = self._client
        self._connecting.cancel()
        try:
            async with asyncio.timeout(_CLOSE_LIMIT.total_seconds()):
                await client.close()  # type: ignore[no-untyped-call]
        except (OSError, RuntimeError) as error:
            log.info(
                "slack socket %d did not close cleanly: %s",
                self.number,
                type(error).__name__,
                extra={
                    "event": "socket.close_failed",
                    "socket": self.number,
                    "error": type(error).__name__,
                },
            )
        # The SDK cancels its tasks without waiting for their end.
        tasks = (
            client.message_processor, client.current_session_monitor, client.message_receiver,
            self._connecting,
        )  # fmt: skip
        ending = [task for task in tasks if task is not None]
        for task in ending:
            task.cancel()
        await asyncio.wait(ending, timeout=_CLOSE_LIMIT.total_seconds())
        if not client.aiohttp_client_session.closed:
            await client.aiohttp_client_session.close()

    async def _on_message(self, message: WSMessage) -> None:
        """Note messages about the connection itself; Bolt handles all others."""
        if not isinstance(message.data, str) or len(message.data) > _MAX_CONTROL_CHARS:
            return
        control = parse_frame(message.data) or {}
        if control.get("type") == "hello":
            self._greeted_session = self._client.current_session
        elif control.get("type") == "disconnect":
            level = logging.INFO if control.get("reason") in _ROUTINE_REASONS else logging.WARNING
            reason = str(control.get("reason"))
            log.log(
                level,
                "slack ends socket %d: %s",
                self.number,
                reason,
                extra={"event": "socket.end_announced", "socket": self.number, "reason": reason},
            )

    async def _on_error(self, message: WSMessage) -> None:
        """Note why the connection broke; the SDK opens a new one."""
        if message.type is WSMsgType.ERROR:
            log.warning(
                "slack socket %d broke: %s",
                self.number,
                str(message.data)[:200],
                extra={"event": "socket.broken", "socket": self.number},
            )


class SocketPool:
    """The bot's connections to Slack in Socket Mode."""

    def __init__(
        self,
        receive: Receive,
        web: AsyncWebClient,
        app_token: str,
        *,
        connections: int = CONNECTIONS,
        watch_every: timedelta = WATCH_EVERY,
        ping_seconds: float = PING_SECONDS,
        reconnect_after: timedelta = RECONNECT_AFTER,
    ) -> None:
        """Requires a running event loop."""
        self._receive = receive
        self._web = web
        self._app_token = app_token
        self._connection_count = connections
        self._ping_seconds = ping_seconds
        self._watch_every = watch_every.total_seconds()
        self._reconnect_after = reconnect_after.total_seconds()
        self._sockets: list[SocketConnection] = []
        self._receiving: set[int] = set()
        # Since when (loop time) each connection receives nothing.
        self._silent_since: dict[int, float] = {}

    @property
    def is_ready(self) -> bool:
        """Whether at least one connection receives deliveries."""
        return bool(self._receiving)

    async def run(self) -> None:
        """Keep the connections open, until cancelled."""
        self._sockets = [
            SocketConnection(number, self._client) for number in range(self._connection_count)
        ]
        while True:
            for connection in self._sockets:
                await self._check(connection)
            # Check often until the first connection is up, since readiness waits for it.
            await asyncio.sleep(self._watch_every if self._receiving else 0.1)

    async def close(self) -> None:
        """Receive no more.  Bolt still handles what was received; Slack sends the rest again."""
        self._receiving.clear()
        for connection in self._sockets:
            await connection.close()

    def _client(self) -> EnvelopeClient:
        client = EnvelopeClient(
            self._receive, self._app_token, web=self._web, ping_seconds=self._ping_seconds
        )
        if is_loopback(self._web.base_url):
            client.proxy = None
        return client

    async def _check(self, connection: SocketConnection) -> None:
        now = asyncio.get_running_loop().time()
        if await connection.is_receiving():
            if connection.number not in self._receiving:
                log.info(
                    "slack socket %d is connected",
                    connection.number,
                    extra={"event": "socket.connected", "socket": connection.number},
                )
            self._receiving.add(connection.number)
            self._silent_since.pop(connection.number, None)
            return
        if connection.number in self._receiving:
            log.warning(
                "slack socket %d was lost; connecting again",
                connection.number,
                extra={"event": "socket.lost", "socket": connection.number},
            )
        self._receiving.discard(connection.number)
        await connection.drop_stale_url()
        since = self._silent_since.setdefault(connection.number, now)
        if now - since > self._reconnect_after:
            log.warning(
                "slack socket %d is stuck; opening a new connection",
                connection.number,
                extra={"event": "socket.replaced", "socket": connection.number},
            )
            self._silent_since[connection.number] = now
            await connection.reconnect()


@asynccontextmanager
async def open_sockets(
    receive: Receive,
    web: AsyncWebClient,
    app_token: str,
    *,
    connections: int = CONNECTIONS,
    watch_every: timedelta = WATCH_EVERY,
    ping_seconds: float = PING_SECONDS,
    reconnect_after: timedelta = RECONNECT_AFTER,
) -> AsyncIterator[SocketPool]:
    """Receive from Slack while the context is open.

    Args:
        receive: Handles the payload of an envelope.
        web: For the addresses to connect to.
        app_token: The app-level token, `xapp-…`.
        connections: The number of connections.
        watch_every: Between two checks of the connections.
        ping_seconds: Between two pings.
        reconnect_after: How long a connection may receive nothing before it is replaced.
    """
    sockets = SocketPool(
        receive,
        web,
        app_token,
        connections=connections,
        watch_every=watch_every,
        ping_seconds=ping_seconds,
        reconnect_after=reconnect_after,
    )
    watch_task = asyncio.create_task(sockets.run(), name="slack sockets")
    try:
        yield sockets
    finally:
        watch_task.cancel()
        await asyncio.wait({watch_task})
        await sockets.close()
