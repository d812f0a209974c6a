"""A minimal connection pooler in transaction mode.

Each client seems to have a connection; each of its transactions gets any free
connection to the server.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests import scram
from tests.limits import limit

_ENCRYPTION = (80877103, 80877104)
_PROTOCOL = 196608
# After these messages the server reports when it is ready again.
_READY_FOLLOWS = (b"Q", b"S")


@dataclass(eq=False)
class _Backend:
    """A connection to the server.

    Attributes:
        client: The client that uses it.
        pending_ready: Number of ready messages that the server still has to send.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    client: asyncio.StreamWriter | None = None
    pending_ready: int = 0


@dataclass
class Pooler:
    """Assigns `backends` connections to transactions in turn.

    Attributes:
        dsn: Address of the Postgres server behind it.
        known_parameters: The accepted startup parameters; a client with another one is
            refused.
    """

    server: str
    backends: int = 1
    known_parameters: frozenset[str] | None = None
    dsn: str = ""
    _free: list[_Backend] = field(default_factory=list)
    _freed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _greeting: bytes = b""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Pooler]:
        """Serve until the block ends."""
        user = urlsplit(self.server).username
        backend_connections = [await self._connect() for _ in range(self.backends)]
        self._free = list(backend_connections)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.dsn = f"postgresql://{user}@127.0.0.1:{port}{urlsplit(self.server).path}"
        self._tasks |= {
            asyncio.create_task(self._forward_answers(backend)) for backend in backend_connections
        }
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.wait(list(self._tasks), timeout=5)
            for backend in backend_connections:
                backend.writer.close()

    async def _connect(self) -> _Backend:
        url = urlsplit(self.server)
        query = parse_qs(url.query)
        socket = Path(query["host"][0]) / f".s.PGSQL.{query.get('port', ['5432'])[0]}"
        backend = _Backend(*await asyncio.open_unix_connection(socket))
        startup = f"user\0{url.username}\0database\0{url.path[1:]}\0\0".encode()
        backend.writer.write(struct.pack("!II", len(startup) + 8, _PROTOCOL) + startup)
        async with limit(10):
            self._greeting = await _log_in(backend, _password(Path(query["passfile"][0])))
            while (message := await _message(backend.reader))[:1] != b"Z":
                self._greeting += message
        return backend

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._handle_client(reader, writer))
        self._tasks.add(serving)
        serving.add_done_callback(self._tasks.discard)

    async def _handle_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if await self._handshake(reader, writer):
                await self._relay_transactions(reader, writer)
        writer.close()

    async def _handshake(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        while True:
            (size,) = struct.unpack("!I", await reader.readexactly(4))
            startup = await reader.readexactly(size - 4)
            if struct.unpack("!I", startup[:4])[0] not in _ENCRYPTION:
                break
            writer.write(b"N")
        parameters = {name.decode() for name in startup[4:].split(b"\0")[:-2:2]}
        if self.known_parameters is not None and (unknown := parameters - self.known_parameters):
            error_text = f"unsupported startup parameter: {min(unknown)}"
            text = f"SERROR\0C08P01\0M{error_text}\0\0".encode()
            writer.write(b"E" + struct.pack("!I", len(text) + 4) + text)
            await writer.drain()
            return False
        writer.write(self._greeting + b"Z\0\0\0\5I")
        return True

    async def _relay_transactions(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        backend: _Backend | None = None
        while (message := await _message(reader))[:1] != b"X":
            if backend is None or backend.client is not writer:
                backend = await self._take()
                backend.client = writer
            backend.pending_ready += message[:1] in _READY_FOLLOWS
            backend.writer.write(message)

    async def _forward_answers(self, backend: _Backend) -> None:
        """Forward the server's messages; the end of a transaction frees the connection."""
        while True:
            message = await _message(backend.reader)
            # It is unknown which client the notification is for.
            if message[:1] == b"A" or backend.client is None:
                continue
            backend.client.write(message)
            if message[:1] == b"Z":
                backend.pending_ready -= 1
                if message[5:] == b"I" and not backend.pending_ready:
                    backend.client = None
                    await self._release(backend)

    async def _take(self) -> _Backend:
        async with self._freed:
            await self._freed.wait_for(lambda: self._free)
            return self._free.pop(0)

    async def _release(self, backend: _Backend) -> None:
        async with self._freed:
            self._free.append(backend)
            self._freed.notify()


def _password(file: Path) -> str:
    return file.read_text().strip().rpartition(":")[2]


async def _log_in(backend: _Backend, password: str) -> bytes:
    """Log in with the password; return the server's message that it has succeeded."""
    while True:
        message = await _message(backend.reader)
        match struct.unpack("!I", message[5:9])[0]:
            case 0:
                return message
            case 10:
                backend.writer.write(scram.first_message())
            case 11:
                backend.writer.write(scram.final_message(message[9:], password))
            case 12:
                pass
            case _:
                raise AssertionError(message)


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One complete message of the protocol."""
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
