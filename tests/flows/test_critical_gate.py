"""A kill at the very moment a commit begins: the commit finishes or never begins."""

from __future__ import annotations

import asyncio
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from bot.sandbox.model.script import Turn, bash
from core.agent.critical import DEFAULT_RULES
from core.agent.process.ladder import end_tree
from core.agent.session import open_agent
from core.domain.runs.event import ToolStarted
from tests.flows.agent_harness import AgentHarness, agent_harness, assert_nothing_left
from tests.limits import limit, patient

__all__ = ["agent_harness"]

PREPARE = (
    "git init -q && mkdir hooks && git config core.hooksPath hooks"
    " && printf '#!/usr/bin/env bash\\ntouch begun\\nsleep 0.4\\n' > hooks/pre-commit"
    " && chmod +x hooks/pre-commit"
)
COMMIT = "git commit -q --allow-empty -m whole"


def subjects(repository: Path) -> list[str]:
    done = subprocess.run(
        ["git", "log", "--format=%s"], cwd=repository, capture_output=True, text=True, check=False
    )
    return done.stdout.split()


@pytest.mark.sampled(3)
# From the event of the call to the start of its shell it takes 2 to 15 ms.
@pytest.mark.parametrize("milliseconds", [0, 2, 4, 6, 8, 11, 15, 40])
async def test_a_kill_as_a_commit_begins_does_not_cut_it_in_half(
    agent_harness: AgentHarness, milliseconds: int
) -> None:
    agent_harness.set_turns(
        Turn(calls=(bash(PREPARE, "Prepare"),)),
        Turn(calls=(bash(COMMIT, "Commit"), bash("touch late", "Go on"))),
        Turn(text="Never."),
    )
    launch = agent_harness.launch(critical=DEFAULT_RULES)
    begins = asyncio.Event()

    async with open_agent(launch, agent_harness.transcripts) as agent:

        async def read() -> None:
            async for event in agent.events():
                if isinstance(event, ToolStarted) and event.input.get("command") == COMMIT:
                    begins.set()

        async with limit(30):
            reading = asyncio.create_task(read())
            await begins.wait()
            await asyncio.sleep(milliseconds / 1000)
            agent.critical.close_gate()
            await agent.catch_up()
            wait = timedelta(seconds=patient(5))
            await agent.critical.drain(wait, force_requested=asyncio.Event())
            await end_tree(
                run_marker=launch.run_id,
                root=agent.root,
                interrupt=agent.interrupt,
                has_ended=lambda: agent.has_ended,
                known=agent.tree,
            )
        await asyncio.wait({reading}, timeout=patient(5))

    has_begun = (launch.cwd / "begun").exists()
    assert subjects(launch.cwd) == (["whole"] if has_begun else [])
    assert not (launch.cwd / "late").exists()
    assert not (launch.cwd / ".git" / "index.lock").exists()
    assert_nothing_left(launch)
