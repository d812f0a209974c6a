"""Several bots as real processes: one draws, each delivery is handled once, any may go."""

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
from core.store.slack import deliveries
from tests.harness import Harness, open_harness
from tests.processes import Program, new_home, running
from tests.sandbox import command_body

pytestmark = pytest.mark.slow

DRAWS = "this process draws the threads"
KEEPS_THE_CLOCK = "this process keeps the clock"
SLOW = "builder [scenario: long] [turns: 12] [delay: 0.5s] work"


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[Harness]:
    """A console over Socket Mode, for bots that are processes."""
    async with open_harness(database, tmp_path / "home", transport="socket") as opened:
        yield opened


@asynccontextmanager
async def process(site: Harness, command: str, name: str) -> AsyncIterator[Program]:
    """A process of the site; it is told to stop at the end, and waited for."""
    home = site.home.parent / name
    if not home.exists():
        await asyncio.to_thread(new_home, home)
    given = site.variables(home)
    del given["SIGNALBOX_PORT"]
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(running(command, home, **given))
        yield program
        with site.stopping():
            await stack.aclose()


def drawing_bots(*bots: Program) -> list[Program]:
    """Who has become the one that draws."""
    return [bot for bot in bots if DRAWS in bot.output]


async def all_ended_true(site: Harness, tasks: list[str]) -> None:
    """Each task has one card, which shows its end, and one result below."""
    await site.human.wait_for(
        lambda: len(site.run_cards()) >= len(tasks) or None, timeout=60, what="the cards"
    )
    for card in site.run_cards():
        await card.wait_for_text("Completed", within=120)
    await site.settle()
    shown = Counter(task for card in site.run_cards() for task in tasks if f"{task}." in card.text)
    assert shown == Counter(tasks)
    for card in site.run_cards():
        assert sum("Completed" in said for said in card.bot_replies()) == 1, card.bot_replies()
    assert len(await site.runs()) == len(tasks)


@pytest.mark.timeout(240)
async def test_a_killed_drawer_is_followed_by_the_other_bot(site: Harness) -> None:
    async with (
        process(site, "worker", "worker") as worker,
        process(site, "bot", "one") as one,
    ):
        await asyncio.gather(
            worker.wait_until_ready(), one.wait_for_output(DRAWS), one.wait_until_ready()
        )
        async with process(site, "bot", "two") as two:
            await two.wait_until_ready()
            tasks = ["alpha", "beta"]
            for task in tasks:
                await site.command(f"run {SLOW} {task}.")
            await site.human.wait_for(lambda: len(site.run_cards()) == 2, what="two cards")
            assert drawing_bots(one, two) == [one]

            with site.stopping():
                one.send(signal.SIGKILL)
                began = time.monotonic()
                await two.wait_for_output(DRAWS)
                took = time.monotonic() - began
                await one.wait_until_ended()
            await all_ended_true(site, tasks)

            assert KEEPS_THE_CLOCK in two.output
            assert took < 5


@pytest.mark.timeout(300)
async def test_bots_are_replaced_one_after_another_while_commands_keep_coming(
    site: Harness,
) -> None:
    tasks = [f"task-{number}" for number in range(8)]
    handed_in: list[str] = []

    async def keep_commanding() -> None:
        for task in tasks:
            answer = await site.human.slash(
                "#builds", "/workflow", f"run builder [scenario: long] [turns: 4] {task}."
            )
            assert answer.ok, (task, answer)
            handed_in.append(task)
            await asyncio.sleep(1.0)

    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(process(site, "worker", "worker"))
        old = [await stack.enter_async_context(process(site, "bot", f"old{n}")) for n in range(2)]
        await asyncio.gather(worker.wait_until_ready(), *(bot.wait_until_ready() for bot in old))
        commanding = asyncio.create_task(keep_commanding())
        new: list[Program] = []
        for number, bot in enumerate(old):
            new.append(await stack.enter_async_context(process(site, "bot", f"new{number}")))
            await new[-1].wait_until_ready()
            with site.stopping():
                bot.send(signal.SIGTERM)
                assert await bot.wait_until_ended(within=20) == 0, bot.output
        await commanding
        await all_ended_true(site, tasks)

        assert handed_in == tasks
        assert len(drawing_bots(*new)) >= 1
        assert "Traceback" not in "".join(bot.output for bot in (*old, *new))
        assert not [e for e in site.sandbox.inspector.entries if e.status == 429]


@pytest.mark.timeout(240)
async def test_a_frozen_drawer_is_followed_and_does_no_harm_when_it_thaws(site: Harness) -> None:
    async with (
        process(site, "worker", "worker") as worker,
        process(site, "bot", "one") as one,
    ):
        await asyncio.gather(
            worker.wait_until_ready(), one.wait_for_output(DRAWS), one.wait_until_ready()
        )
        async with process(site, "bot", "two") as two:
            await two.wait_until_ready()
            await site.command(f"run {SLOW} alpha.")
            card = await site.human.wait_for(
                lambda: next(iter(site.run_cards()), None), what="the card"
            )
            await card.wait_for_text("Running")

            with site.stopping():
                one.send(signal.SIGSTOP)
                try:
                    began = time.monotonic()
                    await two.wait_for_output(DRAWS)
                    took = time.monotonic() - began
                    await card.wait_for_text("Completed", within=60)
                finally:
                    one.send(signal.SIGCONT)
            await one.wait_for_output("draws no longer")
            await all_ended_true(site, ["alpha"])

            # 15 s of silence, and a round of looks.
            assert took < 30


async def test_a_delivery_left_by_a_dead_bot_is_handled_soon_and_once(
    site: Harness,
) -> None:
    before = ABANDONED_AFTER - timedelta(seconds=3)
    async with (
        site.serving(runs_worker=False),
        site.serving(runs_worker=False, home=site.home.parent / "other"),
    ):
        received_at = datetime.now(UTC) - before
        for number in range(5):
            body = command_body(site.sandbox, f"run builder [scenario: long] left {number}.")
            async with site.database.sessions.begin() as session:
                await deliveries.receive(
                    session, f"command:{body['trigger_id']}", body, now=received_at
                )
        began = time.monotonic()
        async with asyncio.timeout(60):
            while len(await site.runs()) < 5:  # noqa: ASYNC110 - only the rows know
                await asyncio.sleep(0.1)
        took = time.monotonic() - began + before.total_seconds()
        await site.human.wait_for(
            lambda: len(site.run_cards()) == 5 or None, timeout=60, what="the cards"
        )
        await site.settle()

        assert len(await site.runs()) == 5
        # Six seconds until it counts as left, two between looks, and the five starts.
        assert took < 15
