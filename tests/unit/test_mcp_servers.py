"""The `mcp_servers` of a definition: corrected, or refused with what to write."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.agent.definitions.definition import BadDefinition, parse_definition
from core.agent.server_check import ServerCheck, failure_reason
from core.domain.workflow import WorkflowDefinition


def servers(lines: str) -> Any:
    """The servers of a definition with these lines of YAML below `mcp_servers`."""
    body = "\n".join(f"  {line}" for line in lines.splitlines())
    text = f"---\ndescription: Does things.\nmcp_servers:\n{body}\n---\nYou do things.\n"
    return parse_definition("mine.md", text).mcp_servers


@pytest.mark.parametrize(
    ("lines", "normalised"),
    [
        ("a: {url: 'https://x.example/mcp'}", {"type": "http", "url": "https://x.example/mcp"}),
        ("a: {url: 'https://x.example/sse/'}", {"type": "sse", "url": "https://x.example/sse/"}),
        (
            "a: {type: streamable-http, url: 'https://x.example/sse'}",
            {"type": "http", "url": "https://x.example/sse"},
        ),
        (
            "a: {url: 'https://x.example/mcp', headers: {X-Version: 2026-01-01, X-N: 5}}",
            {
                "type": "http",
                "url": "https://x.example/mcp",
                "headers": {"X-Version": "2026-01-01", "X-N": "5"},
            },
        ),
        (
            "a: {command: srv, args: [--port, 8080, 2026-01-01, 1.10, yes, 0755, 12:30]}",
            {
                "command": "srv",
                "args": ["--port", "8080", "2026-01-01", "1.10", "yes", "0755", "12:30"],
            },
        ),
        (
            "a: {command: srv, env: {PORT: 8080, DEBUG: true, RATE: 1.0}, timeout: 5000}",
            {
                "command": "srv",
                "args": [],
                "env": {"PORT": "8080", "DEBUG": "true", "RATE": "1.0"},
                "timeout": 5000,
            },
        ),
        (
            "a:\n  <<: {command: srv}\n  type: stdio\n  env:\n    EMPTY: ''",
            {"command": "srv", "args": [], "env": {"EMPTY": ""}},
        ),
    ],
)
def test_a_server_gets_the_form_that_the_program_takes(
    lines: str, normalised: dict[str, Any]
) -> None:
    assert servers(lines) == {"a": normalised}


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("a: {}", "`a` needs either"),
        ("a: srv", "`a` must map to"),
        ("a: {command: srv, url: 'https://x.example'}", "`a` needs either"),
        ("a: {comand: srv}", "did you mean `command`"),
        ("a: {command: srv, args: --port}", "`args` must be a list"),
        ("a: {command: npx -y srv}", "write what follows as a list under `args`"),
        ("a: {command: srv, args: [[1]]}", "put it in quotes"),
        ("a: {command: srv, env: {TOKEN: }}", '`TOKEN` has no value; write `""`'),
        ("a: {command: srv, env: [A=1]}", "lines of `NAME: value`"),
        ("a: {command: srv, env: {a-b: 1}}", "no name of a variable"),
        ("a: {command: srv, headers: {A: b}}", "cannot have `headers`"),
        ("a: {command: srv, type: http}", "can only be `stdio`"),
        ("a: {command: srv, timeout: soon}", "milliseconds"),
        ("a: {command: srv, alwaysLoad: maybe}", "`true` or `false`"),
        ("a: {url: 'x.example/mcp'}", "a whole address"),
        ("a: {url: 'ws://x.example/mcp'}", "a whole address"),
        ("a: {url: 'https://x.example:99999/mcp'}", "a whole address"),
        ("a: {url: 'https://x.example', type: websocket}", "`http` or `sse`"),
        ("a: {url: 'https://x.example', args: [1]}", "cannot have `args`"),
        ("'my server': {command: srv}", "no good name"),
        ("5: {command: srv}", "no good name"),
    ],
)
def test_a_server_that_cannot_work_stops_the_start(lines: str, problem: str) -> None:
    with pytest.raises(BadDefinition) as caught:
        servers(lines)

    assert caught.value.key == "mcp_servers"
    assert problem in caught.value.user_message


class Status:
    """Answers with these states, or not at all."""

    def __init__(self, *states: dict[str, Any]) -> None:
        self.states = states

    async def get_mcp_status(self) -> Any:
        if not self.states:
            await asyncio.Event().wait()
        return {"mcpServers": list(self.states)}


def definition(**named: dict[str, Any]) -> WorkflowDefinition:
    return WorkflowDefinition(name="x", description="", prompt="", mcp_servers=named)


async def test_each_failed_server_is_reported_once_with_its_reason() -> None:
    workflow = definition(
        good={"command": "a"}, gone={"command": "gone"}, odd={"command": "c"}, kept={"command": "d"}
    )
    reported = [
        {"name": "good", "status": "connected"},
        {"name": "gone", "status": "failed"},
        {"name": "own", "status": "failed"},
        {"name": "off", "status": "disabled"},
    ]
    source = Status(
        {"name": "gone", "status": "failed", "error": 'Executable not found in $PATH: "gone"'},
        {"name": "own", "status": "failed", "error": "refused with key sk-own-secret"},
    )
    check = ServerCheck(source, workflow, given=("good", "gone", "odd"), secrets=("sk-own-secret",))

    first = await check.failures(reported)
    second = await check.failures(reported)

    reasons = {one.name: one.reason for one in first}
    assert sorted(reasons) == ["gone", "kept", "odd", "own"]
    assert reasons["gone"] == "there is no program gone on the worker"
    assert "sk-own-secret" not in reasons["own"]
    assert "did not take its definition" in reasons["odd"]
    assert "does not isolate agents" in reasons["kept"]
    assert second == []


async def test_a_server_that_connects_a_moment_later_is_not_reported() -> None:
    check = ServerCheck(
        Status({"name": "slow", "status": "connected"}),
        definition(slow={"command": "a"}),
        given=("slow",),
    )

    assert await check.failures([{"name": "slow", "status": "pending"}]) == []


@pytest.mark.parametrize("reported", [None, 5, ["x"], [{"name": 5}], [{"name": "a"}]])
async def test_a_report_of_another_shape_does_no_harm(reported: object) -> None:
    check = ServerCheck(Status(), definition(), given=())

    assert await check.failures(reported) == []


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("pending", "had not answered"),
        ("needs-auth", "asks for a login"),
        ("failed", "the connection failed"),
        ("", "did not take its definition"),
    ],
)
def test_a_failure_without_a_text_has_a_reason(status: str, words: str) -> None:
    assert words in failure_reason(status, None, server={"command": "a"})
