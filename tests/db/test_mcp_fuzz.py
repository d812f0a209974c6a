"""No arguments make a tool fail in a way that nobody has foreseen."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from mcp.client.client import Client

from bot.assembly.backend import utc_now
from bot.mcp.server import Context, build_server, tool_list
from bot.mcp.tools import Tools
from core.domain.actor import Actor, Identity, Origin, Role
from core.store.database.engine import Database
from tests.core_harness import open_core_harness

CALLS = 400
STRANGE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    10**40,
    1e308,
    "",
    " ",
    "run_",
    "run_0",
    "run_%",
    "%",
    "_",
    "\\",
    "'; DROP TABLE users; --",
    "fix",
    "implement",
    "\x00",
    "\u202e",
    "é" * 300,
    "x" * 50_000,
    "00000000-0000-0000-0000-000000000000",
    "https://user:password@example.com/x",
    "--upload-pack=x",
    "file:///etc/passwd",
    [],
    {},
    ["a", {"b": None}],
)


async def test_strange_arguments_are_answered(database: Database, tmp_path: Path) -> None:
    numbers = random.Random(12)
    async with open_core_harness(tmp_path / "home", database.dsn) as harness:
        backend = harness.backend
        identity = Identity(origin=Origin.MCP, external_id="local:me", name="me")
        actor = await backend.people.ensure_actor(identity, role=Role.OPERATOR)

        async def actor_of(_: Context) -> Actor:
            return actor

        tools = Tools(
            runs=backend.runs,
            restarts=backend.restarts,
            statuses=backend.statuses,
            feed=backend.feed,
            clock=utc_now,
        )
        listed = tool_list(backend.runs.workflows)
        known = [(await harness.start("x")).run_id for _ in range(3)]
        failed, succeeded = [], 0
        async with Client(build_server(tools, actor_of, version="1")) as client:
            for _ in range(CALLS):
                tool = numbers.choice(listed)
                arguments = _arguments(tool.input_schema["properties"], known, numbers)
                result = await client.call_tool(tool.name, arguments)
                succeeded += not result.is_error
                if result.is_error and result.structured_content["error"] == "internal_error":
                    failed.append((tool.name, arguments, result.content))

    assert failed == []
    assert succeeded > CALLS / 20


def _arguments(
    properties: dict[str, Any], known: list[str], numbers: random.Random
) -> dict[str, Any]:
    """Mostly what a tool accepts, with one or two strange values."""
    usual: dict[str, Any] = {
        "workflow_name": "fix",
        "message": "work",
        "run_id": numbers.choice(known),
    }
    arguments = {name: value for name, value in usual.items() if name in properties}
    for name in numbers.sample(sorted(properties), k=numbers.choice((0, 1, 1, 2))):
        arguments[name] = numbers.choice(STRANGE)
    if "wait_seconds" in properties:
        # Nothing ends here, since there is no worker.
        arguments["wait_seconds"] = 0
    return arguments
