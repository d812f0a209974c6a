"""What agents of the shipped workflows can write and reach: each tries with all of its tools."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.model.script import ToolCall, Turn, bash, write
from core.agent.definitions.catalog import load_catalog
from core.agent.egress.control import NetworkAccess
from core.agent.protocol import Launch
from core.domain.reach.network import NetworkPolicy
from core.domain.workflow import WorkflowDefinition
from tests.flows.agent_harness import AgentHarness, agent_harness, tool_outputs
from tests.isolation import isolation

__all__ = ["agent_harness"]

SHIPPED = load_catalog().all
READ_ONLY = [definition for definition in SHIPPED if definition.read_only]
SETTINGS = "[worker]\nslots = 2\n"
CLOSED = NetworkAccess(policy=NetworkPolicy.parse("none"))
# Each line goes on whatever becomes of it; the commit also runs the hook.
MAKEFILE = """
SHELL := /bin/bash
test:
	-touch planted-make
	-echo exit 1 > .git/hooks/pre-commit
	-git -c core.hooksPath=/dev/null commit -q --allow-empty -m planted-make
	-echo '# changed' >> {settings}
	-echo x > {other}/planted
	-echo x > {home}/planted
	-exec 3<>/dev/tcp/127.0.0.1/{port}
	-echo x > "$$SIGNALBOX_SCRATCH/made"
	@echo make has run
"""


@dataclass
class Scene:
    """A worker's home with two workspaces, and a server; an agent works in the first workspace.

    Attributes:
        reached: Grows with each connection to the server.
    """

    home: Path
    port: int
    reached: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> Path:
        return self.home / "workspaces" / "ws_mine"

    @property
    def other(self) -> Path:
        return self.home / "workspaces" / "ws_other"

    @property
    def settings(self) -> Path:
        return self.home / "signalbox.toml"

    @property
    def state(self) -> Path:
        return self.home / "agents" / "mine"

    def prepare(self) -> None:
        for path in (self.workspace, self.other):
            path.mkdir(parents=True)
        self.settings.write_text(SETTINGS)
        (self.workspace / "README.md").write_text("A project.\n")
        (self.workspace / "Makefile").write_text(
            MAKEFILE.format(
                settings=self.settings, other=self.other, home=self.home, port=self.port
            )
        )
        for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "First")):
            self.git(*arguments)

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.invalid")
        done = subprocess.run(
            ("git", *identity, *arguments),
            cwd=self.workspace,
            env={"PATH": os.environ["PATH"], "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    def attempts(self) -> tuple[Turn, ...]:
        """Try to write and to reach out, with every tool that may do so."""
        readme = str(self.workspace / "README.md")
        shell = (
            bash("git status > planted-redirection", "Redirect"),
            bash("git show --output=planted-show HEAD", "Show"),
            bash("git commit --allow-empty -m planted-commit", "Commit"),
            bash(f"echo x >> {self.settings}; echo x > {self.other}/planted", "Append"),
            bash(f"git show --output={self.settings} HEAD", "Overwrite"),
            bash(f"exec 3<>/dev/tcp/127.0.0.1/{self.port}", "Reach out"),
            bash("make test", "Test"),
        )
        return (
            Turn(
                calls=(
                    write(str(self.workspace / "planted-write"), "x\n"),
                    write(str(self.settings), "x\n"),
                    write(str(self.other / "planted"), "x\n"),
                    ToolCall("Read", {"file_path": readme}),
                )
            ),
            Turn(
                calls=(
                    ToolCall(
                        "Edit",
                        {"file_path": readme, "old_string": "A project", "new_string": "Edited"},
                    ),
                )
            ),
            # Each in a turn of its own, since the failure of one cancels the others of its turn.
            *(Turn(calls=(call,)) for call in shell),
            Turn(text="Done."),
        )

    def assert_nothing_is_changed_elsewhere(self) -> None:
        assert self.settings.read_text() == SETTINGS
        assert list(self.other.iterdir()) == []
        assert sorted(path.name for path in self.home.iterdir()) == [
            "agents",
            "signalbox.toml",
            "workspaces",
        ]

    def content(self) -> dict[str, str]:
        """Every file of the workspace with its mode and its content, git's included."""
        return {
            str(path.relative_to(self.workspace)): f"{path.lstat().st_mode:o} {digest(path)}"
            for path in sorted(self.workspace.rglob("*"))
        }


def digest(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@asynccontextmanager
async def open_scene(home: Path) -> AsyncIterator[Scene]:
    async def on_connection(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.reached.append("connection")
        writer.close()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    async with server:
        opened = Scene(home, server.sockets[0].getsockname()[1])
        await asyncio.to_thread(opened.prepare)
        yield opened


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_scene(tmp_path / "home") as opened:
        yield opened


def launch_of(
    agents: AgentHarness, scene: Scene, definition: WorkflowDefinition, **overrides: Any
) -> Launch:
    agents.set_turns(*scene.attempts())
    return agents.launch(
        definition=definition, cwd=scene.workspace, state_dir=scene.state, **overrides
    )


def ids(definition: WorkflowDefinition) -> str:
    return definition.name


@pytest.mark.parametrize("definition", SHIPPED, ids=ids)
async def test_an_isolated_workflow_writes_in_its_workspace_at_most_and_reaches_nothing(
    agent_harness: AgentHarness, scene: Scene, definition: WorkflowDefinition
) -> None:
    before = scene.content()

    events = await agent_harness.run(
        launch_of(agent_harness, scene, definition, isolation=isolation(), network=CLOSED)
    )

    scene.assert_nothing_is_changed_elsewhere()
    assert scene.reached == []
    assert "make has run" in tool_outputs(events)
    if definition.read_only:
        assert scene.content() == before
        assert scene.git("status", "--porcelain") == ""
        assert (scene.state / "scratch" / "made").read_text() == "x\n"
    else:
        changed = scene.git("status", "--porcelain")
        for name in ("write", "redirection", "show", "make"):
            assert f"planted-{name}" in changed
        assert (scene.workspace / "README.md").read_text() == "Edited.\n"
        assert {"planted-make", "planted-commit"} <= set(scene.git("log", "--format=%s").split())


@pytest.mark.parametrize("definition", READ_ONLY, ids=ids)
async def test_a_read_only_workflow_with_a_network_reaches_out_and_changes_nothing(
    agent_harness: AgentHarness, scene: Scene, definition: WorkflowDefinition
) -> None:
    before = scene.content()

    await agent_harness.run(launch_of(agent_harness, scene, definition, isolation=isolation()))

    assert scene.reached
    assert scene.content() == before
    scene.assert_nothing_is_changed_elsewhere()


@pytest.mark.parametrize("definition", READ_ONLY, ids=ids)
async def test_a_read_only_workflow_without_isolation_runs_nothing_and_changes_nothing(
    agent_harness: AgentHarness, scene: Scene, definition: WorkflowDefinition
) -> None:
    before = scene.content()

    events = await agent_harness.run(launch_of(agent_harness, scene, definition, isolation=None))

    assert "make has run" not in tool_outputs(events)
    assert "does not permit this use of Bash" in tool_outputs(events)
    assert scene.content() == before
    assert scene.reached == []
    scene.assert_nothing_is_changed_elsewhere()
