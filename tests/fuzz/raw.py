"""Raw bytes to the web server: other routes, other methods, and what is not HTTP."""

from __future__ import annotations

import asyncio
import random
from urllib.parse import urlsplit

from tests.limits import limit

_PATHS = ("/", "/healthz", "/readyz", "/slack/events", "/slack/../etc", "/%00", "/x" * 500, "*",
          "//", "/slack/events?x=%ff", "http://elsewhere/", "/é")  # fmt: skip
_METHODS = (
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "P\x00ST",
    "",
    "X" * 99,
)
_VERSIONS = ("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", "", "HTTP/1.1 x")
_HEADERS = (
    "Content-Length: 5", "Content-Length: -1", "Content-Length: x", "Content-Length: 99999999999",
    "Transfer-Encoding: chunked", "Transfer-Encoding: klingon", "Content-Encoding: gzip",
    "Expect: 100-continue", "Expect: x", "Connection: close", "Upgrade: websocket",
    "Host: ", "X: \x01",
    "no colon", ": no name", "X" * 9000 + ": x", "X: " + "y" * 9000, "Content-Type: a/b/c",
    "X-Slack-Signature: v0=" + "0" * 64, "X-Slack-Request-Timestamp: 1", "Cookie: a=b; \xff",
)  # fmt: skip
_BODIES = (
    b"",
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"zz\r\n",
    b"{}",
    b"\x16\x03\x01\x02\x00",
    b"\0" * 99,
)


# Longer than an answer takes.
_PAUSE_SECONDS = 0.5


async def raw_request(url: str, chance: random.Random, *, timeout: float) -> str:
    """Send one request that may be anything; return the status, or how the connection ended."""
    head = f"{chance.choice(_METHODS)} {chance.choice(_PATHS)} {chance.choice(_VERSIONS)}\r\n"
    headers = [] if chance.random() < 0.1 else ["Host: x", "Connection: close"]
    headers += chance.sample(_HEADERS, chance.randrange(5))
    sent = head.encode("latin-1", "replace") + "".join(f"{line}\r\n" for line in headers).encode(
        "latin-1", "replace"
    )
    sent += b"\r\n" + chance.choice(_BODIES)
    if chance.random() < 0.1:
        sent = chance.randbytes(200)
    host, port = urlsplit(url).hostname, urlsplit(url).port
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(sent)
        await writer.drain()
        try:
            async with asyncio.timeout(_PAUSE_SECONDS):
                line = await reader.readline()
        except TimeoutError:
            # It waits for the rest of a request that has none.
            writer.write_eof()
            async with limit(timeout):
                line = await reader.readline()
    except ConnectionError:
        return "closed"
    except TimeoutError:
        return "none"
    finally:
        writer.close()
    parts = line.split()
    return parts[1].decode("ascii", "replace") if len(parts) > 1 else "closed"
