"""Socket Mode: single-use links, up to ten connections, each envelope over one of them."""

import asyncio
import json
import random
import secrets
import time
import uuid
from dataclasses import dataclass, field

from aiohttp import WSCloseCode, WSMsgType, web

from bot.sandbox.slack.clock import Clock
from bot.sandbox.slack.delivery.dispatcher import DeliveryResult
from bot.sandbox.slack.inspector import Inspector
from bot.sandbox.slack.people import APP_ID
from bot.sandbox.slack.state import Document

MAX_CONNECTIONS = 10
TICKET_SECONDS = 30.0
# Slack's hello says about how many seconds a connection lives.
CONNECTION_LIFETIME_SECONDS = 18_060


@dataclass(eq=False)
class Connection:
    """One WebSocket of the app.

    Attributes:
        unacknowledged: Envelopes sent over it that are not acknowledged yet.
        is_draining: Whether it was asked to close; it gets no new envelopes.
        is_frozen: Whether it is half-open: received data is ignored and pings get no answer
            until the app closes it.
    """

    socket: web.WebSocketResponse
    request: web.Request
    unacknowledged: dict[str, "asyncio.Future[Document | None]"] = field(default_factory=dict)
    is_draining: bool = False
    is_frozen: bool = False


class ConnectionGone(Exception):
    """The connection closed before it acknowledged an envelope."""


