"""One connection of an agent's program to the proxy: one request, or one tunnel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

import h11

from core.agent.egress.forwarding import forward
from core.agent.egress.http_peer import CHUNK_BYTES, ConnectionLost, HttpPeer
from core.agent.egress.refusals import refusal_text
from core.agent.egress.relay import relay
from core.agent.egress.routes import Refused, Routes, Unreachable
from core.agent.egress.targets import BadTarget, connect_target, http_target

log = logging.getLogger(__name__)

HEAD_LIMIT = timedelta(seconds=30)
# A model can think for minutes between two bytes.
IDLE_LIMIT = timedelta(minutes=30)
# How long a client whose request was not taken may go on sending, so that it reads the answer
# before a reset.
_LINGER_SECONDS = 2
# How long the last bytes of an answer may take.
_CLOSE_SECONDS = 10
_MAX_PROBLEM_CHARS = 300


@dataclass(frozen=True, kw_only=True)
class ClientService:
    """Serves the connections of one attempt.

    Attributes:
        head_limit: How long a client may take for the head of its request.
        idle_limit: How long a connection may carry nothing in either direction.
    """

    routes: Routes
    on_refused: Callable[[Refused], object]
    head_limit: timedelta = HEAD_LIMIT
    idle_limit: timedelta = IDLE_LIMIT

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client until its request is answered, or its tunnel has ended.

        Whatever the client does leads to an answer or to the end of its connection.
        """
        client = HttpPeer(h11.SERVER, reader, writer, on_activity=lambda: None)
        try:
            await self._serve(client)
        except (ConnectionLost, OSError, h11.ProtocolError) as error:
            log.debug(
                "connection ended: %s", type(error).__name__, extra={"event": "connection.failed"}
            )
            writer.transport.abort()
        except BaseException:
            writer.transport.abort()
            raise
        else:
            await close_stream(writer)

    async def _serve(self, client: HttpPeer) -> None:
        try:
            async with asyncio.timeout(self.head_limit.total_seconds()):
                request = await client.receive()
        except TimeoutError:
            await _answer(client, HTTPStatus.REQUEST_TIMEOUT, "the request did not come in time")
            return
        except h11.RemoteProtocolError as error:
            await _answer(client, HTTPStatus(error.error_status_hint), f"not HTTP: {error}")
            return
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.idle_limit.total_seconds()) as limit:
            client.on_activity = lambda: limit.reschedule(
                loop.time() + self.idle_limit.total_seconds()
            )
            if isinstance(request, h11.Request):
                await self._serve_request(client, request)

    async def _serve_request(self, client: HttpPeer, request: h11.Request) -> None:
        is_head = request.method == b"HEAD"
        try:
            _check_framing(request)
            if request.method == b"CONNECT":
                await self._serve_tunnel(client, request)
            else:
                await self._serve_http(client, request)
        except BadTarget as error:
            await _answer(client, HTTPStatus.BAD_REQUEST, str(error), is_head=is_head)
        except Refused as refused:
            self.on_refused(refused)
            await _answer(client, HTTPStatus.FORBIDDEN, refusal_text(refused), is_head=is_head)
        except Unreachable as error:
            await _answer(client, HTTPStatus.BAD_GATEWAY, str(error), is_head=is_head)

    async def _serve_tunnel(self, client: HttpPeer, request: h11.Request) -> None:
        endpoint = connect_target(request.target)
        if not isinstance(await client.receive(), h11.EndOfMessage):
            raise BadTarget("CONNECT has no body")
        route = await self.routes.open(endpoint, is_tunnel=True)
        try:
            await client.send(
                h11.Response(status_code=200, headers=[], reason=b"Connection established")
            )
            client.writer.write(route.early_bytes)
            route.writer.write(client.early_bytes)
            await relay(
                (client.reader, client.writer),
                (route.reader, route.writer),
                on_activity=client.on_activity,
            )
        except BaseException:
            route.writer.transport.abort()
            raise
        await close_stream(route.writer)

    async def _serve_http(self, client: HttpPeer, request: h11.Request) -> None:
        target = http_target(request.target)
        route = await self.routes.open(target.endpoint, is_tunnel=False)
        try:
            await forward(client, request, target, route)
        except (ConnectionLost, OSError, h11.ProtocolError) as error:
            if not client.can_answer:
                raise
            raise Unreachable(f"{target.endpoint} gave no valid answer") from error
        finally:
            route.writer.transport.abort()


async def close_stream(writer: asyncio.StreamWriter) -> None:
    """Close a connection once the other side has taken what was sent, or after a while."""
    writer.close()
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await writer.wait_closed()
    except OSError:
        writer.transport.abort()


async def _answer(
    client: HttpPeer, status: HTTPStatus, problem: str, *, is_head: bool = False
) -> None:
    """Answer with one line of text, and let the client finish what it is sending."""
    line = " ".join(problem.split())[:_MAX_PROBLEM_CHARS]
    body = f"{line}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    await client.send(h11.Response(status_code=status, headers=headers, reason=status.phrase))
    if not is_head:
        await client.send(h11.Data(data=body))
    await client.send(h11.EndOfMessage())
    client.writer.write_eof()
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while await client.reader.read(CHUNK_BYTES):
                pass


def _check_framing(request: h11.Request) -> None:
    names = [name for name, _ in request.headers]
    if b"content-length" in names and b"transfer-encoding" in names:
        raise BadTarget("a request has Content-Length or Transfer-Encoding, not both")
