"""Launches real agents on the scripted model, and reads their events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest

from bot.sandbox.model.script import Script, Turn, play_in_order
from bot.sandbox.model.server import Model, open_model
from core.agent.process.process_tree import find_run_processes
from core.agent.protocol import AgentSession, Launch
from core.agent.session import open_agent
from core.domain.runs.event import AgentEvent, ToolFinished, ToolStarted
from core.domain.workflow import WorkflowDefinition
from tests.fakes.transcripts import MemoryTranscripts
from tests.isolation import found_isolation
from tests.limits import limit

E = TypeVar("E")


@dataclass
class AgentHarness:
    """Launches agents; each launch has its own directories."""

    folder: Path
    model: Model
    transcripts: MemoryTranscripts = field(default_factory=MemoryTranscripts)
    session_id: UUID = field(default_factory=uuid4)
    definition: WorkflowDefinition = field(
        default_factory=lambda: WorkflowDefinition(
            name="test", description="", prompt="", allowed_tools=("Bash", "Read")
        )
    )
    launches: int = 0

    def launch(self, prompt: str = "Do it.", **overrides: Any) -> Launch:
        self.launches += 1
        # A path with a space, such as a home directory may have.
        launch_dir = self.folder / f"launch {self.launches}"
        (launch_dir / "work").mkdir(parents=True)
        launch = Launch(
            run_id=f"run_{uuid4().hex[:12]}",
            session_id=self.session_id,
            resume=False,
            prompt=prompt,
            prompt_uuid=uuid4(),
            definition=self.definition,
            model=None,
            max_turns=100,
            budget_usd=None,
            cwd=launch_dir / "work",
            state_dir=launch_dir / "state",
            credentials={
                "ANTHROPIC_API_KEY": self.model.api_key,
                "ANTHROPIC_BASE_URL": self.model.url,
            },
            isolation=found_isolation().isolation,
        )
        return replace(launch, **overrides)

    def set_turns(self, *turns: Turn) -> None:
        """Set the model's answers."""
        self.model.script = Script(name="test", description="", play=play_in_order(*turns))

    async def run(self, launch: Launch) -> list[AgentEvent]:
        """Run one agent to its end."""
        async with open_agent(launch, self.transcripts) as agent:
            return [event async for event in agent.events()]


@pytest.fixture
async def agent_harness(tmp_path: Path) -> AsyncIterator[AgentHarness]:
    async with open_model() as model:
        yield AgentHarness(tmp_path, model)


def events_of_type(events: list[AgentEvent], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def tool_outputs(events: list[AgentEvent]) -> str:
    return "\n".join(one.output for one in events_of_type(events, ToolFinished))


async def read_until(agent: AgentSession, predicate: Callable[[AgentEvent], bool]) -> None:
    """Read events until one meets the predicate."""
    async for event in agent.events():
        if predicate(event):
            return
    pytest.fail("the agent ended first")


def starts_bash(event: AgentEvent) -> bool:
    return isinstance(event, ToolStarted) and event.name == "Bash"


async def wait_for_sleep(launch: Launch, seconds: str) -> None:
    """Wait until the tool's own process runs."""
    async with limit(40):
        # The shell's command line contains the words before the shell executes them.
        while f"sleep {seconds} " not in command_lines(launch):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def command_lines(launch: Launch) -> list[str]:
    lines = []
    for one in find_run_processes(launch.run_id, None):
        # It may end between being found and being read.
        with suppress(FileNotFoundError, ProcessLookupError):
            line = Path(f"/proc/{one.pid}/cmdline").read_text()
            lines.append(line.replace("\0", " "))
    return lines


def assert_nothing_left(launch: Launch) -> None:
    assert find_run_processes(launch.run_id, None) == ()


def fake_program(agent_harness: AgentHarness, *lines: str) -> Path:
    """A program that is not the agent program."""
    path = agent_harness.folder / f"program-{uuid4().hex[:6]}"
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return path
