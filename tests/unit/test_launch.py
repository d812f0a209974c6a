"""The environment of an agent, as `launch.py` cleans it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from core.agent.egress.control import NetworkAccess
from core.agent.options import environment
from core.agent.process import launch
from core.agent.process.launch import without_login
from core.agent.protocol import Launch
from core.domain.reach.network import NetworkPolicy
from core.domain.workflow import WorkflowDefinition

_PROXIES = {
    "HTTPS_PROXY": "http://ada:s3cr3t@proxy.example:3128",
    "http_proxy": "ada:s3cr3t@proxy.example:3128",
    "NO_PROXY": "localhost",
}


def environment_of_an_agent(
    tmp_path: Path, variables: Mapping[str, str], *, given: tuple[str, ...] = ()
) -> dict[str, str]:
    config = tmp_path / "config"
    config.mkdir()
    done = subprocess.run(
        [sys.executable, "-I", "-S", launch.__file__],
        env={
            **variables,
            launch.PROGRAM_VARIABLE: "/usr/bin/env",
            launch.GIVEN_VARIABLE: ",".join(("HOME", "CLAUDE_CONFIG_DIR", *given)),
            "HOME": str(tmp_path / "home"),
            "CLAUDE_CONFIG_DIR": str(config),
        },
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def test_an_agent_gets_the_proxy_without_its_password(tmp_path: Path) -> None:
    seen = environment_of_an_agent(tmp_path, {**_PROXIES, "SLACK_BOT_TOKEN": "xoxb-1"})

    assert seen["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert seen["http_proxy"] == "proxy.example:3128"
    assert seen["NO_PROXY"] == "localhost"
    assert "SLACK_BOT_TOKEN" not in seen


def test_an_agent_that_is_given_the_login_of_the_proxy_gets_it(tmp_path: Path) -> None:
    seen = environment_of_an_agent(tmp_path, _PROXIES, given=launch.PROXY_VARIABLES)

    assert {name: seen[name] for name in _PROXIES} == _PROXIES


@pytest.mark.parametrize(
    ("network", "is_shared", "expected"),
    [("open", True, True), ("open", False, False), ("none", True, False)],
)
def test_the_login_is_given_if_it_is_shared_and_of_use(
    tmp_path: Path, network: str, *, is_shared: bool, expected: bool
) -> None:
    started = Launch(
        run_id="run_0a1b2c3d4e5f",
        session_id=uuid4(),
        resume=False,
        prompt="",
        prompt_uuid=uuid4(),
        definition=WorkflowDefinition(name="test", description="", prompt=""),
        model=None,
        max_turns=1,
        budget_usd=None,
        cwd=tmp_path,
        state_dir=tmp_path,
        network=NetworkAccess(policy=NetworkPolicy.parse(network)),
        shares_proxy_password=is_shared,
    )

    given = environment(started)[launch.GIVEN_VARIABLE].split(",")

    assert ("HTTPS_PROXY" in given) is expected
    assert ("all_proxy" in given) is expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("http://ada@proxy.example", "http://proxy.example"),
        ("socks5h://ada:p@ss/w@proxy.example:1080/", "socks5h://proxy.example:1080/"),
        ("ada:p://w@proxy.example", "proxy.example"),
        ("proxy.example:3128", "proxy.example:3128"),
        ("", ""),
    ],
)
def test_only_the_login_is_removed(address: str, expected: str) -> None:
    assert without_login(address) == expected
