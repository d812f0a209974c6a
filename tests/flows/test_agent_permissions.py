"""What the real agent program is given and may do: its environment, its tools."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bot.sandbox.model.script import ToolCall, Turn, bash
from core.agent.protocol import AgentFailed, AgentSession
from core.agent.session import open_agent
from core.domain.runs.event import AgentResult, AgentStarted
from core.domain.workflow import PermissionMode
from tests.flows.agent_desk import Desk, desk, of, outputs

__all__ = ["desk"]


def environment_of(agent: AgentSession) -> str:
    return Path(f"/proc/{agent.root.pid}/environ").read_text()


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
