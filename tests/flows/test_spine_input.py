"""Mistyped input: one clear private answer, nothing started, nothing left running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from git import Repo

from core.domain.runs.request import MAX_TASK_CHARS
from core.domain.runs.run import StopReason
from tests.harness import Harness, harness, idle_harness, socket_harness
from tests.repositories import new_repository
from tests.transports import BOTH_TRANSPORTS

__all__ = ["harness", "idle_harness", "socket_harness"]

pytestmark = pytest.mark.sampled(5)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return new_repository(tmp_path / "api")


async def test_invalid_input_is_answered_and_starts_nothing(
    harness: Harness,
) -> None:
    # The typed text, and words that the answer must contain.
    for text, words in {
        "frobnicate": "I don't know `frobnicate`",
        "rnu implement x": "Did you mean `run`",
        "implement Add it": "is a workflow",
        "run implemnt Add it": "implement",
        "run builder": "Say what `builder` is to do",
        "run builder --turns 5": "Say what",
        "run builder --turns -3 Add it": "--turns",
        "run builder --turns 99999999999 Add it": "1 to 1000",
        "run builder --budget NaN Add it": "--budget",
        "run builder --timeout 1ms Add it": "--timeout",
        "run builder --priority 9e9 Add it": "--priority",
        "run builder --frob 1 Add it": "--frob",
        "run builder --repo ext::sh Add it": "epository",
        "status run_000000": "can't find",
        "kill run_000000": "can't find",
        "continue run_000000": "can't find",
        "kill": "no live run",
        "continue": "Which run",
    }.items():
        await harness.command_and_wait(text, words)

    assert await harness.runs() == []
    assert harness.run_cards() == []


async def test_queries_are_answered_in_private(harness: Harness) -> None:
    for text, words in {
        "help": "/workflow run",
        "workflows": "implement",
        "list": "runs",
        "status": "run",
    }.items():
        await harness.command_and_wait(text, words)

    assert harness.run_cards() == []


async def test_a_task_at_the_length_limit_runs_and_a_longer_one_is_refused(
    harness: Harness,
) -> None:
    longest = "[scenario: long] [turns: 1] " + "wörd & 🚦 " * 4000
    longest = (longest + "x" * MAX_TASK_CHARS)[:MAX_TASK_CHARS]

    card = await harness.run(f"builder {longest}")
    await harness.command(f"run builder {longest}y")

    await harness.wait_for_private("40,001 characters")
    await card.wait_until_completed()
    # Compared outside the assertion, which would print both.
    is_whole = (await harness.run_of(card)).run.task_input == longest
    assert is_whole
    assert len(await harness.runs()) == 1


@BOTH_TRANSPORTS
async def test_the_form_shows_its_errors_and_then_starts(harness: Harness) -> None:
    human = harness.human
    await harness.command("run")
    form = await human.wait_for(human.modal, what="the form")
    filled: dict[str, Any] = {
        "workflow": "implement",
        "task": "[scenario: long] [turns: 1] From <the> form",
        "timeout": "soon",
        "budget": "much",
    }

    wrong = await human.submit(form["id"], filled)
    secret = await human.submit(
        form["id"],
        {**filled, "timeout": "20m", "budget": "1.50", "repo": "https://a:hunter2@x.invalid/r"},
    )
    right = await human.submit(
        form["id"], {**filled, "timeout": "20m", "budget": "1.50", "repo": ""}
    )

    assert wrong is not None
    assert set(wrong) == {"timeout", "budget"}
    assert secret is not None
    assert "hunter2" not in str(secret)
    assert right is None
    card = await human.wait_for(lambda: next(iter(harness.run_cards()), None), what="the card")
    await card.wait_until_completed()
    assert human.modal() is None
    assert [run.task_input for run in await harness.runs()] == [filled["task"]]


async def test_a_directory_that_is_no_repository_ends_the_run_with_advice(
    socket_harness: Harness, tmp_path: Path
) -> None:
    card = await socket_harness.run(f"builder --repo {tmp_path} Add it")

    await card.wait_for_text("Not a git repository: ")
    advice = await card.wait_for_reply("Next:")

    run = (await socket_harness.run_of(card)).run
    assert run.stop_reason is StopReason.WORKSPACE_ERROR
    assert "repository" in advice
    assert card.labels == ["Details"]


async def test_a_missing_branch_ends_the_run_with_its_name(
    socket_harness: Harness, repository: Path
) -> None:
    card = await socket_harness.run(f"builder --repo {repository} --branch gone Add it")

    await card.wait_for_text("There is no branch gone")
    await card.wait_for_reply("gone")

    assert (await socket_harness.run_of(card)).run.stop_reason is StopReason.WORKSPACE_ERROR


async def test_a_run_in_a_repository_shows_branch_and_changes(
    socket_harness: Harness, repository: Path
) -> None:
    card = await socket_harness.run(f"builder --repo {repository} --branch main Add limiting")

    await card.wait_until_completed()
    seen = await socket_harness.run_of(card)

    assert seen.run.git_branch is not None
    assert seen.run.git_branch in card.text
    assert seen.run.diff is not None
    assert seen.run.diff.commits
    assert Repo(repository).active_branch.name == "main"


async def test_two_starts_on_one_session_name_the_live_run(idle_harness: Harness) -> None:
    async with idle_harness.serving(runs_worker=False):
        card = await idle_harness.run('builder --session "rate limits" First')
        run = (await idle_harness.run_of(card)).run

        await idle_harness.command('run builder --session "rate limits" Second')

        await idle_harness.wait_for_private(run.run_id)
        await idle_harness.settle()
        assert len(await idle_harness.runs()) == 1
        assert len(idle_harness.run_cards()) == 1
