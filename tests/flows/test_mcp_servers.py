"""The MCP servers of a workflow, with the real agent program: they connect, or it is said."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bot.assembly.settings import load_settings
from bot.cli.agent_checks import check_servers
from bot.cli.check_result import CheckStatus
from bot.sandbox.model.script import ToolCall, Turn
from core.agent.definitions.definition import parse_definition
from core.domain.runs.event import EventKind, McpServerFailed
from core.domain.workflow import WorkflowDefinition
from core.store.database.engine import Database
from tests.flows.agent_harness import (
    AgentHarness,
    agent_harness,
    events_of_type,
    tool_outputs,
)
from tests.harness import CONFIG, open_harness
from tests.mcp_server import PROGRAM, open_mcp_server

__all__ = ["agent_harness"]

pytestmark = pytest.mark.sampled(3)


def text_with_servers(*lines: str) -> str:
    servers = "".join(f"  {line}\n" for line in lines)
    return (
        "---\ndescription: Does things.\nallowed_tools: [mcp__program, mcp__remote]\n"
        f"mcp_servers:\n{servers}---\nYou do things.\n"
    )


def working(url: str) -> tuple[str, str]:
    """Servers as people write them: numbers and dates in YAML, a `url` alone."""
    return (
        (
            f"program: {{command: {sys.executable}, args: [-B, {PROGRAM}, 8080, 2026-01-01], "
            "env: {PORT: 8080}}"
        ),
        f"remote: {{url: '{url}'}}",
    )


def definition(*lines: str) -> WorkflowDefinition:
    return parse_definition("mine.md", text_with_servers(*lines))


async def test_a_server_with_numbers_and_a_server_with_a_url_alone_are_called(
    agent_harness: AgentHarness,
) -> None:
    calls = tuple(ToolCall(f"mcp__{name}__hello", {}) for name in ("program", "remote"))
    agent_harness.set_turns(Turn(calls=calls[:1]), Turn(calls=calls[1:]), Turn(text="Done."))

    async with open_mcp_server() as url:
        # The program of the test is not part of what an isolated agent sees.
        launch = agent_harness.launch(definition=definition(*working(url)), isolation=None)
        events = await agent_harness.run(launch)

    told = [json.loads(line) for line in tool_outputs(events).splitlines()]
    assert told[0] == {"arguments": ["8080", "2026-01-01"], "port": "8080"}
    assert len(told) == 2
    assert events_of_type(events, McpServerFailed) == []


async def test_servers_that_do_not_connect_are_reported_with_the_reason(
    agent_harness: AgentHarness,
) -> None:
    agent_harness.set_turns(Turn(text="Done."))

    async with open_mcp_server() as url:
        workflow = definition(
            *working(url),
            "missing: {command: no-such-program}",
            "exits: {command: 'false'}",
            "refused: {url: 'http://127.0.0.1:9/mcp'}",
            f"login: {{url: '{url.replace('/mcp', '/login')}'}}",
        )
        events = await agent_harness.run(agent_harness.launch(definition=workflow, isolation=None))

    reasons = {one.name: one.reason for one in events_of_type(events, McpServerFailed)}
    assert sorted(reasons) == ["exits", "login", "missing", "refused"]
    assert reasons["missing"] == "there is no program no-such-program on the worker"
    assert "Unable to connect" in reasons["refused"]
    assert all(reasons.values())


async def test_servers_that_a_read_only_workflow_loses_without_isolation_are_reported(
    agent_harness: AgentHarness,
) -> None:
    agent_harness.set_turns(Turn(text="Done."))

    async with open_mcp_server() as url:
        workflow = replace(definition(*working(url)), read_only=True)
        events = await agent_harness.run(agent_harness.launch(definition=workflow, isolation=None))

    (failed,) = events_of_type(events, McpServerFailed)
    assert failed.name == "program"
    assert "does not isolate agents" in failed.reason


async def test_the_thread_names_a_server_that_did_not_connect(
    database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "workflows"
    folder.mkdir()
    (folder / "serving.md").write_text(text_with_servers("missing: {command: no-such-program}"))
    async with (
        open_harness(database, tmp_path / "home", transport="socket") as harness,
        harness.serving(SIGNALBOX_WORKFLOWS=folder),
    ):
        card = await harness.run("serving work")

        run = (await harness.run_of(card)).run
        await harness.wait_until_ended(run)
        notice = await card.wait_for_reply("did not connect", within=10)
        await harness.settle()

        assert "`missing`" in notice
        assert "there is no program no-such-program on the worker" in notice
        seen = (await harness.run_of(card)).notices
        assert [one.kind for one in seen].count(EventKind.MCP_SERVER_FAILED) == 1


async def test_the_doctor_tries_the_servers_as_an_agent_would(tmp_path: Path) -> None:
    folder, home = tmp_path / "workflows", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    (home / "signalbox.toml").write_text(f'{CONFIG}isolation = "none"\n')
    async with open_mcp_server() as url:
        (folder / "serving.md").write_text(
            text_with_servers(*working(url), "missing: {command: no-such-program}")
        )
        settings = load_settings(
            SIGNALBOX_HOME=home, SIGNALBOX_WORKFLOWS=folder, ANTHROPIC_API_KEY="sk-unused"
        )
        results = [result async for result in check_servers(settings)]

    assert [(one.status, one.message) for one in results] == [
        (CheckStatus.OK, "MCP server program of serving connects"),
        (CheckStatus.OK, "MCP server remote of serving connects"),
        (
            CheckStatus.WARNING,
            (
                "MCP server missing of serving does not connect: there is no program "
                "no-such-program on the worker."
            ),
        ),
    ]
    assert list((home / "agents").iterdir()) == []


async def test_a_machine_without_servers_gets_no_line_about_them(tmp_path: Path) -> None:
    settings = load_settings(SIGNALBOX_HOME=tmp_path)

    assert [result async for result in check_servers(settings)] == []
