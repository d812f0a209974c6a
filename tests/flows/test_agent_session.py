"""The real agent program on the scripted model, in one run or several runs of a session."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from bot.sandbox.model.script import ToolCall, Turn, bash
from core.agent.process.process_table import identify
from core.agent.protocol import AgentEnded, TranscriptMissing
from core.agent.session import open_agent
from core.domain.runs.event import (
    AgentEvent,
    AgentResult,
    AgentStarted,
    AgentText,
    MessageConsumed,
    PlanChanged,
    PlanItem,
    ToolFinished,
    ToolStarted,
)
from core.domain.runs.step import StepStatus
from core.domain.steps.fold import fold_steps
from core.domain.steps.planned import plan_from_steps
from tests.flows.agent_harness import (
    AgentHarness,
    agent_harness,
    assert_nothing_left,
    events_of_type,
    starts_bash,
    tool_outputs,
)

__all__ = ["agent_harness"]


@pytest.mark.any_speed
async def test_an_agent_works_to_its_end(agent_harness: AgentHarness) -> None:
    launch = agent_harness.launch("[scenario: work] Add a checklist")
    subprocess.run(["git", "init", "-q", launch.cwd], check=True)  # noqa: ASYNC221 - at once

    async with open_agent(launch, agent_harness.transcripts) as agent:
        assert identify(agent.root.pid) == agent.root
        assert not agent.has_ended
        events = [event async for event in agent.events()]
        assert agent.has_ended

    assert_nothing_left(launch)
    assert events_of_type(events, AgentStarted)[0].session_id == str(agent_harness.session_id)
    assert events_of_type(events, MessageConsumed)[0].message_uuid == str(launch.prompt_uuid)
    assert {"Bash", "Write"} <= {tool.name for tool in events_of_type(events, ToolStarted)}
    assert all(
        item.status is StepStatus.COMPLETED
        for item in events_of_type(events, PlanChanged)[-1].items
    )
    (result,) = events_of_type(events, AgentResult)
    assert (result.subtype, result.is_error) == ("success", False)
    assert result.cost_usd
    assert result.text
    assert "## Summary" in result.text
    author = ["git", "-C", str(launch.cwd), "log", "-1", "--format=%an"]
    assert subprocess.check_output(author).strip() == b"Signalbox agent"  # noqa: ASYNC221
    assert agent_harness.transcripts.entries[str(agent_harness.session_id), ""]


async def test_a_resume_elsewhere_finishes_the_work_after_a_turn_limit(
    agent_harness: AgentHarness,
) -> None:
    create, update = "TaskCreate", "TaskUpdate"
    agent_harness.set_turns(
        Turn(calls=(task(create, subject="One"), task(create, subject="Two"))),
        Turn(calls=(task(update, taskId="1", status="in_progress"), bash("echo 1", "First"))),
        Turn(
            calls=(
                task(update, taskId="1", status="completed"),
                task(update, taskId="2", status="in_progress"),
                bash("pwd", "Second"),
            )
        ),
        Turn(
            calls=(
                task(update, taskId="2", status="completed"),
                task(create, subject="Three"),
            )
        ),
        Turn(text="All done."),
    )
    first = await agent_harness.run(agent_harness.launch(max_turns=2))
    stopped = events_of_type(first, AgentResult)[-1]
    assert stopped.subtype == "error_max_turns"
    plan = events_of_type(first, PlanChanged)[-1].items

    again = agent_harness.launch("Go on.", resume=True, plan=plan)
    second = await agent_harness.run(again)

    finished = events_of_type(second, AgentResult)[-1]
    assert finished.text == "All done."
    assert events_of_type(second, AgentStarted)[0].session_id == str(agent_harness.session_id)
    assert str(again.cwd) in tool_outputs(second)
    assert "not found" not in tool_outputs(second)
    assert [
        (i.source_id, i.name, i.status.value) for i in events_of_type(second, PlanChanged)[-1].items
    ] == [
        ("1", "One", "completed"),
        ("2", "Two", "completed"),
        ("3", "Three", "pending"),
    ]
    # Each run's own tokens: the first wrote the whole prompt to the cache, the second only read it.
    assert stopped.cost_usd
    assert finished.cost_usd
    assert finished.cost_usd < stopped.cost_usd


def task(name: str, **given: str) -> ToolCall:
    if "subject" in given:
        given |= {"description": given["subject"], "activeForm": given["subject"]}
    return ToolCall(name, given)


async def test_steps_of_a_run_continue_in_the_next(agent_harness: AgentHarness) -> None:
    failed = PlanItem(source_id="4", name="Ship", status=StepStatus.FAILED)
    agent_harness.set_turns(
        Turn(calls=(task("TaskUpdate", taskId="4", status="completed"),)), Turn(text="Done.")
    )
    agent_harness.transcripts.entries.clear()

    events = await agent_harness.run(agent_harness.launch(plan=(failed,)))

    assert events_of_type(events, PlanChanged)[-1].items[0].status is StepStatus.COMPLETED
    assert not any(one.is_error for one in events_of_type(events, ToolFinished))


async def test_a_budget_counts_for_one_run_only(agent_harness: AgentHarness) -> None:
    agent_harness.set_turns(Turn(calls=(bash("echo 1", "First"),)), Turn(text="Done."))
    first = events_of_type(await agent_harness.run(agent_harness.launch(max_turns=1)), AgentResult)[
        -1
    ]
    assert first.cost_usd

    second = await agent_harness.run(
        agent_harness.launch("Go on.", resume=True, budget_usd=first.cost_usd * 9 / 10)
    )

    assert events_of_type(second, AgentResult)[-1].subtype == "success"


async def test_a_budget_stops_an_agent(agent_harness: AgentHarness) -> None:
    agent_harness.set_turns(
        *(Turn(calls=(bash(f"echo {n}", "Count"),)) for n in range(5)), Turn(text="Done.")
    )

    events = await agent_harness.run(agent_harness.launch(budget_usd=Decimal("0.0001")))

    assert events_of_type(events, AgentResult)[-1].subtype == "error_max_budget_usd"


async def test_a_message_sent_during_a_run_reaches_the_agent(agent_harness: AgentHarness) -> None:
    agent_harness.set_turns(
        Turn(calls=(bash("sleep 0.5", "Wait"),)),
        Turn(text="Received."),
    )
    said = uuid4()

    async with open_agent(agent_harness.launch(), agent_harness.transcripts) as agent:
        events: list[AgentEvent] = []
        async for event in agent.events():
            events.append(event)
            if starts_bash(event):
                await agent.send("/help and mind @README.md", message_uuid=said)
        with pytest.raises(AgentEnded):
            await agent.send("Too late.", message_uuid=uuid4())

    assert [one.message_uuid for one in events_of_type(events, MessageConsumed)].count(
        str(said)
    ) == 1
    assert events_of_type(events, AgentText)[-1].text == "Received."


async def test_typed_text_reaches_the_model_verbatim(agent_harness: AgentHarness) -> None:
    agent_harness.model.logs_bodies = True
    agent_harness.set_turns(Turn(text="Done."))
    prompt = "/clear\n@/etc/hostname !ls *bold* <tag> -- --help"

    await agent_harness.run(agent_harness.launch(prompt))

    bodies = json.dumps(
        [request.body for request in agent_harness.model.requests], ensure_ascii=False
    )
    assert json.dumps(prompt)[1:-1] in bodies


async def test_huge_outputs_and_answers_arrive(agent_harness: AgentHarness) -> None:
    events = await agent_harness.run(agent_harness.launch("[scenario: huge]"))

    assert max(len(one.text) for one in events_of_type(events, AgentText)) > 250_000
    assert all(len(one.output) < 5_000 for one in events_of_type(events, ToolFinished))


async def test_the_transcripts_of_the_agent_and_its_subagents_are_stored(
    agent_harness: AgentHarness, caplog: pytest.LogCaptureFixture
) -> None:
    agent_harness.definition = replace(
        agent_harness.definition, allowed_tools=("Agent", "Bash", "Read", "Task")
    )

    events = await agent_harness.run(agent_harness.launch("[scenario: subagent]"))

    assert any(tool.is_subagent for tool in events_of_type(events, ToolStarted))
    own = str(agent_harness.session_id)
    main, subagent = sorted(agent_harness.transcripts.entries)
    assert main == (own, "")
    assert subagent[0] == own
    assert subagent[1].startswith("subagents/agent-")
    # No entry of the real program is taken for a forged one.
    assert "transcript" not in caplog.text


async def test_a_session_without_transcript_does_not_start_afresh(
    agent_harness: AgentHarness,
) -> None:
    with pytest.raises(TranscriptMissing):
        await agent_harness.run(agent_harness.launch("Go on.", resume=True))


async def test_the_events_of_a_run_fold_into_finished_steps(agent_harness: AgentHarness) -> None:
    events = await agent_harness.run(agent_harness.launch("[scenario: work] Add it"))

    steps = fold_steps((), (), events, now=datetime.now(UTC))

    assert len(steps) >= 3
    assert any(step.tool_calls for step in steps)
    assert len(plan_from_steps(steps)) == len(steps)
