"""Definitions against the settings: a workflow may be stricter than these, never less strict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.assembly.backend import open_backend
from bot.assembly.settings import load_settings
from bot.cli.abilities import ABILITIES, abilities_line
from core.agent.definitions.catalog import load_catalog
from core.agent.definitions.check import check_definitions
from core.agent.definitions.definition import BadDefinition
from core.agent.definitions.tool_effects import ToolEffect
from core.domain.isolation import IsolationMode
from core.domain.reach.network import NetworkPolicy
from core.domain.workflow import WorkflowDefinition

OPEN = NetworkPolicy()
AUTO, REQUIRED, NONE = IsolationMode.AUTO, IsolationMode.REQUIRED, IsolationMode.NONE
MINE = WorkflowDefinition(name="mine", description="", prompt="")


def policy(*hosts: str) -> NetworkPolicy:
    return NetworkPolicy.parse(list(hosts) or "none")


def check(
    definition: WorkflowDefinition, isolation: IsolationMode = AUTO, network: NetworkPolicy = OPEN
) -> tuple[str, ...]:
    return check_definitions([definition], isolation=isolation, network=network)


@pytest.mark.parametrize("isolation", IsolationMode)
@pytest.mark.parametrize("network", [OPEN, policy("example.com")])
def test_the_shipped_workflows_load_with_all_settings(
    isolation: IsolationMode, network: NetworkPolicy
) -> None:
    warnings = check_definitions(load_catalog().all, isolation=isolation, network=network)

    assert len(warnings) == (1 if isolation is NONE else 0)


@pytest.mark.parametrize(("wanted", "setting"), [(AUTO, REQUIRED), (NONE, REQUIRED), (NONE, AUTO)])
def test_less_isolation_than_the_settings_is_an_error(
    wanted: IsolationMode, setting: IsolationMode
) -> None:
    with pytest.raises(BadDefinition) as caught:
        check(replace(MINE, isolation=wanted), setting)

    assert (caught.value.file, caught.value.key) == ("mine.md", "isolation")
    assert f"`{wanted}` is less than `{setting}`" in caught.value.user_message
    assert "remove the key" in caught.value.user_message


@pytest.mark.parametrize(
    ("wanted", "setting"), [(REQUIRED, AUTO), (REQUIRED, REQUIRED), (AUTO, AUTO), (NONE, NONE)]
)
def test_the_same_or_more_isolation_is_accepted(
    wanted: IsolationMode, setting: IsolationMode
) -> None:
    assert check(replace(MINE, isolation=wanted), setting) == ()


def test_isolation_that_the_settings_switch_off_is_announced_as_refused() -> None:
    warnings = check(replace(MINE, isolation=REQUIRED), NONE)

    assert len(warnings) == 1
    assert "mine.md" in warnings[0]
    assert "refused" in warnings[0]


@pytest.mark.parametrize(
    ("wanted", "setting", "excess"),
    [
        (OPEN, policy("example.com"), "`open`"),
        (OPEN, policy(), "`open`"),
        (policy("example.com"), policy(), "`example.com`"),
        (policy("a.example", "b.example"), policy("a.example"), "`b.example`"),
        (policy("*.example.com"), policy("a.example.com"), "`*.example.com`"),
        (policy("example.com:8443"), policy("example.com"), "`example.com:8443`"),
        (policy(*(f"h{n}.example" for n in range(9))), policy(), "`h4.example` and 4 more"),
    ],
)
def test_hosts_that_the_settings_do_not_list_are_an_error(
    wanted: NetworkPolicy, setting: NetworkPolicy, excess: str
) -> None:
    with pytest.raises(BadDefinition) as caught:
        check(replace(MINE, network=wanted), network=setting)

    assert (caught.value.file, caught.value.key) == ("mine.md", "network")
    assert f"{excess} is more than" in caught.value.user_message
    assert "`[agent] network`" in caught.value.user_message


@pytest.mark.parametrize(
    ("wanted", "setting"),
    [
        (policy("a.example.com"), policy("*.example.com")),
        (policy("example.com"), OPEN),
        (policy(), policy("example.com")),
        (OPEN, OPEN),
    ],
)
def test_the_same_or_fewer_hosts_are_accepted(
    wanted: NetworkPolicy, setting: NetworkPolicy
) -> None:
    assert check(replace(MINE, network=wanted), network=setting) == ()


def test_a_limited_network_needs_isolation() -> None:
    with pytest.raises(BadDefinition) as caught:
        check(replace(MINE, network=policy()), NONE)

    assert (caught.value.file, caught.value.key) == ("mine.md", "network")
    assert "cannot be enforced" in caught.value.user_message
    assert check(replace(MINE, network=OPEN), NONE) == ()


def test_a_read_only_workflow_without_isolation_is_announced_with_what_it_loses() -> None:
    mine = replace(MINE, read_only=True, allowed_tools=("Read", "Bash(ls:*)", "Bash(make test)"))

    (warning,) = check(mine, NONE)

    assert "mine.md, `read_only`" in warning
    assert "works without `Bash(make test)`" in warning
    assert check(mine, AUTO) == ()


def test_what_workflows_can_do_is_one_line() -> None:
    line = abilities_line(load_catalog().all)

    assert line == (
        "run any code in their workspace: architect, document, fix, implement, pr, refactor, test; "
        "change nothing: review"
    )


def test_every_effect_has_words() -> None:
    assert ABILITIES.keys() == set(ToolEffect)


async def test_a_workflow_that_asks_for_more_than_the_settings_stops_the_start(
    tmp_path: Path,
) -> None:
    (tmp_path / "signalbox.toml").write_text('[agent]\nnetwork = ["a.example"]\n')
    (tmp_path / "mine.md").write_text(
        "---\ndescription: Does things.\nnetwork: [b.example]\n---\nYou do things.\n"
    )
    settings = load_settings(SIGNALBOX_HOME=tmp_path, SIGNALBOX_WORKFLOWS=tmp_path)

    with pytest.raises(BadDefinition, match=r"mine\.md, `network`: `b\.example`"):
        async with open_backend(settings, migrates=False):
            pass


@pytest.mark.parametrize(
    ("network", "server", "is_warned"),
    [
        (None, "https://mcp.example/mcp", False),
        (["mcp.example"], "https://mcp.example/mcp", False),
        (["api.example"], "https://mcp.example/mcp", True),
        (["mcp.example"], "http://mcp.example:8080/mcp", True),
        ("none", "https://mcp.example/mcp", True),
    ],
)
def test_a_server_on_a_host_that_may_not_be_reached_is_warned_of(
    network: object, server: str, is_warned: bool
) -> None:
    mine = WorkflowDefinition(
        name="mine",
        description="",
        prompt="",
        network=None if network is None else NetworkPolicy.parse(network),
        mcp_servers={"linear": {"type": "http", "url": server}},
    )

    warnings = check_definitions(
        [mine], isolation=IsolationMode.AUTO, network=NetworkPolicy.parse("open")
    )

    assert bool(warnings) == is_warned
    assert all("mine.md, `mcp_servers`: `linear` cannot connect" in one for one in warnings)
