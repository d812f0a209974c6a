"""The lines of docs/mcp.md, with the real `claude` program as the client."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from pathlib import Path

import pytest

from core.agent.options import BUNDLED_PROGRAM
from core.domain.actor import Role
from core.store.database.engine import Database
from tests.core_harness import CoreHarness, core_harness
from tests.flows.test_mcp_tokens import new_token, serving
from tests.limits import limit

__all__ = ["core_harness"]

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs" / "mcp.md"
_LINES = [
    line
    for line in _DOCS.read_text(encoding="utf-8").splitlines()
    if line.startswith("claude mcp add")
]
ADDS = [line for line in _LINES if line.endswith(("-- signalbox mcp", "--role viewer"))]
HTTP_ADDS = [line for line in _LINES if "--transport http" in line]


async def claude(home: Path, *arguments: str) -> str:
    """Run the program with a home of its own; returns its output."""
    process = await asyncio.create_subprocess_exec(
        str(BUNDLED_PROGRAM),
        *arguments,
        cwd=home,
        # The second is the program's limit for a server's start, in ms: 30 s is too short beside
        # many other processes.
        env={"PATH": os.environ["PATH"], "MCP_TIMEOUT": "120000", "HOME": str(home)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with limit(60):
        output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    return text


@pytest.mark.sampled(1)
@pytest.mark.parametrize("line", ADDS)
async def test_claude_connects_after_the_documented_line(
    database: Database, tmp_path: Path, line: str
) -> None:
    program = f"{sys.executable} -m bot"
    address = f"DATABASE_URL={database.dsn}"
    words = [
        # What a reader has on the path and in the environment.
        address if word.startswith("DATABASE_URL=") else word
        for word in shlex.split(line.replace("-- signalbox mcp", f"-- {program} mcp"))
    ]
    if address not in words:
        words[4:4] = ["-e", address]
    home = tmp_path / "signalbox"
    words[4:4] = ["-e", f"SIGNALBOX_HOME={home}", "-e", f"PYTHONPATH={_ROOT}"]

    await claude(tmp_path, *words[1:])
    listed = await claude(tmp_path, "mcp", "list")

    assert "signalbox: " in listed
    assert "Connected" in listed


@pytest.mark.parametrize("line", HTTP_ADDS)
async def test_claude_connects_over_http_with_a_token(
    core_harness: CoreHarness, database: Database, tmp_path: Path, line: str
) -> None:
    token = await new_token(database, Role.RUNNER)

    async with serving(core_harness) as url:
        line = line.replace("http://127.0.0.1:8765/mcp", url)
        await claude(tmp_path, *shlex.split(line.replace("sbx_…", token))[1:])
        listed = await claude(tmp_path, "mcp", "list")

    assert "signalbox: " in listed
    assert "Connected" in listed


def test_the_page_has_such_lines() -> None:
    assert (len(ADDS), len(HTTP_ADDS)) == (3, 1)
    assert len(_LINES) == 4
