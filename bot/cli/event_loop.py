"""The event loop of a process that serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def server_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop of a process that serves; `None` for asyncio's own.

    uvloop does the same as asyncio's loop in fewer steps: a bot or a worker takes a tenth less of
    the processor.  There is none for Windows, and a process works without it.
    """
    try:
        # A command that only asks does not load it.
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop
