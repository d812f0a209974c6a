"""Several bots as real processes: one draws, each delivery is handled once, any bot may end."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.services.intake import ABANDONED_AFTER
from core.store.database.engine import Database
from core.store.database.leadership import FROZEN_AFTER
from core.store.slack import deliveries
from tests.harness import Harness, open_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.limits import limit, patient
from tests.processes import Program, new_home, running
from tests.sandbox import command_body

pytestmark = [pytest.mark.slow, pytest.mark.sampled(2, group="processes")]

DRAWS = "this process draws the threads"
RUNS_THE_SCHEDULER = "this process keeps the clock"
TASK = f"builder --turns {MANY_TURNS} {LASTING}"


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[Harness]:
    """A harness over Socket Mode, for bots as processes."""
    async with open_harness(database, tmp_path / "home", transport="socket") as opened:
        yield opened


@asynccontextmanager
async def process(harness: Harness, command: str, name: str) -> AsyncIterator[Program]:
    """A process of the installation; at the end it is stopped and waited for."""
    home = harness.home.parent / name
    if not home.exists():
        await asyncio.to_thread(new_home, home)
    given = harness.variables(home)
    del given["SIGNALBOX_PORT"]
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(running(command, home, **given))
        yield program
        with harness.stopping():
            await stack.aclose()


def drawing_bots(*bots: Program) -> list[Program]:
    """The bots that have become the drawing one."""
    return [bot for bot in bots if DRAWS in bot.output]


async def assert_all_ended(harness: Harness, tasks: list[str]) -> None:
    """Assert that each task has one card that shows its end, and one result below."""
    await harness.human.wait_for(
        lambda: len(harness.run_cards()) >= len(tasks) or None, what="the cards"
    )
    for card in harness.run_cards():
        await card.wait_until_completed(within=120)
    await harness.settle()
    shown = Counter(
        task for card in harness.run_cards() for task in tasks if f"{task}." in card.text
    )
    assert shown == Counter(tasks)
    for card in harness.run_cards():
        assert sum("`run_" in said for said in card.bot_replies()) == 1, card.bot_replies()
    assert len(await harness.runs()) == len(tasks)


@pytest.mark.timeout(1200)
async def test_another_bot_replaces_a_killed_drawer(harness: Harness) -> None:
    async with (
        process(harness, "worker", "worker") as worker,
        process(harness, "bot", "one") as one,
    ):
        await asyncio.gather(
            worker.wait_until_ready(), one.wait_for_output(DRAWS), one.wait_until_ready()
        )
        async with process(harness, "bot", "two") as two:
            await two.wait_until_ready()
            lasting = LastingWork(harness.model)
            tasks = ["alpha", "beta"]
            for task in tasks:
                await harness.command(f"run {TASK} {task}.")
            await harness.human.wait_for(lambda: len(harness.run_cards()) == 2, what="two cards")
            assert drawing_bots(one, two) == [one]

            with harness.stopping():
                one.send(signal.SIGKILL)
                began = time.monotonic()
                await two.wait_for_output(DRAWS)
                took = time.monotonic() - began
                await one.wait_until_ended()
            lasting.finish()
            await assert_all_ended(harness, tasks)

            assert RUNS_THE_SCHEDULER in two.output
            # By the lock that a dead process leaves, not by its silence.
            assert took < FROZEN_AFTER.total_seconds()


@pytest.mark.timeout(1200)
async def test_bots_are_replaced_one_by_one_while_commands_arrive(
    harness: Harness,
) -> None:
    tasks = [f"task-{number}" for number in range(8)]
    handed_in: list[str] = []

    async def send_commands() -> None:
        for task in tasks:
            answer = await harness.human.slash(
                "#builds", "/workflow", f"run builder [scenario: long] [turns: 4] {task}."
            )
            assert answer.ok, (task, answer)
            handed_in.append(task)
            # The interval of the commands, so that they arrive during the whole replacement.
            await asyncio.sleep(1.0)

    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(process(harness, "worker", "worker"))
        old = [
            await stack.enter_async_context(process(harness, "bot", f"old{n}")) for n in range(2)
        ]
        await asyncio.gather(worker.wait_until_ready(), *(bot.wait_until_ready() for bot in old))
        commanding = asyncio.create_task(send_commands())
        new: list[Program] = []
        for number, bot in enumerate(old):
            new.append(await stack.enter_async_context(process(harness, "bot", f"new{number}")))
            await new[-1].wait_until_ready()
            with harness.stopping():
                bot.send(signal.SIGTERM)
                assert await bot.wait_until_ended(within=20) == 0, bot.output
        await commanding
        await assert_all_ended(harness, tasks)

        assert handed_in == tasks
        assert len(drawing_bots(*new)) >= 1
        assert "Traceback" not in "".join(bot.output for bot in (*old, *new))
        assert not [e for e in harness.sandbox.inspector.entries if e.status == 429]


@pytest.mark.timeout(1200)
async def test_a_frozen_drawer_is_replaced_and_does_no_harm_when_it_thaws(harness: Harness) -> None:
    async with (
        process(harness, "worker", "worker") as worker,
        process(harness, "bot", "one") as one,
    ):
        await asyncio.gather(
            worker.wait_until_ready(), one.wait_for_output(DRAWS), one.wait_until_ready()
        )
        async with process(harness, "bot", "two") as two:
            await two.wait_until_ready()
            lasting = LastingWork(harness.model)
            await harness.command(f"run {TASK} alpha.")
            card = await harness.human.wait_for(
                lambda: next(iter(harness.run_cards()), None), what="the card"
            )
            await card.wait_for_text("Running")

            with harness.stopping():
                one.send(signal.SIGSTOP)
                try:
                    began = time.monotonic()
                    await two.wait_for_output(DRAWS)
                    took = time.monotonic() - began
                    lasting.finish()
                    await card.wait_until_completed(within=60)
                finally:
                    one.send(signal.SIGCONT)
            await one.wait_for_output("draws no longer")
            await assert_all_ended(harness, ["alpha"])

            # 15 s of silence, and one round of checks.
            assert took < patient(30)


async def test_a_delivery_of_a_dead_bot_is_handled_soon_and_once(
    harness: Harness,
) -> None:
    before = ABANDONED_AFTER - timedelta(seconds=3)
    async with (
        harness.serving(runs_worker=False),
        harness.serving(runs_worker=False, home=harness.home.parent / "other"),
    ):
        received_at = datetime.now(UTC) - before
        for number in range(5):
            body = command_body(harness.sandbox, f"run builder [scenario: long] left {number}.")
            async with harness.database.sessions.begin() as session:
                await deliveries.receive(
                    session, f"command:{body['trigger_id']}", body, now=received_at
                )
        began = time.monotonic()
        async with limit(60):
            while len(await harness.runs()) < 5:  # noqa: ASYNC110 - the rows are polled
                await asyncio.sleep(0.1)
        took = time.monotonic() - began + before.total_seconds()
        await harness.human.wait_for(
            lambda: len(harness.run_cards()) == 5 or None, what="the cards"
        )
        await harness.settle()

        assert len(await harness.runs()) == 5
        # Six seconds until it counts as abandoned, two between checks, and the five starts.
        assert took < patient(15)
