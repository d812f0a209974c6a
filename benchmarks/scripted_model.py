"""The scripted model in its own process, because the real one is on another machine.

It prints its URL and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import sys

from bot.sandbox.model.server import open_model


async def main() -> None:
    """Serve until standard input is closed."""
    async with open_model() as model:
        print(model.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
