"""A proxy between a program and Postgres that can be cut silently and restored."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

_CHUNK = 64 * 1024


class PostgresProxy:
    """Unix sockets on both sides; while cut, nothing passes and nothing is refused.

    Attributes:
        dsn: Address of Postgres through the proxy.
    """

    def __init__(self, dsn: str, folder: Path) -> None:
        url = urlsplit(dsn)
        query = parse_qs(url.query)
        port = query.get("port", [str(url.port or 5432)])[0]
        name = f".s.PGSQL.{port}"
        self._server_path = Path(query["host"][0]) / name
        self._client_path = folder / name
        query["host"] = [str(folder)]
        self.dsn = urlunsplit(url._replace(query=urlencode(query, doseq=True)))
        self._wait_connected = asyncio.Event()
        self._wait_connected.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[PostgresProxy]:
        """Serve until the block ends."""
        server = await asyncio.start_unix_server(self._serve, self._client_path)
        try:
            yield self
        finally:
            self._wait_connected.set()
            self._close_connections()
            server.close()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(set(self._tasks), timeout=5)

    def cut(self) -> None:
        """Let nothing pass from now on."""
        self._wait_connected.clear()

    def restore(self) -> None:
        """Let data pass again; connections that were open are lost."""
        self._close_connections()
        self._wait_connected.set()

    def _close_connections(self) -> None:
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        server_writer: asyncio.StreamWriter | None = None
        try:
            await self._wait_connected.wait()
            answers, server_writer = await asyncio.open_unix_connection(self._server_path)
            self._writers.add(server_writer)
            both = {
                asyncio.create_task(self._forward(reader, server_writer), name="to postgres"),
                asyncio.create_task(self._forward(answers, writer), name="from postgres"),
            }
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in both:
                    one.cancel()
                await asyncio.wait(both)
        except (OSError, asyncio.CancelledError):
            pass  # the connection has ended
        finally:
            for one_writer in (writer, server_writer):
                if one_writer is not None:
                    self._writers.discard(one_writer)
                    one_writer.close()
            self._tasks.discard(task)

    async def _forward(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await source.read(_CHUNK):
                await self._wait_connected.wait()
                to.write(chunk)
                await to.drain()


@asynccontextmanager
async def open_postgres_proxy(dsn: str) -> AsyncIterator[PostgresProxy]:
    """A proxy to a Postgres that listens on a Unix socket."""
    # A short path, because it contains a Unix socket.
    with tempfile.TemporaryDirectory(prefix="sbln-") as folder:
        async with PostgresProxy(dsn, Path(folder)).open() as proxy:
            yield proxy