class SocketMode:
    """The server side of Socket Mode.

    Attributes:
        connections: The open connections.
        opened: Number of connections opened so far.
    """

    def __init__(self, *, clock: Clock, inspector: Inspector, url: str) -> None:
        self.connections: set[Connection] = set()
        self.opened = 0
        self._clock = clock
        self._inspector = inspector
        self._url = url.replace("http", "ws", 1)
        self._tickets: dict[str, float] = {}
        self._refused_connects: float = 0
        # Counts of the next connects to leave without an answer, and to accept without a hello.
        self._hanging_connects: float = 0
        self._without_hello: float = 0
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()

    def new_link(self) -> str:
        """A single-use address to connect to, valid for half a minute."""
        ticket = secrets.token_urlsafe(24)
        self._tickets[ticket] = self._clock.now()
        return f"{self._url}/link/?ticket={ticket}&app_id={APP_ID}"

    async def link(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        await self._admit(request)
        # This code answers pings and closes itself: a half-open connection must not.
        socket = web.WebSocketResponse(max_msg_size=1_000_000, autoping=False, autoclose=False)
        await socket.prepare(request)
        if len(self.connections) >= MAX_CONNECTIONS:
            await socket.send_json(_disconnect_message("too_many_websockets"))
            await socket.close()
            return socket
        connection = Connection(socket, request)
        self.connections.add(connection)
        self.opened += 1
        try:
            await self._listen(connection)
        finally:
            self.connections.discard(connection)
            for waiting in connection.unacknowledged.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionGone())
            self._wake()
        if connection.is_frozen:
            await self._closing.wait()
        else:
            await socket.close(drain=False)
        return socket

    async def _admit(self, request: web.Request) -> None:
        """Accept a connect, or raise the HTTP error to refuse it with."""
        created_at = self._tickets.pop(request.query.get("ticket", ""), None)
        if self._refused_connects > 0:
            self._refused_connects -= 1
            raise web.HTTPServiceUnavailable
        if self._hanging_connects > 0:
            self._hanging_connects -= 1
            await self._closing.wait()
            raise web.HTTPServiceUnavailable
        if created_at is None or self._clock.now() - created_at > TICKET_SECONDS:
            raise web.HTTPForbidden(text="the ticket is used or expired")

    async def _listen(self, connection: Connection) -> None:
        """Receive the app's messages until it disconnects."""
        if self._without_hello > 0:
            self._without_hello -= 1
            connection.is_draining = True
        else:
            await connection.socket.send_json(self._hello())
        self._wake()
        async for message in connection.socket:
            if connection.is_frozen:
                continue
            if message.type == WSMsgType.PING:
                await connection.socket.pong(message.data)
            elif message.type == WSMsgType.TEXT:
                self._handle_acknowledgement(connection, message.data)

    def _hello(self) -> Document:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "debug_info": {
                "host": "applink-sandbox",
                "build_number": 1,
                "approximate_connection_time": CONNECTION_LIFETIME_SECONDS,
            },
            "connection_info": {"app_id": APP_ID},
        }

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._inspector.publish_change("connection")

    def _handle_acknowledgement(self, connection: Connection, data: str) -> None:
        try:
            message = json.loads(data)
            waiting = connection.unacknowledged.get(message["envelope_id"])
        # Among them is the error of an id that cannot be one.
        except (ValueError, TypeError, KeyError):
            self._inspector.add_problem("bad_ack", "socket_mode", f"not an acknowledgement: {data}")
            return
        # A late acknowledgement was already reported at its timeout.
        if waiting is not None and not waiting.done():
            waiting.set_result(message.get("payload"))

    async def attempt(
        self, kind: str, payload: Document, *, retry: int, reason: str, timeout: float
    ) -> DeliveryResult:
        """Send one envelope over one of the connections and wait for its acknowledgement."""
        began = time.monotonic()
        if not self.opened:
            # No app has ever connected; an app that is reconnecting gets time to do so.
            return DeliveryResult(error="not_connected", ms=0, status=0)
        sent = False
        try:
            async with asyncio.timeout(timeout):
                connection = await self._any_connection()
                sent = True
                answer = await self._exchange(connection, kind, payload, retry, reason)
        except TimeoutError:
            error = "operation_timeout" if sent else "not_connected"
            return DeliveryResult(error=error, ms=_elapsed_ms(began), status=0)
        except (ConnectionGone, ConnectionError):
            return DeliveryResult(error="connection_lost", ms=_elapsed_ms(began), status=0)
        return DeliveryResult(error=None, ms=_elapsed_ms(began), answer=answer)

    async def _any_connection(self) -> Connection:
        while True:
            usable = [each for each in self.connections if not each.is_draining]
            if usable:
                return random.choice(usable)  # noqa: S311 - which of them does not matter
            await self._changed.wait()

    async def _exchange(
        self, connection: Connection, kind: str, payload: Document, retry: int, reason: str
    ) -> Document | None:
        envelope: Document = {
            "envelope_id": str(uuid.uuid4()),
            "payload": payload,
            "type": kind,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": retry, "retry_reason": _REASONS.get(reason, reason)}
        waiting: asyncio.Future[Document | None] = asyncio.get_running_loop().create_future()
        connection.unacknowledged[envelope["envelope_id"]] = waiting
        try:
            await connection.socket.send_json(envelope)
            return await waiting
        finally:
            del connection.unacknowledged[envelope["envelope_id"]]

    async def disconnect(self, how: str, *, times: float = float("inf")) -> None:
        """Disturb the connections.

        Args:
            how: "refresh" (Slack asks the app to reconnect), "abrupt" (cut without a notice),
                "refuse" (cut, and refuse the next `times` connects), "accept" (stop refusing),
                "freeze" (half-open from now on: envelopes are lost, pings get no
                answer), "hang" (cut, and leave the next connects without an answer), "hush"
                (cut, and accept the next ones without a hello), or a reason Slack gives: "warning",
                "link_disabled".
            times: For "refuse", "hang" and "hush".
        """
        if how == "accept":
            self._refused_connects = self._hanging_connects = self._without_hello = 0
            return
        if how == "refuse":
            self._refused_connects = times
        elif how == "hang":
            self._hanging_connects = times
        elif how == "hush":
            self._without_hello = times
        for connection in list(self.connections):
            if how == "freeze":
                connection.is_frozen = True
                continue
            if how in ("abrupt", "refuse", "hang", "hush"):
                if connection.request.transport is not None:
                    connection.request.transport.abort()
                continue
            reason = "refresh_requested" if how == "refresh" else how
            connection.is_draining = how != "warning"
            await connection.socket.send_json(_disconnect_message(reason))

    async def aclose(self) -> None:
        """Close every connection."""
        self._closing.set()
        for connection in list(self.connections):
            connection.is_draining = True
            await connection.socket.close(code=WSCloseCode.GOING_AWAY, drain=False)


_REASONS = {"http_timeout": "timeout"}


def _disconnect_message(reason: str) -> Document:
    return {
        "type": "disconnect",
        "reason": reason,
        "debug_info": {"host": "applink-sandbox"},
    }


def _elapsed_ms(began: float) -> float:
    return (time.monotonic() - began) * 1000
