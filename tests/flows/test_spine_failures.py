"""Failures of the agent, the model and the machine: each has its words, its advice, its buttons."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot.sandbox.model.script import Script, Turn, bash, in_order
from core.agent.process.ladder import find_tree
from core.domain.runs.run import RunStatus, StopReason
from tests.console import Console, console

__all__ = ["console"]

FOREVER = "[times: forever] work"


@pytest.mark.parametrize(
    ("scenario", "reason", "words"),
    [
        ("crash", StopReason.AGENT_ERROR, "the agent program failed"),
        ("no-result", StopReason.NO_RESULT, "Ended without a result"),
        ("garbage", StopReason.API_ERROR, "the model's API failed"),
        ("api-500", StopReason.API_ERROR, "the model's API failed"),
        ("401", StopReason.API_ERROR, "the model's API failed"),
        ("usage-limit", StopReason.USAGE_LIMIT, "usage limit"),
    ],
)
async def test_a_failure_is_told_with_what_to_do_next(
    console: Console, scenario: str, reason: StopReason, words: str
) -> None:
    card = await console.run(f"builder [scenario: {scenario}] {FOREVER}")

    await card.says(words)
    told = await card.reply("Next:")
    await card.offers("+20 turns")

    run = (await console.run_of(card)).run
    assert run.status is RunStatus.FAILED
    assert run.stop_reason is reason
    assert words in told
    assert "Traceback" not in told
    assert str(console.home) not in told
    assert await asyncio.to_thread(find_tree, run.run_id, None) == ()


async def test_an_agent_program_that_talks_nonsense_is_ended_and_told(console: Console) -> None:
    # The tool writes to where the program itself talks to its worker.
    garbage = bash("echo '{not json' > /proc/$PPID/fd/1; sleep 76", "Garble")
    console.model.script = Script(
        name="garble", about="", play=in_order(Turn(calls=(garbage,)), Turn(text="Never."))
    )
    card = await console.run("builder work")

    await card.says("the agent program failed")
    told = await card.reply("Next:")
    await card.offers("+20 turns")

    run = (await console.run_of(card)).run
    assert (run.status, run.stop_reason) == (RunStatus.FAILED, StopReason.AGENT_ERROR)
    assert "cannot be read" in told
    assert "not json" not in told
    assert "Traceback" not in told
    assert await asyncio.to_thread(find_tree, run.run_id, None) == ()


@pytest.mark.patient
async def test_a_model_that_hangs_is_stopped_at_the_time_limit(console: Console) -> None:
    card = await console.run(f"builder --timeout 10s [scenario: hang] {FOREVER}")

    await card.says("Stopped at its time limit (10s), not finished")
    await card.offers("+20 turns")

    run = (await console.run_of(card)).run
    assert run.stop_reason is StopReason.TIMEOUT
    assert await asyncio.to_thread(find_tree, run.run_id, None) == ()


async def test_a_workspace_that_cannot_be_made_ends_the_run_with_advice(console: Console) -> None:
    # A file where the folder of workspaces has to be: fails for root too.
    for name in ("workspaces", "mirrors"):
        await asyncio.to_thread(in_the_way, console.home / name)

    card = await console.run("builder work")

    told = await card.reply("Next:")
    run = (await console.run_of(card)).run
    assert run.stop_reason in {StopReason.WORKSPACE_ERROR, StopReason.SETUP_ERROR}
    assert str(console.home) not in told
    assert card.labels == []


def in_the_way(path: Path) -> None:
    if path.exists():
        path.rmdir()
    path.write_text("in the way")
