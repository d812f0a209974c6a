"""The smallest possible Bolt app: it only acknowledges `/workflow`.

Arguments: API URL, bot token, app token.  Serves over Socket Mode until its input ends.
"""

from __future__ import annotations

import asyncio
import sys

from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient


async def main(api_url: str, bot_token: str, app_token: str) -> None:
    """Acknowledge until standard input is closed."""
    app = AsyncApp(client=AsyncWebClient(token=bot_token, base_url=api_url, timeout=10))

    async def acknowledge(ack: AsyncAck) -> None:
        await ack()

    app.command("/workflow")(acknowledge)
    handler = AsyncSocketModeHandler(app, app_token)
    await handler.connect_async()  # type: ignore[no-untyped-call]
    print("connected", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await handler.close_async()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
