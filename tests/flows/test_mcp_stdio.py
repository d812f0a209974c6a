"""The official MCP client starts `signalbox mcp` as its child, and works with runs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from core.domain.actor import Origin
from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus
from core.store import audit
from core.store.database.engine import Database
from tests.core_harness import CoreHarness, core_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.limits import limit, patient

__all__ = ["core_harness"]

pytestmark = pytest.mark.sampled(4)

_ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def connected(
    harness: CoreHarness, log: Path, *arguments: str, mode: str = "auto"
) -> AsyncIterator[Client]:
    """A client of `signalbox mcp`; what that writes to standard error is in `log`."""
    url = harness.settings.database.url
    assert url is not None
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "bot", "mcp", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": url.get_secret_value(),
            "SIGNALBOX_HOME": str(harness.settings.node.home),
        },
        cwd=_ROOT,
    )
    with log.open("w") as errors:
        async with (
            limit(60),
            Client(
                stdio_client(server, errlog=errors),
                mode=mode,
                read_timeout_seconds=patient(60),
            ) as client,
        ):
            yield client


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    """Call a tool that must succeed; the result's text says the same as its structure."""
    result = await client.call_tool(tool, dict(arguments))
    assert not result.is_error, text_of(result)
    assert json.loads(text_of(result)) == result.structured_content
    found: dict[str, Any] = result.structured_content
    return found


async def refusal(client: Client, tool: str, arguments: Mapping[str, Any]) -> tuple[str, str]:
    """Call a tool that must fail: the error's code, and what it says."""
    result = await client.call_tool(tool, dict(arguments))
    assert result.is_error, text_of(result)
    assert result.structured_content["message"] == text_of(result)
    return result.structured_content["error"], text_of(result)


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "mcp.log"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_starts_a_run_and_waits_for_its_report(
    core_harness: CoreHarness, log: Path, mode: str
) -> None:
    reported: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reported.append((progress, total, message))

    async with core_harness.worker(), connected(core_harness, log, mode=mode) as client:
        started = await call(
            client, "run_workflow", workflow_name="builder", message="Add rate limiting"
        )
        answer = await client.call_tool(
            "get_workflow_status",
            {"run_id": started["run_id"], "wait_seconds": 300},
            progress_callback=on_progress,
        )
        listed = await call(client, "list_runs", limit=5)

    status = answer.structured_content
    run = (
        await core_harness.backend.runs.snapshot(started["run_id"], by=core_harness.operator)
    ).run
    assert started["is_new"]
    assert started["workflow_name"] == "implement"
    assert (status["status"], status["stop_reason"]) == ("completed", "success")
    assert (status["turns"], status["tool_calls"]) == (run.turns, run.tool_calls)
    assert status["cost_usd"] == float(run.cost_usd or 0)
    assert status["final_result"] == run.result
    assert "Summary" in status["final_result"]
    assert {step["status"] for step in status["steps"]} == {"completed"}
    assert status["workflow_summary"]["total_steps_completed"] == len(status["steps"])
    assert status["progress_summary"] is None
    assert [one["run_id"] for one in listed["runs"]] == [run.run_id]
    assert listed["runs"][0]["final_result"] is None
    turns = [progress for progress, _, _ in reported]
    assert turns
    assert turns == sorted(set(turns))
    assert all(total == run.max_turns for _, total, _ in reported)
    assert await asyncio.to_thread(log.read_text) == ""


async def test_a_client_kills_a_run_and_gets_the_proof(
    core_harness: CoreHarness, database: Database, log: Path
) -> None:
    lasting = LastingWork(core_harness.model)
    async with core_harness.worker(), connected(core_harness, log) as client:
        started = await call(
            client,
            "run_workflow",
            workflow_name="implement",
            message=LASTING,
            max_turns=MANY_TURNS,
        )
        run_id = started["run_id"]
        by = core_harness.operator
        run = (await core_harness.backend.runs.snapshot(run_id, by=by)).run
        await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 1)
        killed = await call(
            client, "kill_workflow", run_id=run_id, reason="enough", wait_seconds=60
        )
        again = await call(client, "kill_workflow", run_id=run_id)
        ended = await core_harness.wait_until_ended(run)
        lasting.finish()
        continued = await call(
            client, "continue_workflow", run_id=run_id, message="go on", additional_turns=5
        )
        finished = await call(
            client, "get_workflow_status", run_id=continued["run_id"], wait_seconds=300
        )

    assert killed["is_confirmed"]
    assert killed["survivors"] == []
    assert killed["phases_ms"]["confirmed"] == max(killed["phases_ms"].values())
    assert again["requested_at"] == killed["requested_at"]
    assert ended.run.status is RunStatus.KILLED
    assert ended.termination is not None
    assert ended.termination.phase is Phase.CONFIRMED
    assert (ended.termination.requested_from, ended.termination.reason) == (Origin.MCP, "enough")
    assert continued["continued_run_id"] == run_id
    assert continued["session_id"] == started["session_id"]
    assert finished["status"] == "completed"
    async with database.sessions() as session:
        entries = await audit.recent(session, 50)
    made = {(entry.action, entry.allowed) for entry in entries if entry.actor.origin is Origin.MCP}
    assert {("start", True), ("kill", True), ("continue", True)} <= made


