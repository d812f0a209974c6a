from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from core.agent.definitions.catalog import load_catalog
from core.agent.definitions.definition import BadDefinition, parse_definition
from core.domain.isolation import IsolationMode
from core.domain.reach.network import NetworkPolicy
from core.domain.workflow import OnWorkerLost, PermissionMode, UnknownWorkflow

FRONT = "---\ndescription: Does things.\n{more}\n---\nYou do things.\n"
SHIPPED = ["architect", "document", "fix", "implement", "pr", "refactor", "review", "test"]


def with_keys(more: str) -> str:
    return FRONT.format(more=more)


def refused(text: str, file: str = "mine.md") -> BadDefinition:
    with pytest.raises(BadDefinition) as caught:
        parse_definition(file, text)
    return caught.value


def test_the_eight_workflows_are_shipped_in_order() -> None:
    assert [definition.name for definition in load_catalog().all] == SHIPPED


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("builder", "implement"),
        ("surgeon", "fix"),
        ("guardian", "test"),
        ("shipper", "pr"),
        ("brain", "architect"),
        ("genie", "document"),
        ("lina", "review"),
        ("BUILDER", "implement"),
        ("Implement ", "implement"),
    ],
)
def test_aliases_resolve_to_their_workflow(alias: str, name: str) -> None:
    assert load_catalog().get(alias).name == name


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(UnknownWorkflow) as caught:
        load_catalog().get("buildr")

    assert "Did you mean `builder`?" in caught.value.user_message


def test_no_name_is_claimed_twice() -> None:
    catalog = load_catalog()

    claimed = [name for one in catalog.all for name in (one.name, *one.aliases)]
    assert len(claimed) == len(set(claimed)) == len(catalog.names)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_prompt_says_how_to_work_and_to_report(name: str) -> None:
    definition = load_catalog().get(name)

    assert "## How to work" in definition.prompt
    assert "## Do not" in definition.prompt
    assert "`## Summary`" in definition.prompt
    assert "task list" in definition.prompt
    assert 25 <= len(definition.prompt.split("\n")) <= 60
    assert definition.setting_sources == ()
    assert definition.permission_mode is not PermissionMode.BYPASS


def test_a_review_can_change_nothing() -> None:
    review = load_catalog().get("review")

    assert {"Edit", "Write", "NotebookEdit"} <= set(review.disallowed_tools)
    assert "Bash" not in review.allowed_tools
    assert review.permission_mode is PermissionMode.DEFAULT


def test_every_key_is_read() -> None:
    text = with_keys(
        "aliases: [mine-too, other]\nmodel: sonnet\nmax_turns: 12\nbudget_usd: 2.50\n"
        "timeout: 1h30m\nallowed_tools: [Read, 'Bash(git log:*)']\ndisallowed_tools: [Write]\n"
        "permission_mode: plan\nsetting_sources: [project]\non_worker_lost: fail\n"
        "read_only: true\nisolation: required\nnetwork: [api.example.com, '*.example.org:8443']\n"
        "mcp_servers:\n  linear: {url: 'https://mcp.example/sse'}"
    )

    definition = parse_definition("mine.md", text)

    assert definition.name == "mine"
    assert definition.description == "Does things."
    assert definition.prompt == "You do things."
    assert definition.aliases == ("mine-too", "other")
    assert definition.model == "sonnet"
    assert definition.max_turns == 12
    assert definition.budget_usd == Decimal("2.50")
    assert definition.timeout == timedelta(hours=1, minutes=30)
    assert definition.allowed_tools == ("Read", "Bash(git log:*)")
    assert definition.disallowed_tools == ("Write",)
    assert definition.permission_mode is PermissionMode.PLAN
    assert definition.setting_sources == ("project",)
    assert definition.on_worker_lost is OnWorkerLost.FAIL
    assert definition.read_only is True
    assert definition.isolation is IsolationMode.REQUIRED
    assert definition.network == NetworkPolicy.parse(["api.example.com", "*.example.org:8443"])
    assert definition.mcp_servers == {"linear": {"type": "sse", "url": "https://mcp.example/sse"}}


def test_without_keys_a_definition_may_write_and_takes_the_isolation_of_the_settings() -> None:
    definition = parse_definition("mine.md", with_keys("network:\nisolation:"))

    assert definition.read_only is False
    assert definition.isolation is None
    assert definition.network is None


@pytest.mark.parametrize("mode", ["open", "none"])
def test_a_network_can_be_a_single_word(mode: str) -> None:
    definition = parse_definition("mine.md", with_keys(f"network: {mode}"))

    assert definition.network == NetworkPolicy.parse(mode)


