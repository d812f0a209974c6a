"""A process loads only the libraries that it needs; each costs memory in every one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_HEAVY = ("claude_agent_sdk", "mcp", "slack_bolt")


def loaded(*modules: str) -> dict[str, set[str]]:
    """The heavy libraries that are loaded after each of these imports, in one new process."""
    steps = (f"import {module}; print('{module}', *sys.modules)" for module in modules)
    program = "\n".join(("import sys", *steps))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    found = [line.split() for line in done.stdout.splitlines()]
    return {module: set(names) & set(_HEAVY) for module, *names in found}


def test_what_starts_every_process_loads_no_heavy_library_and_a_bot_only_slacks() -> None:
    # A bot is what every process has, and Slack's side.
    assert loaded(
        "bot.cli.main",
        "bot.assembly.web.api",
        "bot.assembly.web.monitoring",
        "bot.assembly.web.mcp",
        "bot.assembly.app",
        "bot.slack.service",
    ) == {
        "bot.cli.main": set(),
        "bot.assembly.web.api": set(),
        "bot.assembly.web.monitoring": set(),
        "bot.assembly.web.mcp": set(),
        "bot.assembly.app": set(),
        "bot.slack.service": {"slack_bolt"},
    }


def test_the_mcp_server_loads_its_own_only() -> None:
    assert loaded("bot.mcp.streamable_http", "bot.cli.mcp_server") == {
        "bot.mcp.streamable_http": {"mcp"},
        "bot.cli.mcp_server": {"mcp"},
    }


_FIRST_REQUESTS = """
import asyncio, sys
from http import HTTPStatus
import aiohttp
from aiohttp import web
from bot.assembly.serve import web_server
from bot.mcp.http import McpEndpoint
from core.domain.actor import Actor, Origin, Role

async def authenticate(request):
    if "Authorization" not in request.headers:
        return web.Response(status=HTTPStatus.UNAUTHORIZED)
    return Actor(role=Role.VIEWER, origin=Origin.MCP)

async def main():
    endpoint = McpEndpoint(None, authenticate, version="1")
    app = web.Application()
    app.add_routes(endpoint.routes())
    app.cleanup_ctx.append(endpoint.lifespan)
    async with web_server(app, host="127.0.0.1", port=0) as url, aiohttp.ClientSession() as http:
        for headers in ({}, {"Authorization": "Bearer x"}):
            async with http.post(f"{url}/mcp", data=b"{}", headers=headers) as answer:
                print(answer.status, "mcp" in sys.modules)

asyncio.run(main())
"""


def test_the_first_request_with_a_token_loads_the_mcp_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_REQUESTS],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )

    refused, answered = done.stdout.splitlines()
    assert refused == "401 False"
    # What it says to `{}` is that it is no request.
    assert answered.split() == ["400", "True"]
    assert done.stderr == ""
