"""HTTP byte by byte, for requests that no client would send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.api import ApiHarness
from tests.limits import limit

# Between two parts of a request.
PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class RawReply:
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        """The code of an error, which has the one shape and nothing else."""
        assert self.headers["content-type"] == "application/json", self
        found: dict[str, Any] = json.loads(self.body)
        assert set(found) == {"error", "message", "details"}
        assert found["message"]
        return str(found["error"])


async def send(api: ApiHarness, *parts: bytes, is_all: bool = False) -> RawReply | None:
    """Send bytes in parts, and read one answer; `None` if the connection ends without one.

    With `is_all` the server is told that nothing follows, so that it does not wait for the rest.
    """
    host, _, port = api.host.partition(":")
    async with limit(30):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            for number, part in enumerate(parts):
                if number:
                    await asyncio.sleep(PAUSE_SECONDS)
                writer.write(part)
                await writer.drain()
            if is_all:
                await asyncio.sleep(PAUSE_SECONDS)
                writer.write_eof()
            return await read(reader)
        except ConnectionError:
            return None
        finally:
            writer.close()


async def read(reader: asyncio.StreamReader) -> RawReply | None:
    """Read one answer; `100 Continue` comes before one."""
    head = b"HTTP/1.1 100"
    while head.startswith(b"HTTP/1.1 100"):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (one.partition(":") for one in lines if one)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return RawReply(int(line.split()[1]), headers, body)


def request(
    line: bytes = b"GET /healthz HTTP/1.1", headers: Sequence[bytes] = (), body: bytes = b""
) -> bytes:
    return b"\r\n".join([line, b"Host: x", *headers, b"", body])
