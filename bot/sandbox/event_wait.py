"""Waiting for an event, but not for ever."""

import asyncio


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set; `False` if it was not within that many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
