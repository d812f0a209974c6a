"""What commands make of their arguments, before anything is sent."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bot.cli.client.acts.runs import RunSelection
from bot.cli.client.errors import BadArgument
from bot.cli.client.start_body import more_turns, start_body, words_of
from bot.cli.main import app
from bot.web.api.run_lists import RunListQuery
from bot.web.api.run_starts import StartBody

NOTHING: dict[str, Any] = {
    "repo": None,
    "branch": None,
    "model": None,
    "turns": None,
    "budget": None,
    "timeout": None,
    "session": None,
    "priority": None,
}


def body(**given_options: Any) -> dict[str, Any]:
    return start_body(**(NOTHING | {"task": ["Add", "x"]} | given_options))


def test_what_is_not_given_is_left_to_the_workflow() -> None:
    assert body() == {"message": "Add x"}


def test_every_option_reaches_the_api() -> None:
    sent = body(
        repo="https://github.com/acme/api",
        branch="main",
        model="sonnet",
        turns=30,
        budget="$2.50",
        timeout="1h30m",
        session="limits",
        priority=-5,
    )

    read = StartBody.model_validate(sent)
    assert (read.repository_url, read.git_branch, read.model) == (
        "https://github.com/acme/api",
        "main",
        "sonnet",
    )
    assert (read.max_turns, str(read.budget_usd), read.timeout) == (30, "2.50", 5400)
    assert (read.session_name, read.priority) == ("limits", -5)
    assert set(sent) <= set(StartBody.model_fields)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("budget", "many"),
        ("budget", "-1"),
        ("budget", "1e9"),
        ("budget", "nan"),
        ("timeout", "30"),
        ("timeout", "5s"),
        ("timeout", "25h"),
    ],
)
def test_a_value_that_cannot_be_read_names_its_option(option: str, value: str) -> None:
    with pytest.raises(BadArgument) as refused:
        body(**{option: value})

    assert refused.value.user_message.startswith(f"--{option}: needs ")


def test_a_task_that_says_nothing_is_refused() -> None:
    with pytest.raises(BadArgument, match="TASK"):
        body(task=[" ", ""])


def test_one_argument_is_the_task_as_it_is() -> None:
    assert body(task=["  Add x.\n\n- 100 a minute\n"])["message"] == "  Add x.\n\n- 100 a minute\n"


def test_a_dash_reads_the_task_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Add x.\nAnd y.\n"))

    assert words_of(["-"]) == "Add x.\nAnd y."


@given(words=st.lists(st.text(max_size=20), max_size=5))
def test_no_word_of_a_message_is_lost(words: list[str]) -> None:
    text = " ".join(words)

    assert words == ["-"] or words_of(words) == (text if text.strip() else None)


def test_turns_may_stand_before_a_message() -> None:
    assert more_turns(["+20", "and", "docs"], None) == (20, ["and", "docs"])
    assert more_turns(["20", "tests", "fail"], None) == (None, ["20", "tests", "fail"])
    assert more_turns(["+20"], 5) == (5, ["+20"])
    assert more_turns([], None) == (None, [])


def test_the_list_that_is_asked_for_is_one_that_the_api_knows() -> None:
    full = RunSelection(mine=True, live=True, failed=True, workflow="fix", limit=3)

    asked = full.query()

    values = {name: value for name, value in asked if name != "status"}
    statuses = [value for name, value in asked if name == "status"]
    read = RunListQuery.model_validate(values | {"status": statuses})
    assert (read.mine, read.workflow, read.limit) == (True, "fix", 3)
    assert {str(one) for one in read.status} == {"pending", "running", "failed"}
    assert RunSelection().query() == [("limit", "20")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "fix"], "TASK"),
        (["run", "fix", "x", "--turns", "many"], "--turns"),
        (["run", "fix", "x", "--nonesuch"], "--nonesuch"),
        (["kill"], "RUN"),
        (["logs"], "RUN"),
        (["continue"], "RUN"),
        (["run", "fix", "x", "--timeout", "soon"], "--timeout"),
        (["status", ""], "RUN"),
        (["status", "--wait"], "--wait"),
        (["alerts", "--kind", "nonsense"], "--kind"),
        (["alerts", "nonsense"], "nonsense"),
        (["alerts", "ack"], "ALERT"),
        (["alerts", "ack", "x"], "ALERT"),
        (["alerts", "snooze", "abcd"], "DURATION"),
        (["alerts", "snooze", "abcd", "soon"], "DURATION"),
    ],
)
def test_a_wrong_use_ends_with_two_and_says_where(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNALBOX_HOME", str(tmp_path))
    monkeypatch.setenv("SIGNALBOX_TOKEN", "sbx_x")

    done = CliRunner().invoke(app, arguments)

    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_script_for_each_shell(
    shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_SIGNALBOX_COMPLETE", f"source_{shell}")

    done = CliRunner().invoke(app, [], prog_name="signalbox")

    assert done.exit_code == 0
    assert f"complete_{shell}" in done.output
