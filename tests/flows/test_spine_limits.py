"""A run that waits because of a limit: its card says why, and it starts automatically."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.domain.fleet.workers import QueueReason
from core.domain.runs.run import RunStatus
from core.store.database.engine import Database
from tests.harness import CONFIG, Harness, open_harness

LIMITED = f"{CONFIG}\n[limits]\nper_person = 2\n"


@pytest.fixture
async def limited(database: Database, tmp_path: Path) -> AsyncIterator[Harness]:
    async with (
        open_harness(database, tmp_path / "home", transport="socket", config=LIMITED) as opened,
        opened.serving(),
    ):
        yield opened
        await opened.settle()


async def test_a_persons_third_run_says_why_it_waits_and_starts_automatically(
    limited: Harness,
) -> None:
    first = await limited.start_in_tool_call("builder [scenario: kill-me] one")
    await limited.start_in_tool_call("builder [scenario: kill-me] two")

    third = await limited.run("builder three")
    fourth = await limited.run("builder --priority -1 four")

    await third.wait_for_text("Queued, next in line")
    said = await third.wait_for_text("runs to end (2 of 2 live)")
    assert "Waits for one of <@" in said
    await fourth.wait_for_text("Queued, 2nd in line")
    waiting = await limited.run_of(third)
    assert waiting.run.job_id is None
    assert waiting.run.queue_reason is QueueReason.PERSON

    await first.press("Kill")

    await third.wait_until_completed()
    await fourth.wait_until_completed()
    await limited.run_cards()[1].press("Kill")
    await limited.run_cards()[1].wait_for_text("Killed")
    assert (await limited.run_of(third)).run.status is RunStatus.COMPLETED


async def test_a_run_says_that_no_worker_is_up_and_starts_when_one_is(
    database: Database, tmp_path: Path
) -> None:
    async with (
        open_harness(database, tmp_path / "home", transport="socket") as harness,
        harness.serving(runs_worker=False),
    ):
        card = await harness.run("builder Count")
        await card.wait_for_text("No worker is up")

        async with harness.serving(serves_slack=False, home=tmp_path / "worker"):
            await card.wait_until_completed()
            await harness.settle()
            assert (await harness.run_of(card)).run.attempt == 1
