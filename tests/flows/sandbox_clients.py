"""Clients of the sandbox, and the errors of refused calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.server import Sandbox

Document = dict[str, Any]

SECTION: Document = {"type": "section", "text": {"type": "mrkdwn", "text": "hello"}}


@pytest.fixture
def client(sandbox: Sandbox) -> AsyncWebClient:
    return AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url, timeout=5)


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def error_of_refused_call(sandbox: Sandbox, call: Any) -> str:
    """The error code of a call; its problems are expected and removed."""
    with pytest.raises(SlackApiError) as caught:
        await call
    sandbox.take_problems()
    return str(caught.value.response["error"])
