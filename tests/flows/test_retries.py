"""Waits and retries as people see them in Slack, and legs that are started automatically."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.sandbox.model.script import Conversation, Script, Turn, bash
from core.domain.failures.automatic_leg import AutomaticLeg, LegRefusal, refusal_of_run
from core.domain.failures.failed_attempt import failed_attempts_of
from core.domain.failures.retry_decision import RetryAction
from core.domain.runs.run import Run, RunStatus, StopReason, WaitingOn
from core.store.database.engine import Database
from core.store.fleet import attempts
from tests.harness import Harness, open_harness

pytestmark = pytest.mark.sampled(1)

# Of an account's usage the program names the reset only to subscriptions.
SUBSCRIPTION = "sk-ant-oat01-abcdef"
# A random share of six hours: long enough to be seen, whatever the machine.
CONFIG = """
[agent]
api_retries = 1
retry = {overloaded = {attempts = 2, backoff = "6h..6h"}, usage_limit = "wait"}
[worker]
slots = 1
"""


@pytest.fixture
async def waiting_harness(database: Database, tmp_path: Path) -> AsyncIterator[Harness]:
    async with (
        open_harness(database, tmp_path / "home", transport="socket", config=CONFIG) as opened,
        opened.serving(ANTHROPIC_API_KEY=None, CLAUDE_CODE_OAUTH_TOKEN=SUBSCRIPTION),
    ):
        yield opened
        await opened.settle()


async def let_it_be_time(harness: Harness, run: Run) -> None:
    """Let the time of a run's next attempt come."""
    async with harness.database.sessions.begin() as session:
        await session.execute(
            text("UPDATE workflow_runs SET retry_at = now() WHERE run_id = :run_id"),
            {"run_id": run.run_id},
        )


async def test_a_wait_for_a_usage_limit_is_seen_leaves_its_slot_and_can_be_cancelled(
    waiting_harness: Harness,
) -> None:
    card = await waiting_harness.run("builder [scenario: usage-limit] [minutes: 60] work")
    said = await card.wait_for_text("Waiting for the usage limit to reset")
    await card.wait_for_button("Cancel")
    waiting = (await waiting_harness.run_of(card)).run

    # The only slot is free meanwhile.
    other = await waiting_harness.run("builder Count")
    await other.wait_until_completed()
    await card.press("Cancel")
    await card.wait_for_text("Killed")

    ended = (await waiting_harness.run_of(card)).run
    assert (waiting.status, waiting.waiting_on) == (RunStatus.PENDING, WaitingOn.USAGE_LIMIT)
    assert waiting.retry_at is not None
    assert "Waits until" in said
    assert "then continues automatically" in said
    assert (ended.status, ended.stop_reason) == (RunStatus.KILLED, StopReason.KILLED)
    assert (ended.attempt, ended.retry_at) == (2, None)


async def test_a_usage_limit_that_resets_ends_its_wait_and_the_run_goes_on(
    waiting_harness: Harness,
) -> None:
    card = await waiting_harness.run("builder [scenario: usage-limit] [seconds: 12] work")

    await card.wait_until_completed()
    line = await card.wait_for_reply("attempt 1 failed")

    ended = (await waiting_harness.run_of(card)).run
    [failed] = failed_attempts_of(ended)
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 2)
    assert failed.decision.action is RetryAction.WAIT
    assert failed.resets_at is not None
    assert failed.decision.retry_at is not None
    assert failed.decision.retry_at >= failed.resets_at
    assert "usage limit is reached" in line
    async with waiting_harness.database.sessions() as session:
        *_, second = await attempts.of_run(session, ended.id)
    assert second.attempt == 2
    assert second.started_at >= failed.decision.retry_at


async def test_a_limit_that_resets_too_late_ends_the_run_and_says_so(
    waiting_harness: Harness,
) -> None:
    card = await waiting_harness.run("builder [scenario: usage-limit] [minutes: 600] work")

    said = await card.wait_for_reply("Next:")

    assert "Not tried again: the limit resets later than in 6h" in said
    assert (await waiting_harness.run_of(card)).run.stop_reason is StopReason.USAGE_LIMIT


async def test_a_waiting_run_survives_the_restart_of_everything(
    database: Database, tmp_path: Path
) -> None:
    async with open_harness(
        database, tmp_path / "home", transport="socket", config=CONFIG
    ) as harness:
        async with harness.serving():
            card = await harness.run("builder [scenario: overloaded] [times: 3] work")
            said = await card.wait_for_text("The model's API is overloaded, trying again soon")
            waiting = (await harness.run_of(card)).run
        await let_it_be_time(harness, waiting)
        async with harness.serving():
            await card.wait_until_completed()
            line = await card.wait_for_reply("attempt 1 failed")
            await harness.settle()

            ended = (await harness.run_of(card)).run
    assert "Retry 1 of 2" in said
    assert "The model's API is overloaded" in line
    assert (ended.attempt, ended.session_id) == (2, waiting.session_id)
    # The first command was not run again.
    assert ended.tool_calls == waiting.tool_calls == 1


EAGER = """---
description: Goes on by itself.
max_turns: 2
auto_continue: {max_turns: 2, budget_usd: 5}
---
Work.
"""


def endless(conversation: Conversation) -> Turn:
    return Turn(calls=(bash(f"echo {conversation.position}", "Work"),))


async def test_the_turn_limit_is_followed_by_as_many_legs_as_the_workflow_says(
    database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "workflows"
    folder.mkdir()
    (folder / "eager.md").write_text(EAGER)
    async with (
        open_harness(database, tmp_path / "home", transport="socket") as harness,
        harness.serving(SIGNALBOX_WORKFLOWS=folder),
    ):
        harness.model.script = Script(name="endless", description="", play=endless)
        card = await harness.run("eager work")

        await card.wait_for_reply("automatic leg 1 of 2")
        await card.wait_for_reply("automatic leg 2 of 2")
        over = await card.wait_for_reply("Not continued automatically")
        await harness.settle()

        newest, *before = await harness.runs()
        assert [run.stop_reason for run in (newest, *before)] == [StopReason.MAX_TURNS] * 3
        assert refusal_of_run(newest) is LegRefusal.LEGS_USED
        legs = [AutomaticLeg.of_run(run) for run in (newest, *before)]
        assert [None if leg is None else leg.number for leg in legs] == [2, 1, None]
        assert {run.session_id for run in before} == {newest.session_id}
        assert {run.user_id for run in before} == {newest.user_id}
        assert "all its automatic legs are used" in over
