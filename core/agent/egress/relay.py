"""Carries bytes between two connections without looking at them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from core.agent.egress.http_peer import CHUNK_BYTES


async def relay(
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    *,
    on_activity: Callable[[], object],
) -> None:
    """Carry bytes in both directions until both sides have ended theirs.

    The end of one direction is passed on, and the other goes on.  A side that takes nothing makes
    the other wait.

    Raises:
        OSError: If one of the connections failed.
    """
    try:
        async with asyncio.TaskGroup() as directions:
            directions.create_task(_carry(client[0], server[1], on_activity), name="relay up")
            directions.create_task(_carry(server[0], client[1], on_activity), name="relay down")
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _carry(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, on_activity: Callable[[], object]
) -> None:
    while received := await source.read(CHUNK_BYTES):
        sink.write(received)
        await sink.drain()
        on_activity()
    # An encrypted connection cannot end one direction only.
    if sink.can_write_eof():
        sink.write_eof()
