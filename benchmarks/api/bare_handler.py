"""The baseline: a bare aiohttp handler with asyncpg that answers a status from one indexed select.

Argument: the DSN.  It has the route of the real one, reads the columns of the older API's base
fields, and writes them as JSON: no token, no rights, no validation, no steps, no result, nothing
composed.  It runs on the event loop that a bot has.  Prints its process number and its URL, and
serves until its input ends.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys

import asyncpg
from aiohttp import web

from bot.cli.event_loop import server_loop

_PATH = "/api/v1/workflows/claude-code/run/{run_id}/status"
_SELECT = """
    SELECT run_id, status, session_id, workflow_name, started_at, updated_at, completed_at, result,
        error_message, final_commit_hash, cost_estimate, total_tokens, turns, tool_calls,
        tools_used, last_activity, max_turns
    FROM workflow_runs WHERE run_id = $1
"""
_CONNECTIONS = 10


async def main(dsn: str) -> None:
    """Serve until standard input is closed."""
    dumps = functools.partial(json.dumps, default=str)
    async with asyncpg.create_pool(dsn, min_size=_CONNECTIONS, max_size=_CONNECTIONS) as pool:

        async def status(request: web.Request) -> web.Response:
            row = await pool.fetchrow(_SELECT, request.match_info["run_id"])
            if row is None:
                raise web.HTTPNotFound
            return web.json_response(dict(row), dumps=dumps)

        app = web.Application()
        app.router.add_get(_PATH, status)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"{os.getpid()} http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()


if __name__ == "__main__":
    # The same event loop as a bot has.
    with asyncio.Runner(loop_factory=server_loop()) as runner:
        runner.run(main(sys.argv[1]))
