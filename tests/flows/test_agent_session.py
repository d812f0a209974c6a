"""The real agent program on the scripted model: what it does, and how it is ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest

from bot.sandbox.model.script import Script, ToolCall, Turn, bash, in_order
from bot.sandbox.model.server import Model, open_model
from core.agent.process import end_tree, find_tree, identify
from core.agent.protocol import AgentEnded, AgentFailed, AgentSession, Launch, NoTranscript
from core.agent.session import open_agent
from core.agent.steps import fold_steps, plan_of
from core.domain.event import (
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
from core.domain.step import StepStatus
from core.domain.termination import Phase, Proof
from core.domain.workflow import PermissionMode, WorkflowDefinition
from tests.fakes.transcripts import MemoryTranscripts

E = TypeVar("E")


@dataclass
class Desk:
    """A place to launch agents from, each leg with directories of its own."""

    folder: Path
    model: Model
    transcripts: MemoryTranscripts = field(default_factory=MemoryTranscripts)
    session_id: UUID = field(default_factory=uuid4)
    definition: WorkflowDefinition = field(
        default_factory=lambda: WorkflowDefinition(
            name="test", description="", prompt="", allowed_tools=("Bash", "Read")
        )
    )
    legs: int = 0

    def launch(self, prompt: str = "Do it.", **wishes: Any) -> Launch:
        self.legs += 1
        # A path with a space, as a home directory may have.
        leg = self.folder / f"leg {self.legs}"
        (leg / "work").mkdir(parents=True)
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
            cwd=leg / "work",
            state_dir=leg / "state",
            credentials={
                "ANTHROPIC_API_KEY": self.model.api_key,
                "ANTHROPIC_BASE_URL": self.model.url,
            },
        )
        return replace(launch, **wishes)

    def plays(self, *turns: Turn) -> None:
        """Let the model say just this."""
        self.model.script = Script(name="test", about="", play=in_order(*turns))

    async def run(self, launch: Launch) -> list[AgentEvent]:
        """One leg to its end."""
        async with open_agent(launch, self.transcripts) as agent:
            return [event async for event in agent.events()]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_model() as model:
        yield Desk(tmp_path, model)


def of(events: list[AgentEvent], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def outputs(events: list[AgentEvent]) -> str:
    return "\n".join(one.output for one in of(events, ToolFinished))


async def until(agent: AgentSession, holds: Callable[[AgentEvent], bool]) -> None:
    """Read on until an event of this kind came."""
    async for event in agent.events():
        if holds(event):
            return
    pytest.fail("the agent ended first")


def starts_bash(event: AgentEvent) -> bool:
    return isinstance(event, ToolStarted) and event.name == "Bash"


async def sleeping(launch: Launch, seconds: str) -> None:
    """Wait until the tool's own process runs."""
    async with asyncio.timeout(40):
        while not any(seconds in line for line in command_lines(launch)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def command_lines(launch: Launch) -> list[str]:
    lines = []
    for one in find_tree(launch.run_id, None):
        path = Path(f"/proc/{one.pid}/cmdline")
        if path.exists():
            lines.append(path.read_text().replace("\0", " "))
    return lines


def environment_of(agent: AgentSession) -> str:
    return Path(f"/proc/{agent.root.pid}/environ").read_text()


def assert_nothing_left(launch: Launch) -> None:
    assert find_tree(launch.run_id, None) == ()


async def test_an_agent_works_to_its_end(desk: Desk) -> None:
    launch = desk.launch("[scenario: work] Add a checklist")
    subprocess.run(["git", "init", "-q", launch.cwd], check=True)  # noqa: ASYNC221 - at once

    async with open_agent(launch, desk.transcripts) as agent:
        assert identify(agent.root.pid) == agent.root
        assert not agent.has_ended
        events = [event async for event in agent.events()]
        assert agent.has_ended

    assert_nothing_left(launch)
    assert of(events, AgentStarted)[0].session_id == str(desk.session_id)
    assert of(events, MessageConsumed)[0].message_uuid == str(launch.prompt_uuid)
    assert {"Bash", "Write"} <= {tool.name for tool in of(events, ToolStarted)}
    assert all(item.status is StepStatus.COMPLETED for item in of(events, PlanChanged)[-1].items)
    (result,) = of(events, AgentResult)
    assert (result.subtype, result.is_error) == ("success", False)
    assert result.cost_usd
    assert result.text
    assert "## Summary" in result.text
    author = ["git", "-C", str(launch.cwd), "log", "-1", "--format=%an"]
    assert subprocess.check_output(author).strip() == b"Signalbox agent"  # noqa: ASYNC221
    assert desk.transcripts.entries[str(desk.session_id), ""]


async def test_an_agent_finds_a_clean_environment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {
        "SLACK_BOT_TOKEN": "xoxb-inherited",
        "DATABASE_URL": "postgresql://inherited",
        "SIGNALBOX_TOKEN": "inherited",
        "ANTHROPIC_AUTH_TOKEN": "inherited",
        "ANTHROPIC_API_KEY": "sk-inherited",
        "CLAUDE_CODE_USE_BEDROCK": "inherited",
        "CLAUDECODE": "inherited",
        "AWS_SECRET_ACCESS_KEY": "inherited",
        "GITHUB_TOKEN": "inherited",
        "PYTHONPATH": "/inherited",
        "LD_PRELOAD_OF_SOMEBODY": "inherited",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_TIME", "C.UTF-8")
    desk.plays(Turn(calls=(bash("env", "Look"),)), Turn(text="Done."))
    launch = desk.launch(site="here")

    async with open_agent(launch, desk.transcripts) as agent:
        raw = environment_of(agent)
        events = [event async for event in agent.events()]

    given = dict(line.split("=", 1) for line in raw.split("\0") if line)
    assert "inherited" not in raw
    assert "inherited" not in outputs(events)
    assert not set(secrets) & set(given) - {"ANTHROPIC_API_KEY"}
    assert given["ANTHROPIC_API_KEY"] == desk.model.api_key
    assert given["SIGNALBOX_RUN_ID"] == launch.run_id
    assert given["SIGNALBOX_SITE"] == "here"
    assert not any(name.startswith("SIGNALBOX_AGENT") for name in given)
    assert given["HOME"] == str(launch.state_dir / "home")
    assert given["CLAUDE_CONFIG_DIR"] == str(launch.state_dir / "config")
    assert given["PATH"] == os.environ["PATH"]
    assert given["LC_TIME"] == "C.UTF-8"
    assert given["GIT_AUTHOR_NAME"] == given["GIT_COMMITTER_NAME"] == "Signalbox agent"
    assert desk.model.api_key not in repr(events)


async def test_a_turn_limit_then_a_resume_elsewhere_finishes_the_job(desk: Desk) -> None:
    create, update = "TaskCreate", "TaskUpdate"
    desk.plays(
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
    first = await desk.run(desk.launch(max_turns=2))
    stopped = of(first, AgentResult)[-1]
    assert stopped.subtype == "error_max_turns"
    plan = of(first, PlanChanged)[-1].items

    again = desk.launch("Go on.", resume=True, plan=plan)
    second = await desk.run(again)

    finished = of(second, AgentResult)[-1]
    assert finished.text == "All done."
    assert of(second, AgentStarted)[0].session_id == str(desk.session_id)
    assert str(again.cwd) in outputs(second)
    assert "not found" not in outputs(second)
    assert [(i.source_id, i.name, i.status.value) for i in of(second, PlanChanged)[-1].items] == [
        ("1", "One", "completed"),
        ("2", "Two", "completed"),
        ("3", "Three", "pending"),
    ]
    # Each leg's own: the first wrote the whole prompt to the cache, the second only read it.
    assert stopped.cost_usd
    assert finished.cost_usd
    assert finished.cost_usd < stopped.cost_usd


def task(name: str, **given: str) -> ToolCall:
    if "subject" in given:
        given |= {"description": given["subject"], "activeForm": given["subject"]}
    return ToolCall(name, given)


async def test_steps_of_a_leg_go_on_in_the_next(desk: Desk) -> None:
    failed = PlanItem(source_id="4", name="Ship", status=StepStatus.FAILED)
    desk.plays(
        Turn(calls=(task("TaskUpdate", taskId="4", status="completed"),)), Turn(text="Done.")
    )
    desk.transcripts.entries.clear()

    events = await desk.run(desk.launch(plan=(failed,)))

    assert of(events, PlanChanged)[-1].items[0].status is StepStatus.COMPLETED
    assert not any(one.is_error for one in of(events, ToolFinished))


async def test_a_budget_counts_for_its_leg_alone(desk: Desk) -> None:
    desk.plays(Turn(calls=(bash("echo 1", "First"),)), Turn(text="Done."))
    first = of(await desk.run(desk.launch(max_turns=1)), AgentResult)[-1]
    assert first.cost_usd

    second = await desk.run(desk.launch("Go on.", resume=True, budget_usd=first.cost_usd * 9 / 10))

    assert of(second, AgentResult)[-1].subtype == "success"


async def test_a_budget_stops_an_agent(desk: Desk) -> None:
    desk.plays(*(Turn(calls=(bash(f"echo {n}", "Count"),)) for n in range(5)), Turn(text="Done."))

    events = await desk.run(desk.launch(budget_usd=desk_price(0.0001)))

    assert of(events, AgentResult)[-1].subtype == "error_max_budget_usd"


def desk_price(usd: float) -> Any:
    from decimal import Decimal

    return Decimal(str(usd))


async def test_an_interrupt_ends_the_tool_and_the_agent(desk: Desk) -> None:
    desk.plays(Turn(calls=(bash("sleep 71", "Sleep"),)), Turn(text="Never."))
    launch = desk.launch()

    async with open_agent(launch, desk.transcripts) as agent:
        events: list[AgentEvent] = []
        async for event in agent.events():
            events.append(event)
            if starts_bash(event):
                await sleeping(launch, "71")
                await agent.interrupt()
        assert agent.has_ended
        await agent.interrupt()

    assert of(events, AgentResult)[-1].terminal_reason == "aborted_tools"
    assert_nothing_left(launch)


async def test_words_sent_in_mid_run_reach_the_agent(desk: Desk) -> None:
    desk.plays(
        Turn(calls=(bash("sleep 0.5", "Wait"),)),
        Turn(text="Heard."),
    )
    said = uuid4()

    async with open_agent(desk.launch(), desk.transcripts) as agent:
        events: list[AgentEvent] = []
        async for event in agent.events():
            events.append(event)
            if starts_bash(event):
                await agent.send("/help and mind @README.md", message_uuid=said)
        with pytest.raises(AgentEnded):
            await agent.send("Too late.", message_uuid=uuid4())

    assert [one.message_uuid for one in of(events, MessageConsumed)].count(str(said)) == 1
    assert of(events, AgentText)[-1].text == "Heard."


async def test_what_people_type_is_said_verbatim(desk: Desk) -> None:
    desk.model.keeps_bodies = True
    desk.plays(Turn(text="Done."))
    prompt = "/clear\n@/etc/hostname !ls *bold* <tag> -- --help"

    await desk.run(desk.launch(prompt))

    bodies = json.dumps([asked.body for asked in desk.model.requests], ensure_ascii=False)
    assert json.dumps(prompt)[1:-1] in bodies


async def test_a_tool_outside_the_policy_is_denied_with_a_reason(desk: Desk) -> None:
    desk.definition = replace(desk.definition, allowed_tools=("Read",))
    desk.plays(
        Turn(calls=(bash('python3 -c \'open("forbidden", "w")\'', "Write"),)),
        Turn(calls=(ToolCall("AskUserQuestion", QUESTION),)),
        Turn(text="Done."),
    )
    launch = desk.launch()

    events = await desk.run(launch)

    assert not (launch.cwd / "forbidden").exists()
    assert "does not permit this use of Bash" in outputs(events)
    assert "Nobody can answer" in outputs(events)
    assert of(events, AgentResult)[-1].subtype == "success"


QUESTION = {
    "questions": [
        {
            "question": "Which?",
            "header": "Which",
            "multiSelect": False,
            "options": [{"label": "A", "description": "a"}, {"label": "B", "description": "b"}],
        }
    ]
}


async def test_forbidden_tools_are_not_offered(desk: Desk) -> None:
    desk.definition = replace(desk.definition, disallowed_tools=("Write", "WebFetch"))
    desk.plays(Turn(text="Done."))

    events = await desk.run(desk.launch())

    tools = set(of(events, AgentStarted)[0].tools)
    assert {"Bash", "Read", "TaskCreate"} <= tools
    assert not tools & {"Write", "WebFetch", "CronCreate", "SendMessage", "EnterWorktree"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root is refused")
async def test_bypassing_permissions_as_root_is_refused_clearly(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IS_SANDBOX", raising=False)
    desk.definition = replace(desk.definition, permission_mode=PermissionMode.BYPASS)

    with pytest.raises(AgentFailed) as caught:
        await desk.run(desk.launch())

    assert "as root" in str(caught.value)
    assert "IS_SANDBOX=1" in caught.value.user_message


async def test_permissions_are_bypassed_where_the_machine_may_be_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IS_SANDBOX", "1")
    desk.definition = replace(
        desk.definition, permission_mode=PermissionMode.BYPASS, allowed_tools=()
    )
    desk.plays(Turn(calls=(bash("echo bypassed", "Echo"),)), Turn(text="Done."))

    assert "bypassed" in outputs(await desk.run(desk.launch()))


async def test_huge_outputs_and_answers_pass(desk: Desk) -> None:
    events = await desk.run(desk.launch("[scenario: huge]"))

    assert max(len(one.text) for one in of(events, AgentText)) > 250_000
    assert all(len(one.output) < 5_000 for one in of(events, ToolFinished))


async def test_an_agent_closed_in_mid_work_leaves_nothing_behind(desk: Desk) -> None:
    desk.plays(Turn(calls=(bash("sleep 72", "Sleep"),)), Turn(text="Never."))
    launch = desk.launch()

    async with open_agent(launch, desk.transcripts) as agent:
        await until(agent, starts_bash)
        await sleeping(launch, "72")
        closing = time.monotonic()

    assert time.monotonic() - closing < 5
    assert_nothing_left(launch)
    # Its last words are kept: another machine can go on from here.
    kept = json.dumps(desk.transcripts.entries[str(desk.session_id), ""])
    assert "sleep 72" in kept


async def test_a_daemon_left_by_a_tool_ends_with_the_agent(desk: Desk) -> None:
    daemon = "(env -i setsid bash -c 'trap \"\" TERM; sleep 73' >/dev/null 2>&1 &)"
    desk.plays(Turn(calls=(bash(f"{daemon}; sleep 0.2; echo left", "Leave"),)), Turn(text="Done."))
    launch = desk.launch()

    async with open_agent(launch, desk.transcripts) as agent:
        daemons = []
        async for event in agent.events():
            if isinstance(event, ToolFinished):
                daemons = list(find_tree(launch.run_id, agent.root))
    seen = [one for one in daemons if one.pid != agent.root.pid]

    assert {one.name for one in seen} >= {"sleep"}
    assert all(identify(one.pid) != one for one in seen)


async def test_a_cancelled_caller_leaves_nothing_behind(desk: Desk) -> None:
    desk.plays(Turn(calls=(bash("sleep 74", "Sleep"),)), Turn(text="Never."))
    launch = desk.launch()
    running = asyncio.create_task(desk.run(launch))
    await sleeping(launch, "74")

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert_nothing_left(launch)


async def test_a_caller_cancelled_during_the_start_leaves_nothing_behind(desk: Desk) -> None:
    launch = desk.launch(program=program(desk, "sleep 75"))
    running = asyncio.create_task(desk.run(launch))
    await sleeping(launch, "75")

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert_nothing_left(launch)


@pytest.mark.parametrize("scenario", ["kill-stubborn", "kill-escaped", "kill-hostile"])
async def test_the_ladder_ends_a_hostile_agents_tree_while_its_events_are_read(
    desk: Desk, scenario: str
) -> None:
    launch = desk.launch(f"[scenario: {scenario}]")
    phases: list[Phase] = []

    async def heard(phase: Phase, proof: Proof) -> None:
        phases.append(phase)

    async with open_agent(launch, desk.transcripts) as agent:

        async def read() -> None:
            async for _ in agent.events():
                pass

        async with asyncio.timeout(15):
            reading = asyncio.create_task(read())
            while len(find_tree(launch.run_id, agent.root)) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        began = time.monotonic()
        proof = await end_tree(
            cookie=launch.run_id,
            root=agent.root,
            interrupt=agent.interrupt,
            has_ended=lambda: agent.has_ended,
            on_phase=heard,
            known=agent.tree,
        )
        elapsed = time.monotonic() - began
        await asyncio.wait({reading}, timeout=5)

    assert proof.is_confirmed
    assert elapsed < 9
    assert phases[0] is Phase.INTERRUPTED
    assert_nothing_left(launch)


async def test_a_crash_is_told_with_its_exit_code_and_ends_the_orphans(desk: Desk) -> None:
    desk.plays(
        Turn(calls=(bash("setsid sleep 76 & kill -9 $PPID; sleep 76", "Crash"),)),
        Turn(text="Never."),
    )
    launch = desk.launch()

    with pytest.raises(AgentFailed) as caught:
        await desk.run(launch)

    assert caught.value.exit_code == -signal.SIGKILL
    assert_nothing_left(launch)


async def test_after_a_crash_a_resume_goes_on(desk: Desk) -> None:
    crash = Turn(text="First.", calls=(bash("kill -9 $PPID", "Crash"),))
    desk.model.script = Script(
        name="test", about="", play=lambda scene: Turn(text="Back.") if scene.words else crash
    )
    with pytest.raises(AgentFailed):
        await desk.run(desk.launch())

    events = await desk.run(desk.launch("Go on.", resume=True))

    assert of(events, AgentResult)[-1].subtype == "success"
    assert of(events, AgentStarted)[0].session_id == str(desk.session_id)


def program(desk: Desk, *lines: str) -> Path:
    """Something that is not the agent program."""
    path = desk.folder / f"program-{uuid4().hex[:6]}"
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return path


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
async def test_a_program_that_does_not_start_is_told_clearly(
    desk: Desk, lines: tuple[str, ...], what: str, exit_code: int | None
) -> None:
    launch = desk.launch(program=program(desk, *lines))
    limit = timedelta(seconds=1.5 if what == "did not answer" else 20)

    with pytest.raises(AgentFailed) as caught:
        async with open_agent(launch, desk.transcripts, connect_limit=limit):
            pytest.fail("it opened")

    assert what in str(caught.value)
    assert caught.value.exit_code == exit_code
    assert str(desk.folder) not in caught.value.user_message
    if exit_code == 3:
        assert caught.value.stderr_tail == "oops"
    assert_nothing_left(launch)


async def test_a_missing_program_is_told_clearly(desk: Desk) -> None:
    with pytest.raises(AgentFailed) as caught:
        await desk.run(desk.launch(program=desk.folder / "nowhere"))

    assert "nowhere" not in caught.value.user_message


async def test_a_session_without_transcript_does_not_start_afresh(desk: Desk) -> None:
    with pytest.raises(NoTranscript):
        await desk.run(desk.launch("Go on.", resume=True))


async def test_an_agent_ends_with_its_worker(desk: Desk) -> None:
    desk.plays(Turn(calls=(bash("sleep 77", "Sleep"),)), Turn(text="Never."))
    launch = desk.launch()
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, launch.run_id, str(launch.cwd.parent), desk.model.url
    )
    try:
        await sleeping(launch, "77")
    finally:
        worker.kill()
        await worker.wait()

    async with asyncio.timeout(20):
        while find_tree(launch.run_id, None):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


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


async def test_a_recorded_leg_folds_into_finished_steps(desk: Desk) -> None:
    events = await desk.run(desk.launch("[scenario: work] Add it"))
    from datetime import UTC, datetime

    steps = fold_steps((), (), events, now=datetime.now(UTC))

    assert len(steps) >= 3
    assert any(step.tool_calls for step in steps)
    assert len(plan_of(steps)) == len(steps)
