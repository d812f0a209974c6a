"""The MCP endpoint of a bot: the official client, with the tokens of the HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.assembly.backend import utc_now
from bot.assembly.serve import web_server
from bot.assembly.web.mcp import by_token
from bot.mcp.http import PATH, McpEndpoint
from bot.mcp.tools import Tools
from bot.web.authentication import Authentication
from core.domain.actor import SYSTEM, Origin, Role
from core.domain.runs.request import Place
from core.domain.token import NewToken
from core.services.context import ServiceContext
from core.services.tokens import TokenService
from core.store import audit
from core.store.database.engine import Database
from core.store.runs import run_queries
from tests.api import FakeMembers
from tests.core_harness import CoreHarness, core_harness
from tests.flows.test_mcp_http import ACCEPT, INITIALIZE, call, connected
from tests.harness import open_harness

__all__ = ["core_harness"]

CHANNEL = Place(team_id="T1", channel_id="C1")
NEVER_MADE = "sbx_" + "0" * 43


@asynccontextmanager
async def serving(harness: CoreHarness) -> AsyncIterator[str]:
    backend = harness.backend
    tools = Tools(
        runs=backend.runs,
        restarts=backend.restarts,
        statuses=backend.statuses,
        feed=backend.feed,
        clock=utc_now,
        place=lambda: CHANNEL,
    )
    members = FakeMembers(backend.people, {"U1": Role.RUNNER})
    authentication = Authentication(
        tokens=backend.tokens, members=members, auditor=backend.people, origin=Origin.MCP
    )
    endpoint = McpEndpoint(tools, by_token(authentication, backend.people), version="1")
    app = web.Application(client_max_size=1024 * 1024)
    app.add_routes(endpoint.routes())
    app.cleanup_ctx.append(endpoint.lifespan)
    async with web_server(app, host="127.0.0.1", port=0) as url:
        yield f"{url}{PATH}"


async def new_token(
    database: Database, role: Role | None, *, name: str = "ci", user: str | None = None
) -> str:
    service = TokenService(ServiceContext(database, utc_now))
    request = NewToken(name=name, role=role, slack_user_id=user)
    return (await service.create(request, by=SYSTEM))[1]


async def test_a_token_starts_runs_of_its_own_in_the_channel(
    core_harness: CoreHarness, database: Database
) -> None:
    token = await new_token(database, Role.RUNNER)
    other = await new_token(database, Role.RUNNER, name="other")
    async with serving(core_harness) as url:
        async with connected(url, f"Bearer {token}") as client:
            started = await call(client, "run_workflow", workflow_name="fix", message="x")
        async with connected(url, f"Bearer {other}") as client:
            seen = await call(client, "list_runs")
            refused = await client.call_tool("kill_workflow", {"run_id": started["run_id"]})
        async with connected(url, f"Bearer {token}") as client:
            killed = await call(client, "kill_workflow", run_id=started["run_id"], wait_seconds=0)

    assert [run["run_id"] for run in seen["runs"]] == [started["run_id"]]
    assert refused.is_error
    assert refused.structured_content["error"] == "not_allowed"
    assert killed["run_id"] == started["run_id"]
    async with database.sessions() as session:
        run = await run_queries.get(session, started["run_id"])
        trail = await audit.recent(session, 20)
    assert (run.slack_team_id, run.slack_channel_id) == ("T1", "C1")
    assert run.user_id is not None
    acts = [one for one in trail if one.actor.origin == Origin.MCP]
    assert {(one.action, one.details.get("token"), one.allowed) for one in acts} >= {
        ("start", "ci", True),
        ("kill", "other", False),
        ("kill", "ci", True),
    }


async def test_a_members_token_has_the_members_role(
    core_harness: CoreHarness, database: Database
) -> None:
    token = await new_token(database, None, user="U1")
    gone = await new_token(database, None, name="gone", user="U2")
    async with serving(core_harness) as url:
        async with connected(url, f"Bearer {token}") as client:
            started = await client.call_tool(
                "run_workflow", {"workflow_name": "fix", "message": "x"}
            )
        status, error = await initialize(url, {"Authorization": f"Bearer {gone}"})

    assert not started.is_error
    assert (status, error) == (HTTPStatus.FORBIDDEN, "no_such_member")


async def initialize(url: str, headers: dict[str, str]) -> tuple[int, str | None]:
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json=INITIALIZE, headers={**ACCEPT, **headers}) as answer,
    ):
        if answer.status == HTTPStatus.OK:
            return answer.status, None
        if answer.status == HTTPStatus.UNAUTHORIZED:
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        return answer.status, (await answer.json())["error"]


async def test_without_a_valid_token_nothing_is_answered(
    core_harness: CoreHarness, database: Database
) -> None:
    clock = utc_now()
    valid = await new_token(database, Role.VIEWER)
    revoked = await new_token(database, Role.ADMIN, name="revoked")
    service = TokenService(ServiceContext(database, utc_now))
    await service.revoke("revoked", by=SYSTEM)
    past = TokenService(ServiceContext(database, lambda: clock - timedelta(days=2)))
    request = NewToken(name="expired", role=Role.ADMIN, lifetime=timedelta(days=1))
    expired = (await past.create(request, by=SYSTEM))[1]
    headers = [
        {},
        {"Authorization": f"Bearer {NEVER_MADE}"},
        {"Authorization": f"Bearer {revoked}"},
        {"x-api-key": expired},
        {"x-api-key": valid},
    ]

    async with serving(core_harness) as url:
        answers = [await initialize(url, one) for one in headers]
        with pytest.raises(BaseExceptionGroup):
            async with connected(url, f"Bearer {revoked}") as client:
                await client.list_tools()

    assert answers == [*[(HTTPStatus.UNAUTHORIZED, "unauthenticated")] * 4, (HTTPStatus.OK, None)]
    async with database.sessions() as session:
        trail = await audit.recent(session, 20)
    refused = [one for one in trail if not one.allowed]
    assert {(one.actor.origin, one.actor.name, one.reason) for one in refused} == {
        (Origin.MCP, "revoked", "revoked"),
        (Origin.MCP, "expired", "expired"),
    }


async def test_a_body_that_is_too_long_is_refused(
    core_harness: CoreHarness, database: Database
) -> None:
    token = await new_token(database, Role.VIEWER)
    sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **ACCEPT}
    async with (
        serving(core_harness) as url,
        aiohttp.ClientSession() as http,
        http.post(url, data=BytesIO(b" " * 1_100_000), headers=sent) as answer,
    ):
        assert answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


async def test_a_whole_bot_serves_mcp_with_its_api(database: Database, tmp_path: Path) -> None:
    async with (
        open_harness(database, tmp_path / "home", transport="socket") as harness,
        harness.serving() as running,
    ):
        token = await new_token(database, Role.RUNNER)
        refused = await initialize(f"{running.url}{PATH}", {})
        async with connected(f"{running.url}{PATH}", f"Bearer {token}") as client:
            tools = await client.list_tools()
            started = await call(client, "run_workflow", workflow_name="fix", message="Fix it")
            ended = await call(
                client, "get_workflow_status", run_id=started["run_id"], wait_seconds=300
            )
        await harness.settle()

    assert refused == (HTTPStatus.UNAUTHORIZED, "unauthenticated")
    assert "kill_workflow" in {tool.name for tool in tools.tools}
    assert ended["status"] == "completed"
