"""Storms: random faults on a third of all calls, then none; every thread must end true.

The faults depend only on the seed, as far as the calls come in the same order.
`STORM_SEEDS=7,8,9` chooses other seeds.
"""

from __future__ import annotations

import asyncio
import os
import random
from datetime import timedelta

import pytest

from bot.sandbox.slack.faults import Fault
from bot.sandbox.slack.people import ADA
from bot.sandbox.slack.server import ACK_SECONDS, Sandbox, open_sandbox
from core.domain.runs.run import Run
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.fakes.threads import is_drawn, new_run, slot_counts
from tests.limits import limit, patient

pytestmark = pytest.mark.full_speed

SEEDS = [int(seed) for seed in os.environ.get("STORM_SEEDS", "1,2,3").split(",")]
THREADS = 10
RATE = 0.3
# Factor by which the bot's rate limits and waits are faster than normal.
SPEED = 40.0
CALL_LIMIT = timedelta(seconds=0.3)
REPORT = "# Report\n\n" + "a line of it\n" * 2000
# A bot that is refused pauses for a minute, in which nothing could be drawn: the errors of that
# kind have their own tests.
FAULTS = (
    *(Fault(kind=kind) for kind in ("429", "500", "503", "page", "timeout", "reset")),
    *(Fault(kind=kind) for kind in ("internal_error", "ratelimited")),
    *(
        Fault(kind=kind, is_applied=True)
        for kind in ("500", "timeout", "reset", "cut_body", "internal_error", "fatal_error")
    ),
    Fault(kind="late", seconds=0.8),
)


class Storm:
    """Ten runs of a bot, whose rows change at random."""

    def __init__(self, seed: int, sandbox: Sandbox, services: FakeServices) -> None:
        self.rng = random.Random(seed)
        self.sandbox = sandbox
        self.services = services
        self.runs: list[Run] = []

    def start(self) -> None:
        """Begin the runs."""
        channels = [self.sandbox.workspace.channel(name).id for name in ("#builds", "#general")]
        self.runs = [
            new_run(self.services, channel=channels[number % 2], task=f"Task {number}", owner=ADA)
            for number in range(THREADS)
        ]

    async def change_rows(self) -> None:
        """Change rows, then end every run."""
        for turn in range(1, 9):
            for run in self.runs:
                if self.rng.random() < 0.6:
                    self.services.change(run.run_id, turns=turn)
            await asyncio.sleep(self.rng.uniform(0.05, 0.2))
        for number, run in enumerate(self.runs):
            self.services.end(
                run.run_id, turns=9, result=REPORT if number % 3 == 0 else f"Done with {number}."
            )

    async def wait_until_drawn(self, bot: RunningBot) -> None:
        """Wait until everything is drawn and Slack has no late call left."""
        self.sandbox.faults.clear()
        drawing = bot.runtime.redraw.drawing
        async with limit(60):
            # Before it takes over, the bot has not loaded the uncertain writes of the earlier one.
            while drawing.sender.leadership is None:  # noqa: ASYNC110 - there is no event, here and below
                await asyncio.sleep(0.05)
            # Uncertain writes expire.
            while len(drawing.uncertain_writes) or not all(  # noqa: ASYNC110
                is_drawn(self.services, run) for run in self.runs
            ):
                await asyncio.sleep(0.05)

    def check(self) -> None:
        """Assert that every thread is true, without duplicates and leftovers."""
        wanted = {
            (run.run_id, slot) for run in self.runs for slot in ("card", f"result:{run.run_id}")
        }
        wanted |= {("file", f"{run.run_id}-report.md") for run in self.runs[::3]}
        found = slot_counts(self.sandbox)
        assert {mark: count for mark, count in found.items() if count != 1} == {}
        assert set(found) == wanted
        for number, run in enumerate(self.runs):
            card = self.services.shown[run.run_id, "card"]
            thread = self.sandbox.human.thread(card.channel_id, str(card.message_ts))
            said = [self.sandbox.human.text(message) for message in thread]
            assert "Completed" in said[0], run.run_id
            assert "9/30 turns" in said[0], run.run_id
            assert any(
                "the whole report" in each or f"Done with {number}." in each for each in said[1:]
            )
            assert len(said) == (3 if number % 3 == 0 else 2)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", SEEDS)
async def test_after_a_storm_every_thread_is_true_without_duplicates(seed: int) -> None:
    services = FakeServices()
    # The bot's own rate limiter limits its calls; with accelerated time, Slack's limits would
    # count other seconds than the bot's.
    async with open_sandbox(rate_limits=False, ack_timeout=patient(ACK_SECONDS)) as sandbox:
        await sandbox.human.invite("#general")
        async with open_bot(sandbox, services, speed=SPEED, call_timeout=CALL_LIMIT) as bot:
            storm = Storm(seed, sandbox, services)
            sandbox.faults.inject_randomly(
                seed=seed, rate=RATE, faults=FAULTS, excluded_methods=["apps.connections.open"]
            )
            storm.start()
            await storm.change_rows()
            await storm.wait_until_drawn(bot)
        storm.check()
        assert not sandbox.problems, sandbox.problems


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", SEEDS)
async def test_after_a_storm_with_replaced_bots_every_thread_is_true(seed: int) -> None:
    services = FakeServices()
    async with open_sandbox(rate_limits=False, ack_timeout=patient(ACK_SECONDS)) as sandbox:
        await sandbox.human.invite("#general")
        storm = Storm(seed, sandbox, services)
        changing: asyncio.Task[None] | None = None
        for _ in range(4):
            sandbox.faults.clear()
            async with open_bot(sandbox, services, speed=SPEED, call_timeout=CALL_LIMIT):
                sandbox.faults.inject_randomly(
                    seed=seed, rate=RATE, faults=FAULTS, excluded_methods=["apps.connections.open"]
                )
                if changing is None:
                    storm.start()
                    changing = asyncio.create_task(storm.change_rows())
                await asyncio.sleep(storm.rng.uniform(0.3, 0.8))
        assert changing is not None
        await changing
        sandbox.faults.clear()
        async with open_bot(sandbox, services, speed=SPEED, call_timeout=CALL_LIMIT) as bot:
            await storm.wait_until_drawn(bot)
        storm.check()
        assert not sandbox.problems, sandbox.problems
