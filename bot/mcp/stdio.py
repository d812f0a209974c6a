"""The MCP server on standard input and output, for a client that starts it as its child."""

from __future__ import annotations

from typing import Any

from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server


async def serve_stdio(server: Server[dict[str, Any]]) -> None:
    """Serve one client until it closes the pipe.

    Meanwhile the process's own standard output is its standard error, so that nothing but the
    protocol reaches the client.
    """
    async with stdio_server() as (requests, answers):
        await server.run(requests, answers, server.create_initialization_options())