async def test_a_viewer_may_look_and_nothing_else(
    core_harness: CoreHarness, database: Database, log: Path
) -> None:
    run = await core_harness.start("Something")
    async with connected(core_harness, log, "--role", "viewer") as client:
        seen = await call(client, "get_workflow_status", run_id=run.run_id)
        refusals = [
            await refusal(client, "run_workflow", {"workflow_name": "fix", "message": "x"}),
            await refusal(client, "continue_workflow", {"run_id": run.run_id}),
            await refusal(client, "kill_workflow", {"run_id": run.run_id}),
        ]

    assert seen["status"] == "pending"
    assert "No worker is up" in seen["summary"]
    assert [code for code, _ in refusals] == ["not_allowed"] * 3
    assert all("retrying does not help" in words for _, words in refusals)
    async with database.sessions() as session:
        entries = await audit.recent(session, 50)
    refused = [entry for entry in entries if entry.actor.origin is Origin.MCP]
    assert {entry.action for entry in refused} == {"start", "continue", "kill"}
    assert not any(entry.allowed for entry in refused)
    assert (await core_harness.read_run(run)).run.kill_requested_at is None


async def test_a_repeated_key_starts_one_run(core_harness: CoreHarness, log: Path) -> None:
    arguments = {"workflow_name": "fix", "message": "x", "idempotency_key": "issue 7"}
    async with connected(core_harness, log) as client:
        first = await call(client, "run_workflow", **arguments)
        second = await call(client, "run_workflow", **arguments)
        other = await call(client, "run_workflow", **arguments | {"idempotency_key": "issue 8"})

    assert (first["is_new"], second["is_new"], other["is_new"]) == (True, False, True)
    assert first["run_id"] == second["run_id"] != other["run_id"]


async def test_a_wait_ends_with_the_present_state(core_harness: CoreHarness, log: Path) -> None:
    run = await core_harness.start("Something")
    async with connected(core_harness, log) as client:
        seen = await call(client, "get_workflow_status", run_id=run.run_id, wait_seconds=1)

    assert seen["status"] == "pending"


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("run_workflow", {"workflow_name": "fix"}, "bad_arguments", "`message`"),
    (
        "run_workflow",
        {"workflow_name": "fix", "message": "x", "max_turns": 0},
        "bad_arguments",
        "`max_turns`",
    ),
    (
        "run_workflow",
        {"workflow_name": "fix", "message": "a\x00b"},
        "bad_arguments",
        "`message`: must not contain NUL",
    ),
    (
        "run_workflow",
        {"workflow_name": "fix", "message": "x", "turns": 3},
        "bad_arguments",
        "`turns`",
    ),
    ("run_workflow", {"workflow_name": "fixx", "message": "x"}, "unknown_workflow", "run_workflow"),
    (
        "run_workflow",
        {"workflow_name": "fix", "message": "x", "git_branch": "main"},
        "bad_arguments",
        "`git_branch` needs `repository_url`",
    ),
    ("get_workflow_status", {"run_id": "run_000000000000"}, "run_not_found", "`list_runs`"),
    ("kill_workflow", {"run_id": "run_0"}, "run_id_too_short", "at least"),
    ("continue_workflow", {"run_id": "nobody"}, "run_not_found", "`list_runs`"),
    ("list_runs", {"workflow_name": "nope"}, "unknown_workflow", "run_workflow"),
    ("list_runs", {"limit": 10**30}, "bad_arguments", "`limit`"),
]


async def test_each_error_says_what_to_do(core_harness: CoreHarness, log: Path) -> None:
    async with connected(core_harness, log) as client:
        found = [await refusal(client, tool, arguments) for tool, arguments, _, _ in WRONG]
        with pytest.raises(MCPError, match="There is no tool of this name; run_workflow"):
            await client.call_tool("rm", {})

    assert [code for code, _ in found] == [code for _, _, code, _ in WRONG]
    assert [
        (words, part)
        for (_, words), (_, _, _, part) in zip(found, WRONG, strict=True)
        if part not in words
    ] == []
