"""The environment and the permissions of the real agent program."""

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
from tests.flows.agent_harness import AgentHarness, agent_harness, events_of_type, tool_outputs

__all__ = ["agent_harness"]


def environment_of(agent: AgentSession) -> str:
    return Path(f"/proc/{agent.root.pid}/environ").read_text()


async def test_an_agent_has_a_clean_environment(
    agent_harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
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
    agent_harness.set_turns(Turn(calls=(bash("env", "Look"),)), Turn(text="Done."))
    launch = agent_harness.launch(installation_id="here")

    async with open_agent(launch, agent_harness.transcripts) as agent:
        raw = environment_of(agent)
        events = [event async for event in agent.events()]

    given = dict(line.split("=", 1) for line in raw.split("\0") if line)
    assert "inherited" not in raw
    assert "inherited" not in tool_outputs(events)
    assert not set(secrets) & set(given) - {"ANTHROPIC_API_KEY"}
    assert given["ANTHROPIC_API_KEY"] == agent_harness.model.api_key
    assert given["SIGNALBOX_RUN_ID"] == launch.run_id
    assert given["SIGNALBOX_INSTALLATION"] == "here"
    assert not any(name.startswith("SIGNALBOX_AGENT") for name in given)
    assert given["HOME"] == str(launch.state_dir / "home")
    assert given["CLAUDE_CONFIG_DIR"] == str(launch.state_dir / "config")
    assert given["PATH"] == os.environ["PATH"]
    assert given["LC_TIME"] == "C.UTF-8"
    assert given["GIT_AUTHOR_NAME"] == given["GIT_COMMITTER_NAME"] == "Signalbox agent"
    assert agent_harness.model.api_key not in repr(events)


async def test_a_tool_outside_the_policy_is_denied_with_a_reason(
    agent_harness: AgentHarness,
) -> None:
    agent_harness.definition = replace(agent_harness.definition, allowed_tools=("Read",))
    agent_harness.set_turns(
        Turn(calls=(bash('python3 -c \'open("forbidden", "w")\'', "Write"),)),
        Turn(calls=(ToolCall("AskUserQuestion", QUESTION),)),
        Turn(text="Done."),
    )
    launch = agent_harness.launch()

    events = await agent_harness.run(launch)

    assert not (launch.cwd / "forbidden").exists()
    assert "does not permit this use of Bash" in tool_outputs(events)
    assert "Nobody can answer" in tool_outputs(events)
    assert events_of_type(events, AgentResult)[-1].subtype == "success"


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


async def test_forbidden_tools_are_not_offered(agent_harness: AgentHarness) -> None:
    agent_harness.definition = replace(
        agent_harness.definition, disallowed_tools=("Write", "WebFetch")
    )
    agent_harness.set_turns(Turn(text="Done."))

    events = await agent_harness.run(agent_harness.launch())

    tools = set(events_of_type(events, AgentStarted)[0].tools)
    assert {"Bash", "Read", "TaskCreate"} <= tools
    assert not tools & {"Write", "WebFetch", "CronCreate", "SendMessage", "EnterWorktree"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root is refused")
async def test_bypassing_permissions_as_root_is_refused_clearly(
    agent_harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IS_SANDBOX", raising=False)
    agent_harness.definition = replace(
        agent_harness.definition, permission_mode=PermissionMode.BYPASS
    )

    with pytest.raises(AgentFailed) as caught:
        await agent_harness.run(agent_harness.launch())

    assert "as root" in str(caught.value)
    assert "IS_SANDBOX=1" in caught.value.user_message


async def test_permissions_are_bypassed_on_a_disposable_machine(
    agent_harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IS_SANDBOX", "1")
    agent_harness.definition = replace(
        agent_harness.definition, permission_mode=PermissionMode.BYPASS, allowed_tools=()
    )
    agent_harness.set_turns(Turn(calls=(bash("echo bypassed", "Echo"),)), Turn(text="Done."))

    assert "bypassed" in tool_outputs(await agent_harness.run(agent_harness.launch()))
