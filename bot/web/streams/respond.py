"""Sends a stream to its client, at the client's pace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import hdrs, web

from bot.web.errors import API_HEADERS
from bot.web.openapi import EVENT_STREAM
from bot.web.streams.gate import Place
from bot.web.streams.server_sent import RETRY

log = logging.getLogger(__name__)

# A client that takes nothing for so long is not there any more, or will never keep up.
_STALLED_SECONDS = 60.0
# At the end, for the last bytes.
_CLOSE_SECONDS = 1.0
_HEADERS = {
    hdrs.CONTENT_TYPE: f"{EVENT_STREAM}; charset=utf-8",
    hdrs.CACHE_CONTROL: "no-store, no-transform",
    # nginx and what follows its convention would keep events back.
    "X-Accel-Buffering": "no",
}


async def send_stream(
    request: web.Request,
    chunks: AsyncGenerator[bytes, None],
    place: Place,
    *,
    stalled_seconds: float = _STALLED_SECONDS,
) -> web.StreamResponse:
    """Answer with a stream, until it ends, the client leaves, or the server stops it.

    A chunk is taken only when the client has room for it: at most some 128 KB wait to be sent.
    Whatever ends the stream early, the client can go on where it was.
    """
    response = web.StreamResponse(headers={**API_HEADERS, **_HEADERS})
    try:
        async with place.lasting(), aclosing(chunks):
            await response.prepare(request)
            await response.write(RETRY)
            async for chunk in chunks:
                async with asyncio.timeout(stalled_seconds):
                    await response.write(chunk)
        async with asyncio.timeout(_CLOSE_SECONDS):
            await response.write_eof()
    except ConnectionError:
        # The client has left, which is how most streams end.
        return response
    except TimeoutError:
        log.info("a client took nothing of its stream", extra={"event": "stream.stalled"})
        _cut_off(request)
    except Exception:
        # The answer has begun, so nothing but its end can tell the client.
        log.exception("a stream failed", extra={"event": "stream.failed"})
        _cut_off(request)
    return response


def _cut_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
