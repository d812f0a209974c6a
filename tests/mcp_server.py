"""A small MCP server, as a program and over HTTP, for tests of the agent's servers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

PROGRAM = __file__
TOOL = {"name": "hello", "description": "Say hello.", "inputSchema": {"type": "object"}}


def answer(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """The answer to a message; `None` to a notification.

    The tool tells what the server was started with.
    """
    if "id" not in message:
        return None
    method = message["method"]
    result: dict[str, Any] = {}
    if method == "initialize":
        version = message["params"]["protocolVersion"]
        result = {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "test", "version": "1"},
        }
    elif method == "tools/list":
        result = {"tools": [TOOL]}
    elif method == "tools/call":
        told = {"arguments": sys.argv[1:], "port": os.environ.get("PORT")}
        result = {"content": [{"type": "text", "text": json.dumps(told)}]}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


@asynccontextmanager
async def open_mcp_server() -> AsyncIterator[str]:
    """Serve over HTTP until the block ends; gives the address of a server that works.

    Beside it `/login` wants a login, and what else there may be is not found.
    """

    async def post(request: web.Request) -> web.Response:
        found = answer(await request.json())
        return web.Response(status=202) if found is None else web.json_response(found)

    async def no_stream(_request: web.Request) -> web.Response:
        return web.Response(status=405)

    async def login(_request: web.Request) -> web.Response:
        return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})

    app = web.Application()
    app.router.add_post("/mcp", post)
    app.router.add_get("/mcp", no_stream)
    app.router.add_route("*", "/login", login)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    for line in sys.stdin:
        reply = answer(json.loads(line))
        if reply is not None:
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()
