"""One side of an HTTP/1.1 connection: h11's state machine with its streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import h11

MAX_HEAD_BYTES = 64 * 1024
# A stream buffers twice as much before its sender has to wait.
CHUNK_BYTES = 64 * 1024


class ConnectionLost(Exception):
    """The other side closed the connection in the middle of a message."""


class HttpPeer:
    """A connection to a client or a server.

    Attributes:
        on_activity: Called whenever bytes have come or gone.
    """

    def __init__(
        self,
        role: type[h11.CLIENT] | type[h11.SERVER],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        on_activity: Callable[[], object],
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.on_activity = on_activity
        self._http = h11.Connection(role, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def receive(self) -> h11.Event:
        """Wait for the next event of the other side.

        Raises:
            h11.RemoteProtocolError: If the other side does not speak HTTP/1.
            ConnectionLost: If it closed the connection too early.
            OSError: If the connection failed.
        """
        while True:
            event = self._http.next_event()
            if event is h11.PAUSED:
                raise ConnectionLost
            if isinstance(event, h11.ConnectionClosed):
                raise ConnectionLost
            if isinstance(event, h11.Event):
                return event
            received = await self.reader.read(CHUNK_BYTES)
            self._http.receive_data(received)
            self.on_activity()

    async def send(self, event: h11.Event) -> None:
        """Send an event, and wait until the other side has taken most of what was sent.

        Raises:
            h11.LocalProtocolError: If the event may not follow what was sent before.
            OSError: If the connection failed.
        """
        encoded = self._http.send(event)
        if encoded:
            self.writer.write(encoded)
            await self.writer.drain()
            self.on_activity()

    @property
    def can_answer(self) -> bool:
        """Whether no part of an answer was sent yet, of a server."""
        return self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE)

    @property
    def early_bytes(self) -> bytes:
        """What the other side sent after the head of a `CONNECT` or of the answer to it."""
        return self._http.trailing_data[0]
