"""The sandbox as a fixture, and a way to connect a test's own app to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from aiohttp import web
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.delivery import payloads
from bot.sandbox.slack.people import BUILDS
from bot.sandbox.slack.server import ACK_SECONDS, Sandbox, open_sandbox
from tests.limits import patient

SLACK_DATA = Path(__file__).resolve().parents[2] / "shared" / "slack-data"
"""Recorded data about Slack from elsewhere; tests that compare with it skip if it is missing."""


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Slack for one test; problems the real one would report fail the test."""
    # Whether an app is fast enough on this machine is not what these tests ask.
    async with open_sandbox(ack_timeout=patient(ACK_SECONDS)) as opened:
        yield opened
        assert not opened.problems, opened.problems


def new_app(sandbox: Sandbox) -> AsyncApp:
    """A Bolt app that talks to the sandbox."""
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url, timeout=10)
    return AsyncApp(client=client, signing_secret=sandbox.signing_secret)


@contextlib.asynccontextmanager
async def connected(
    app: AsyncApp, sandbox: Sandbox, *, transport: str, connections: int = 1
) -> AsyncIterator[None]:
    """Connect an app until the block ends.

    Args:
        app: The app.
        sandbox: The sandbox to connect to.
        transport: "socket" or "http".
        connections: Number of sockets.
    """
    async with contextlib.AsyncExitStack() as stack:
        if transport == "http":
            runner = web.AppRunner(app.web_app(), access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            sandbox.events_url = f"http://{host}:{port}/slack/events"
        else:
            for _ in range(connections):
                handler = AsyncSocketModeHandler(app, sandbox.app_token, ping_interval=0.5)
                await handler.connect_async()  # type: ignore[no-untyped-call]
                stack.push_async_callback(handler.close_async)
            await sandbox.human.wait_for(
                lambda: len(sandbox.sockets.connections) == connections, what="the connections"
            )
        yield


def command_body(sandbox: Sandbox, words: str) -> dict[str, Any]:
    """A `/workflow` delivery in Slack's form, to send or store directly."""
    workspace = sandbox.workspace
    person, channel = workspace.person(None), workspace.channel(BUILDS)
    return payloads.slash_command(
        person=person,
        channel=channel,
        command="/workflow",
        text=words,
        response_url=sandbox.human._actions.response_url(person, channel),
        trigger_id=workspace.new_trigger(person.id),
    )
