"""Clear errors for an agent program that crashes, does not start or is missing."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta

import pytest

from bot.sandbox.model.script import Turn, bash
from core.agent.process.process_table import send_signal
from core.agent.process.process_tree import find_run_processes
from core.agent.protocol import AgentFailed
from core.agent.session import open_agent
from core.domain.runs.event import AgentResult, AgentStarted
from tests.flows.agent_harness import (
    AgentHarness,
    agent_harness,
    assert_nothing_left,
    events_of_type,
    fake_program,
)
from tests.limits import limit

__all__ = ["agent_harness"]


async def test_a_crash_is_reported_with_its_exit_code_and_ends_the_orphans(
    agent_harness: AgentHarness,
) -> None:
    agent_harness.set_turns(
        Turn(calls=(bash("setsid sleep 76 & kill -9 $PPID; sleep 76", "Crash"),)),
        Turn(text="Never."),
    )
    launch = agent_harness.launch()

    with pytest.raises(AgentFailed) as caught:
        await agent_harness.run(launch)

    assert caught.value.exit_code == -signal.SIGKILL
    assert_nothing_left(launch)


async def test_a_resume_continues_after_a_crash(agent_harness: AgentHarness) -> None:
    agent_harness.set_turns(
        Turn(text="First.", calls=(bash("touch begun; sleep 76", "Begin"),)), Turn(text="Never.")
    )
    launch = agent_harness.launch()
    running = asyncio.create_task(agent_harness.run(launch))
    # A program that dies immediately has stored nothing of its conversation.
    async with limit(30):
        while not (launch.cwd / "begun").exists() or not agent_harness.transcripts.entries:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    for one in find_run_processes(launch.run_id, None):
        send_signal(one, signal.SIGKILL)
    with pytest.raises(AgentFailed):
        await running
    agent_harness.set_turns(Turn(text="Back."))

    events = await agent_harness.run(agent_harness.launch("Go on.", resume=True))

    assert events_of_type(events, AgentResult)[-1].subtype == "success"
    assert events_of_type(events, AgentStarted)[0].session_id == str(agent_harness.session_id)


@pytest.mark.parametrize(
    ("lines", "what", "exit_code"),
    [
        (("echo oops >&2", "exit 3"), "could not be started", 3),
        (("sleep 0.3; exit 0",), "ended before it answered", None),
        (("echo '{not json'", "sleep 1"), "said something that cannot be read", None),
        (("while echo nonsense; do sleep 0.1; done",), "did not answer", None),
        (("trap '' TERM", "while :; do sleep 1; done"), "did not answer", None),
    ],
    ids=["fails", "silent", "garbage", "nonsense", "hangs"],
)
async def test_a_program_that_does_not_start_raises_a_clear_error(
    agent_harness: AgentHarness, lines: tuple[str, ...], what: str, exit_code: int | None
) -> None:
    launch = agent_harness.launch(program=fake_program(agent_harness, *lines))
    limit = timedelta(seconds=1.5 if what == "did not answer" else 20)

    with pytest.raises(AgentFailed) as caught:
        async with open_agent(launch, agent_harness.transcripts, connect_limit=limit):
            pytest.fail("it opened")

    assert what in str(caught.value)
    assert caught.value.exit_code == exit_code
    assert str(agent_harness.folder) not in caught.value.user_message
    if exit_code == 3:
        assert caught.value.stderr_tail == "oops"
    assert_nothing_left(launch)


async def test_a_missing_program_raises_a_clear_error(agent_harness: AgentHarness) -> None:
    with pytest.raises(AgentFailed) as caught:
        await agent_harness.run(agent_harness.launch(program=agent_harness.folder / "nowhere"))

    assert "nowhere" not in caught.value.user_message
