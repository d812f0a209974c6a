"""The official MCP client over HTTP, each request with a token of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
import httpx2
import pytest
from aiohttp import web
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from bot.assembly.backend import utc_now
from bot.assembly.serve import web_server
from bot.mcp.http import PATH, McpEndpoint
from bot.mcp.streamable_http import security_settings
from bot.mcp.tools import Tools
from core.domain.actor import Actor, Origin, Role
from core.store import audit
from core.store.database.engine import Database
from tests.core_harness import CoreHarness, core_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.limits import limit, patient

__all__ = ["core_harness"]

OPERATOR = Actor(role=Role.OPERATOR, origin=Origin.MCP, external_id="token:ci", name="ci")
VIEWER = Actor(role=Role.VIEWER, origin=Origin.MCP, external_id="token:wall", name="wall")
TOKENS = {"Bearer operator": OPERATOR, "Bearer viewer": VIEWER}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


async def authenticate(request: web.Request) -> Actor | web.StreamResponse:
    actor = TOKENS.get(request.headers.get("Authorization", ""))
    if actor is None:
        return web.Response(status=HTTPStatus.UNAUTHORIZED, text="Who are you?")
    return actor


@asynccontextmanager
async def serving(harness: CoreHarness) -> AsyncIterator[str]:
    backend = harness.backend
    tools = Tools(
        runs=backend.runs,
        restarts=backend.restarts,
        statuses=backend.statuses,
        feed=backend.feed,
        clock=utc_now,
    )
    endpoint = McpEndpoint(tools, authenticate, version="1", public_url="https://box.example.com/x")
    app = web.Application()
    app.add_routes(endpoint.routes())
    app.cleanup_ctx.append(endpoint.lifespan)
    async with web_server(app, host="127.0.0.1", port=0) as url:
        yield f"{url}{PATH}"


@asynccontextmanager
async def connected(url: str, token: str, *, mode: str = "auto") -> AsyncIterator[Client]:
    seconds = patient(60)
    async with (
        httpx2.AsyncClient(headers={"Authorization": token}, timeout=seconds) as http,
        limit(60),
        Client(
            streamable_http_client(url, http_client=http), mode=mode, read_timeout_seconds=seconds
        ) as client,
    ):
        yield client


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    result = await client.call_tool(tool, dict(arguments))
    assert not result.is_error, result
    found: dict[str, Any] = result.structured_content
    return found


@pytest.mark.sampled(1)
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_starts_watches_kills_and_continues_a_run(
    core_harness: CoreHarness, database: Database, mode: str
) -> None:
    reported: list[float] = []
    is_seen = asyncio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reported.append(progress)
        assert total == MANY_TURNS
        assert message == "Running"
        is_seen.set()

    lasting = LastingWork(core_harness.model)
    async with (
        core_harness.worker(),
        serving(core_harness) as url,
        connected(url, "Bearer operator", mode=mode) as client,
    ):
        started = await call(
            client,
            "run_workflow",
            workflow_name="implement",
            message=LASTING,
            max_turns=MANY_TURNS,
        )
        run_id = started["run_id"]
        watching = asyncio.create_task(
            client.call_tool(
                "get_workflow_status",
                {"run_id": run_id, "wait_seconds": 300},
                progress_callback=on_progress,
            )
        )
        async with limit(45):
            await is_seen.wait()
        killed = await call(client, "kill_workflow", run_id=run_id, wait_seconds=60)
        watched = await watching
        lasting.finish()
        continued = await call(
            client, "continue_workflow", run_id=run_id, message="go on", additional_turns=5
        )
        finished = await call(
            client, "get_workflow_status", run_id=continued["run_id"], wait_seconds=300
        )

    assert reported == sorted(set(reported))
    assert killed["is_confirmed"]
    assert watched.structured_content["status"] == "killed"
    assert finished["status"] == "completed"
    async with database.sessions() as session:
        entries = await audit.recent(session, 50)
    assert {entry.action for entry in entries if entry.actor.external_id == "token:ci"} == {
        "start",
        "kill",
        "continue",
    }


async def test_each_request_has_the_rights_of_its_token(core_harness: CoreHarness) -> None:
    arguments = {"workflow_name": "fix", "message": "x"}
    async with serving(core_harness) as url:
        async with connected(url, "Bearer viewer") as client:
            refused = await client.call_tool("run_workflow", arguments)
            seen = await call(client, "list_runs")
        async with connected(url, "Bearer operator") as client:
            started = await client.call_tool("run_workflow", arguments)

    assert refused.is_error
    assert refused.structured_content["error"] == "not_allowed"
    assert seen == {"runs": []}
    assert not started.is_error


async def test_nothing_is_answered_without_a_token(core_harness: CoreHarness) -> None:
    async with (
        serving(core_harness) as url,
        aiohttp.ClientSession() as http,
        http.post(url, json=INITIALIZE, headers=ACCEPT) as answer,
    ):
        assert answer.status == HTTPStatus.UNAUTHORIZED
        assert await answer.text() == "Who are you?"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, HTTPStatus.OK),
        ({"Host": "box.example.com"}, HTTPStatus.OK),
        ({"Host": "localhost:8765", "Origin": "http://localhost:8765"}, HTTPStatus.OK),
        ({"Host": "evil.example.com"}, HTTPStatus.MISDIRECTED_REQUEST),
        ({"Origin": "https://evil.example.com"}, HTTPStatus.FORBIDDEN),
    ],
)
async def test_only_known_names_and_origins_are_answered(
    core_harness: CoreHarness, headers: dict[str, str], status: HTTPStatus
) -> None:
    sent = {"Authorization": "Bearer operator", **ACCEPT, **headers}
    async with (
        serving(core_harness) as url,
        aiohttp.ClientSession() as http,
        http.post(url, json=INITIALIZE, headers=sent) as answer,
    ):
        assert answer.status == status


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\x00", b'"\\ud800"', b"1" * 5000])
async def test_what_is_no_request_is_refused(core_harness: CoreHarness, body: bytes) -> None:
    sent = {
        "Authorization": "Bearer operator",
        "Content-Type": "application/json",
        **ACCEPT,
    }
    async with (
        serving(core_harness) as url,
        aiohttp.ClientSession() as http,
        http.post(url, data=body, headers=sent) as answer,
    ):
        assert answer.status == HTTPStatus.BAD_REQUEST


async def test_a_client_that_leaves_and_a_stop_leave_no_error(
    core_harness: CoreHarness, caplog: pytest.LogCaptureFixture
) -> None:
    run = await core_harness.start("Something")
    waiting = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": "get_workflow_status",
            "arguments": {"run_id": run.run_id, "wait_seconds": 300},
        },
    }
    sent = {"Authorization": "Bearer operator", **ACCEPT}
    async with serving(core_harness) as url, aiohttp.ClientSession() as http:
        async with http.post(url, json=waiting, headers=sent) as left:
            left.close()
        staying = await http.post(url, json=waiting, headers=sent)

    staying.close()
    assert (left.status, staying.status) == (HTTPStatus.OK, HTTPStatus.OK)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_without_a_public_address_only_this_machine_is_named() -> None:
    settings = security_settings(None)

    assert {name.removesuffix(":*") for name in settings.allowed_hosts} == {
        "127.0.0.1",
        "localhost",
        "[::1]",
    }
