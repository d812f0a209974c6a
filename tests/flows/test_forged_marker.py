"""An isolated agent that gives its processes the marker of another run."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from bot.sandbox.model.script import Turn, bash
from core.agent.process.ladder import end_tree
from core.agent.process.process_tree import find_run_processes
from core.agent.protocol import AgentSession
from core.agent.session import open_agent
from core.domain.kills.termination import ProofMethod
from tests.flows.agent_harness import AgentHarness, agent_harness, wait_for_sleep
from tests.isolation import isolation

__all__ = ["agent_harness"]


async def test_a_forged_marker_is_not_part_of_the_other_runs_kill(
    agent_harness: AgentHarness,
) -> None:
    isolation()
    victim, forger = agent_harness.launch(), agent_harness.launch()
    forged = f"SIGNALBOX_RUN_ID={victim.run_id} setsid sleep 76 & sleep 77 & sleep 78"
    async with AsyncExitStack() as stack:
        agents = []
        for launch, command in ((victim, "sleep 75"), (forger, forged)):
            agent_harness.set_turns(Turn(calls=(bash(command, "Wait"),)), Turn(text="Never."))
            agent = await stack.enter_async_context(open_agent(launch, agent_harness.transcripts))
            reading = asyncio.create_task(read(agent), name=f"read {launch.run_id}")
            stack.callback(reading.cancel)
            agents.append(agent)
            await wait_for_sleep(launch, command.rpartition("sleep ")[2])
        seen = {process.pid for process in find_run_processes(victim.run_id, None)}
        others = {process.pid for process in find_run_processes(forger.run_id, agents[1].root)}

        proof = await end_tree(run_marker=victim.run_id, root=None, force=True)

        assert seen
        assert not seen & others
        assert proof.is_confirmed
        assert proof.by is ProofMethod.KERNEL_NAMESPACE
        assert not others & {process.pid for process in proof.seen}
        assert {p.pid for p in find_run_processes(forger.run_id, agents[1].root)} == others


async def read(agent: AgentSession) -> None:
    async for _ in agent.events():
        pass
