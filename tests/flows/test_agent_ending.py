"""However the real agent program ends, none of its processes is left."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import ExitStack

import pytest

from bot.sandbox.model.script import Turn, bash
from core.agent.process.ladder import end_tree
from core.agent.process.process_table import identify
from core.agent.process.process_tree import find_run_processes
from core.agent.session import open_agent
from core.domain.kills.termination import Phase, ProcessIdentity, Proof
from core.domain.runs.event import AgentEvent, AgentResult, ToolFinished
from tests.flows.agent_harness import (
    AgentHarness,
    agent_harness,
    assert_nothing_left,
    command_lines,
    events_of_type,
    fake_program,
    read_until,
    starts_bash,
    wait_for_sleep,
)
from tests.limits import limit, patient
from tests.unit.process_trees import no_descriptors

__all__ = ["agent_harness"]


async def test_an_interrupt_ends_the_tool_and_the_agent(agent_harness: AgentHarness) -> None:
    agent_harness.set_turns(Turn(calls=(bash("sleep 71", "Sleep"),)), Turn(text="Never."))
    launch = agent_harness.launch()

    async with open_agent(launch, agent_harness.transcripts) as agent:
        events: list[AgentEvent] = []
        async for event in agent.events():
            events.append(event)
            if starts_bash(event):
                await wait_for_sleep(launch, "71")
                await agent.interrupt()
        assert agent.has_ended
        await agent.interrupt()

    assert events_of_type(events, AgentResult)[-1].terminal_reason == "aborted_tools"
    assert_nothing_left(launch)


async def test_an_agent_closed_during_work_leaves_nothing_behind(
    agent_harness: AgentHarness,
) -> None:
    agent_harness.set_turns(Turn(calls=(bash("sleep 72", "Sleep"),)), Turn(text="Never."))
    launch = agent_harness.launch()

    async with open_agent(launch, agent_harness.transcripts) as agent:
        await read_until(agent, starts_bash)
        await wait_for_sleep(launch, "72")
        closing = time.monotonic()

    assert time.monotonic() - closing < patient(10)
    assert_nothing_left(launch)
    # Its last messages are stored: another machine can continue from here.
    stored = json.dumps(agent_harness.transcripts.entries[str(agent_harness.session_id), ""])
    assert "sleep 72" in stored


async def test_an_agent_whose_end_cannot_be_proven_is_disconnected_all_the_same(
    agent_harness: AgentHarness,
) -> None:
    agent_harness.set_turns(Turn(text="Done."))
    launch = agent_harness.launch()

    async def close_without_descriptors(shortage: ExitStack) -> None:
        async with open_agent(launch, agent_harness.transcripts) as agent:
            async for _ in agent.events():
                pass
            shortage.enter_context(no_descriptors())

    with ExitStack() as shortage:
        with pytest.raises(ExceptionGroup, match="unhandled errors"):
            await close_without_descriptors(shortage)
        left = {task.get_name() for task in asyncio.all_tasks()}
    await end_tree(run_marker=launch.run_id, root=None)

    assert not {name for name in left if launch.run_id in name}


async def test_a_daemon_left_by_a_tool_ends_with_the_agent(agent_harness: AgentHarness) -> None:
    daemon = "(env -i setsid bash -c 'trap \"\" TERM; sleep 73' >/dev/null 2>&1 &)"
    agent_harness.set_turns(
        Turn(calls=(bash(f"{daemon}; echo left", "Leave"),)), Turn(text="Done.")
    )
    launch = agent_harness.launch()

    async with open_agent(launch, agent_harness.transcripts) as agent:
        daemons: list[ProcessIdentity] = []
        async for event in agent.events():
            if isinstance(event, ToolFinished):
                async with limit(10):
                    while "sleep" not in {one.name for one in daemons}:
                        await asyncio.sleep(0.02)
                        daemons = list(find_run_processes(launch.run_id, agent.root))
    seen = [one for one in daemons if one.pid != agent.root.pid]

    assert {one.name for one in seen} >= {"sleep"}
    assert all(identify(one.pid) != one for one in seen)


async def test_a_cancelled_caller_leaves_nothing_behind(agent_harness: AgentHarness) -> None:
    agent_harness.set_turns(Turn(calls=(bash("sleep 74", "Sleep"),)), Turn(text="Never."))
    launch = agent_harness.launch()
    running = asyncio.create_task(agent_harness.run(launch))
    await wait_for_sleep(launch, "74")

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert_nothing_left(launch)


async def test_a_caller_cancelled_during_the_start_leaves_nothing_behind(
    agent_harness: AgentHarness,
) -> None:
    launch = agent_harness.launch(program=fake_program(agent_harness, "sleep 75"))
    running = asyncio.create_task(agent_harness.run(launch))
    await wait_for_sleep(launch, "75")

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert_nothing_left(launch)


@pytest.mark.parametrize(
    ("scenario", "parts"),
    [
        ("kill-stubborn", ("SIG_IGN",)),
        ("kill-escaped", ("sleep 600 ",)),
        ("kill-hostile", ("SIG_IGN", "sleep 600 ")),
    ],
)
async def test_the_ladder_ends_a_hostile_agents_tree_while_its_events_are_read(
    agent_harness: AgentHarness, scenario: str, parts: tuple[str, ...]
) -> None:
    launch = agent_harness.launch(f"[scenario: {scenario}]")
    phases: list[Phase] = []

    async def record_phase(phase: Phase, proof: Proof) -> None:
        phases.append(phase)

    async with open_agent(launch, agent_harness.transcripts) as agent:

        async def read() -> None:
            async for _ in agent.events():
                pass

        async with limit(40):
            reading = asyncio.create_task(read())
            while not all(part in " | ".join(command_lines(launch)) for part in parts):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        began = time.monotonic()
        proof = await end_tree(
            run_marker=launch.run_id,
            root=agent.root,
            interrupt=agent.interrupt,
            has_ended=lambda: agent.has_ended,
            on_phase=record_phase,
            known=agent.tree,
        )
        elapsed = time.monotonic() - began
        await asyncio.wait({reading}, timeout=patient(5))

    assert proof.is_confirmed
    assert elapsed < patient(9)
    assert phases[0] is Phase.INTERRUPTED
    assert_nothing_left(launch)


async def test_an_agent_ends_with_its_worker(agent_harness: AgentHarness) -> None:
    agent_harness.set_turns(Turn(calls=(bash("sleep 77", "Sleep"),)), Turn(text="Never."))
    launch = agent_harness.launch()
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, launch.run_id, str(launch.cwd.parent), agent_harness.model.url
    )
    try:
        await wait_for_sleep(launch, "77")
        seen = find_run_processes(launch.run_id, None)
    finally:
        worker.kill()
        await worker.wait()

    assert {one.name for one in seen} >= {"sleep"}
    # A dying process loses its environment before it is gone.
    async with limit(20):
        while find_run_processes(launch.run_id, None) or any(is_alive(one) for one in seen):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert_nothing_left(launch)


def is_alive(one: ProcessIdentity) -> bool:
    found = identify(one.pid)
    return found is not None and found.started_ticks == one.started_ticks


WORKER = """
import asyncio, sys, uuid
from pathlib import Path
from core.agent.protocol import Launch
from core.agent.session import open_agent
from core.domain.workflow import WorkflowDefinition
from tests.fakes.transcripts import MemoryTranscripts

async def main(run_id, folder, url):
    definition = WorkflowDefinition(
        name="t", description="", prompt="", allowed_tools=("Bash",)
    )
    launch = Launch(
        run_id=run_id, session_id=uuid.uuid4(), resume=False, prompt="Do it.",
        prompt_uuid=uuid.uuid4(), definition=definition, model=None, max_turns=9,
        budget_usd=None, cwd=Path(folder) / "work", state_dir=Path(folder) / "state",
        credentials={"ANTHROPIC_API_KEY": "sk-anything", "ANTHROPIC_BASE_URL": url},
    )
    async with open_agent(launch, MemoryTranscripts()) as agent:
        async for _ in agent.events():
            pass

asyncio.run(main(*sys.argv[1:]))
"""
