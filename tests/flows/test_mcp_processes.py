"""The official MCP client with a real `signalbox up`: over a pipe, and over HTTP with a token."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from core.domain.actor import Origin
from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus, StopReason
from core.store import terminations
from core.store.database.engine import Database
from core.store.runs import run_queries
from tests.flows.test_processes_up import process
from tests.harness import Harness, open_harness
from tests.lasting import LASTING, LastingWork
from tests.limits import limit, patient
from tests.processes import Program, environment, run_to_end

pytestmark = pytest.mark.slow

TURNS = 500
Connect = Callable[[Harness, Program], AbstractAsyncContextManager[Client]]


def variables(harness: Harness) -> dict[str, object]:
    given = harness.variables(harness.home)
    return {"DATABASE_URL": given["DATABASE_URL"]}


@asynccontextmanager
async def over_a_pipe(harness: Harness, _: Program) -> AsyncIterator[Client]:
    """`signalbox mcp` as the client's child, on the same home and database."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "bot", "mcp"],
        env=environment(harness.home, variables(harness)),
        cwd=harness.home,
    )
    with (harness.home.parent / "mcp.log").open("w") as errors:
        async with Client(
            stdio_client(server, errlog=errors), read_timeout_seconds=patient(90)
        ) as client:
            yield client


@asynccontextmanager
async def over_http(harness: Harness, up: Program) -> AsyncIterator[Client]:
    """The address `/mcp` of the process, with a token of an operator."""
    made = await run_to_end(
        *("token", "create", "editor", "--role", "operator"),
        home=harness.home,
        **variables(harness),
    )
    headers = {"Authorization": f"Bearer {made.output.strip()}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=patient(90)) as http,
        Client(
            streamable_http_client(f"{up.url}/mcp", http_client=http),
            read_timeout_seconds=patient(90),
        ) as client,
    ):
        yield client


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    result = await client.call_tool(tool, dict(arguments))
    assert not result.is_error, result
    found: dict[str, Any] = result.structured_content
    return found


@pytest.mark.sampled(2, group="programs")
@pytest.mark.parametrize("connect", [over_a_pipe, over_http])
async def test_a_client_starts_watches_kills_and_continues_a_run_of_a_whole_signalbox(
    database: Database, tmp_path: Path, connect: Connect
) -> None:
    turns: list[float] = []
    messages: set[str | None] = set()
    is_working = asyncio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        assert total == TURNS
        turns.append(progress)
        messages.add(message)
        if progress >= 2:
            is_working.set()

    async with (
        open_harness(database, tmp_path / "home", transport="socket") as harness,
        process(harness, "up") as up,
    ):
        lasting = LastingWork(harness.model)
        await up.wait_until_ready()
        async with limit(180), connect(harness, up) as client:
            started = await call(
                client,
                "run_workflow",
                workflow_name="implement",
                message=LASTING,
                max_turns=TURNS,
            )
            run_id = started["run_id"]
            watching = asyncio.create_task(
                client.call_tool(
                    "get_workflow_status",
                    {"run_id": run_id, "wait_seconds": 300},
                    progress_callback=on_progress,
                )
            )
            await is_working.wait()
            live = await call(client, "get_workflow_status", run_id=run_id)
            killed = await call(
                client, "kill_workflow", run_id=run_id, reason="enough", wait_seconds=60
            )
            watched = (await watching).structured_content
            lasting.finish()
            continued = await call(
                client,
                "continue_workflow",
                run_id=run_id,
                message="Sum it up",
                additional_turns=5,
            )
            finished = await call(
                client, "get_workflow_status", run_id=continued["run_id"], wait_seconds=300
            )
        async with database.sessions() as session:
            first = await run_queries.get(session, run_id)
            second = await run_queries.get(session, continued["run_id"])
            (kill,) = await terminations.all_of_run(session, first.id)
        await harness.settle()

    assert turns == sorted(set(turns))
    assert "Running" in messages
    assert live["status"] == "running"
    assert live["progress_summary"]["recent_activity"]
    assert live["steps"]
    assert (killed["is_confirmed"], killed["survivors"]) == (True, [])
    assert (watched["status"], watched["stop_reason"]) == ("killed", "killed")
    assert watched["workflow_summary"]["total_steps_completed"] is not None
    assert continued["continued_run_id"] == run_id
    assert continued["session_id"] == started["session_id"]
    assert finished["status"] == "completed"
    assert finished["final_result"].startswith("## Summary")
    assert (first.status, first.stop_reason) == (RunStatus.KILLED, StopReason.KILLED)
    assert (kill.phase, kill.requested_from) == (Phase.CONFIRMED, Origin.MCP)
    assert second.status is RunStatus.COMPLETED
    assert "Traceback" not in up.output