@pytest.mark.parametrize(
    ("more", "key", "hint"),
    [
        ("max_turn: 3", "max_turn", "did you mean `max_turns`?"),
        ("max_turns: 0", "max_turns", "from 1 to 1000"),
        ("max_turns: yes", "max_turns", "whole number"),
        ("max_turns: '30'", "max_turns", "whole number"),
        ("budget_usd: much", "budget_usd", "US dollars"),
        ("budget_usd: .nan", "budget_usd", "US dollars"),
        ("budget_usd: -1", "budget_usd", "more than 0"),
        ("timeout: 30", "timeout", "like `30m`"),
        ("timeout: 2d", "timeout", "like `30m`"),
        ("timeout: 9s", "timeout", "10s to 24h"),
        ("timeout: 99999999999999999h", "timeout", "like `30m`"),
        ("allowed_tools: Read", "allowed_tools", "a list"),
        ("allowed_tools: [Read, Read]", "allowed_tools", "twice"),
        ("aliases: [Big]", "aliases", "small letters"),
        ("aliases: [mine]", "aliases", "own name"),
        ("permission_mode: acceptedits", "permission_mode", "acceptEdits"),
        ("setting_sources: [repo]", "setting_sources", "project"),
        ("on_worker_lost: retry", "on_worker_lost", "`resume`"),
        ("on_worker_lost: [fail]", "on_worker_lost", "`fail`"),
        ("read_only: 1", "read_only", "`true`"),
        ("read_only: 'yes'", "read_only", "`true`"),
        ("isolation: on", "isolation", "auto, required, none"),
        ("isolation: strict", "isolation", "auto, required, none"),
        ("isolation: [required]", "isolation", "auto, required, none"),
        ("network: closed", "network", '"open", "none", or a list'),
        ("network: []", "network", "empty list"),
        ("network: ['https://example.com']", "network", "is a URL"),
        ("network: ['*']", "network", "api.example.com"),
        ("network: {host: example.com}", "network", '"open", "none", or a list'),
        ("mcp_servers: [linear]", "mcp_servers", "`command`"),
        ("mcp_servers: {linear: {}}", "mcp_servers", "`linear`"),
        ("model: --evil", "model", "sonnet"),
        ("description: ''", "description", "line of text"),
    ],
)
def test_an_invalid_value_is_reported_with_file_key_and_fix(more: str, key: str, hint: str) -> None:
    error = refused(with_keys(more))

    assert (error.file, error.key) == ("mine.md", key)
    assert "mine.md" in error.user_message
    assert f"`{key}`" in error.user_message
    assert hint in error.user_message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "begin with a line `---`"),
        ("You do things.", "begin with a line `---`"),
        ("---\ndescription: x\n", "no second line `---`"),
        ("---\n- a\n---\nx", "`key: value`"),
        ("---\n1: a\n---\nx", "`key: value`"),
        ("---\n---\nx", "`key: value`"),
        ("---\ndescription: x\nbad: [\n---\nx", "is not YAML"),
        ("---\ndescription: !!python/object:os.system x\n---\nx", "not YAML"),
        ("---\ndescription: x\n---\n  \n", "no text after"),
        ("---\nmodel: x\n---\nx", "is missing"),
    ],
)
def test_a_broken_file_is_reported_with_its_fix(text: str, hint: str) -> None:
    assert hint in refused(text).user_message


@pytest.mark.parametrize("file", ["Big.md", "a b.md", "../x.md", "-x.md", "x" * 41 + ".md"])
def test_a_file_needs_a_name_that_can_be_typed(file: str) -> None:
    assert "small letters" in refused(with_keys(""), file).user_message


def test_windows_line_ends_and_byte_order_marks_are_accepted() -> None:
    text = "\ufeff" + with_keys("max_turns: 3").replace("\n", "\r\n")

    assert parse_definition("mine.md", text).max_turns == 3


def test_a_teams_definition_is_added_and_wins_by_name(tmp_path: Path) -> None:
    (tmp_path / "fix.md").write_text(with_keys("max_turns: 3"), encoding="utf-8")
    (tmp_path / "deploy.md").write_text(with_keys("aliases: [ship]"), encoding="utf-8")
    (tmp_path / "README.md").write_text("Not a definition.", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("Not a definition.", encoding="utf-8")

    catalog = load_catalog(tmp_path)

    assert [one.name for one in catalog.all] == sorted([*SHIPPED, "deploy"])
    assert catalog.get("fix").max_turns == 3
    assert catalog.get("ship").name == "deploy"
    assert catalog.get("pr").aliases == ("shipper",)
    assert "surgeon" not in catalog.names


def test_a_replaced_workflow_loses_the_aliases_it_does_not_claim(tmp_path: Path) -> None:
    (tmp_path / "fix.md").write_text(with_keys("aliases: [surgeon]"), encoding="utf-8")

    assert load_catalog(tmp_path).get("surgeon").description == "Does things."


def test_two_files_may_not_claim_one_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.md").write_text(with_keys("aliases: [same]"), encoding="utf-8")

    with pytest.raises(BadDefinition, match=r"two\.md.*`same`.*one\.md"):
        load_catalog(tmp_path)


def test_an_alias_may_not_hide_a_shipped_workflow(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text(with_keys("aliases: [fix]"), encoding="utf-8")

    with pytest.raises(BadDefinition, match=r"mine\.md.*`fix\.md`"):
        load_catalog(tmp_path)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadDefinition, match="SIGNALBOX_WORKFLOWS"):
        load_catalog(tmp_path / "missing")


def test_a_binary_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_bytes(b"---\n\xff\xfe\n---")

    with pytest.raises(BadDefinition, match=r"mine\.md.*UTF-8"):
        load_catalog(tmp_path)
