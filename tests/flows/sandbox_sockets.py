"""A Socket Mode client without a library, and a sandbox with a short timeout."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.server import Sandbox, open_sandbox
from tests.flows.sandbox_clients import Document
from tests.limits import patient


@pytest_asyncio.fixture
async def short_timeout_sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox with a short time for acknowledgements."""
    async with open_sandbox(ack_timeout=0.2) as opened:
        yield opened


@pytest_asyncio.fixture
async def unchecked_sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox whose problems do not fail the test."""
    async with open_sandbox(ack_timeout=10) as opened:
        yield opened


class Listener:
    """A Socket Mode client without a library; it sees the envelopes themselves."""

    def __init__(self, sandbox: Sandbox, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.sandbox = sandbox
        self.socket = socket

    async def next(self) -> Document:
        """The next message, within a time limit."""
        message: Document = await self.socket.receive_json(timeout=patient(10))
        return message

    async def acknowledge(self, envelope: Document, payload: Document | None = None) -> None:
        answer = {"envelope_id": envelope["envelope_id"]}
        await self.socket.send_json(answer | ({"payload": payload} if payload else {}))


async def new_link(sandbox: Sandbox) -> str:
    client = AsyncWebClient(base_url=sandbox.api_url)
    opened = await client.apps_connections_open(app_token=sandbox.app_token)
    return str(opened["url"])


async def listen(sandbox: Sandbox, http: aiohttp.ClientSession) -> Listener:
    listener = Listener(sandbox, await http.ws_connect(await new_link(sandbox)))
    hello = await listener.next()
    assert hello["type"] == "hello"
    return listener
