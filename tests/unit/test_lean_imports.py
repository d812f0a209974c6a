"""A process loads only the libraries that it needs; each costs memory in every one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_HEAVY = ("claude_agent_sdk", "mcp", "slack_bolt")


def loaded(module: str) -> set[str]:
    """The heavy libraries that are loaded after an import in a new process."""
    program = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    return set(done.stdout.split()) & set(_HEAVY)


@pytest.mark.parametrize(
    "module", ["bot.cli.main", "bot.assembly.app", "bot.assembly.web.monitoring"]
)
def test_what_starts_every_process_loads_no_heavy_library(module: str) -> None:
    assert loaded(module) == set()


def test_the_mcp_server_loads_its_own_only() -> None:
    assert loaded("bot.mcp.server") == {"mcp"}
