"""Socket Mode: single-use links, up to ten connections, each envelope to one of them."""

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
# What Slack tells in its hello: how long a connection lives, about.
CONNECTION_LIFETIME_SECONDS = 18_060


@dataclass(eq=False)
class Connection:
    """One WebSocket of the app.

    Attributes:
        unacknowledged: Envelopes sent over it and not acknowledged yet.
        is_leaving: It was asked to go; no new envelope takes it.
        is_frozen: Half-open: what comes over it is ignored, no ping is answered; gone only when
            the app gives it up.
    """

    socket: web.WebSocketResponse
    request: web.Request
    unacknowledged: dict[str, "asyncio.Future[Document | None]"] = field(default_factory=dict)
    is_draining: bool = False
    is_frozen: bool = False


class ConnectionGone(Exception):
    """The connection an envelope was sent over is closed."""


class SocketMode:
    """The server side of Socket Mode.

    Attributes:
        connections: Those that are open.
        opened: How many were ever opened.
    """

    def __init__(self, *, clock: Clock, inspector: Inspector, url: str) -> None:
        self.connections: set[Connection] = set()
        self.opened = 0
        self._clock = clock
        self._inspector = inspector
        self._url = url.replace("http", "ws", 1)
        self._tickets: dict[str, float] = {}
        self._refused_connects: float = 0
        # Connects that get no answer at all, and those that are let in and told nothing.
        self._hanging_connects: float = 0
        self._without_hello: float = 0
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()

    def new_link(self) -> str:
        """A single-use address to connect to, good for half a minute."""
        ticket = secrets.token_urlsafe(24)
        self._tickets[ticket] = self._clock.now()
        return f"{self._url}/link/?ticket={ticket}&app_id={APP_ID}"

    async def link(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection for as long as it lives."""
        await self._admit(request)
        # Pings and goodbyes are ours to answer: a half-open connection does not.
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
        """Let a connect in, or raise what it is refused with."""
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
        """Hear the app until it goes."""
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
            envelope_id = message["envelope_id"]
        except (ValueError, TypeError, KeyError):
            self._inspector.add_problem("bad_ack", "socket_mode", f"not an acknowledgement: {data}")
            return
        waiting = connection.unacknowledged.get(envelope_id)
        # One that comes too late was complained of when its time was up.
        if waiting is not None and not waiting.done():
            waiting.set_result(message.get("payload"))

    async def attempt(
        self, kind: str, payload: Document, *, retry: int, reason: str, timeout: float
    ) -> DeliveryResult:
        """Send one envelope to one of the connections and wait for its acknowledgement."""
        began = time.monotonic()
        if not self.opened:
            # There is no app yet; one that is only reconnecting is waited for.
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
        """Trouble the connections.

        Args:
            how: "refresh" (Slack asks the app to reconnect), "abrupt" (cut without a word),
                "refuse" (cut, and refuse the next `times` connects), "accept" (no longer
                refuse), "freeze" (half-open from now on: envelopes vanish, pings stay without
                an answer), "hang" (cut, and leave the next connects without an answer), "hush"
                (cut, and let the next in without a hello), or a reason Slack gives: "warning",
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
