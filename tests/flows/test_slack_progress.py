"""Progress posts of a real run in its thread: one reply, which is edited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from core.domain.runs.snapshot import RunSnapshot
from core.services.alerts.progress import ProgressService
from core.services.context import ServiceContext
from tests.card import Card
from tests.harness import Harness, socket_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.limits import limit

__all__ = ["socket_harness"]


async def take(harness: Harness, at: datetime) -> None:
    """Take the progress that is due at a time, as the clock does."""
    assert await ProgressService(ServiceContext(harness.database, lambda: at)).take_due() == 1


def progress_of(card: Card) -> list[str]:
    """The replies that tell progress."""
    return [text for text in card.bot_replies() if "Progress after" in text]


async def until_told(card: Card, words: str) -> None:
    """Wait until the progress says this."""
    async with limit(30):
        # The card has no event for a reply that is edited.
        while words not in "".join(progress_of(card)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("is_subscribed", [False, True], ids=["by_flag", "by_subscription"])
async def test_progress_is_one_reply_that_is_edited(
    socket_harness: Harness, *, is_subscribed: bool
) -> None:
    harness, work = socket_harness, LastingWork(socket_harness.model)
    if is_subscribed:
        await harness.command_and_wait("alerts subscribe failed progress=10m", "Subscribed")
    flag = "" if is_subscribed else "--progress 10m "
    before = len(harness.run_cards())
    await harness.command(f"run fix {flag}--turns {MANY_TURNS} {LASTING}")
    card = await harness.human.wait_for(
        lambda: next((one for one in harness.run_cards()[before:] if "work" in one.text), None),
        what="the card",
    )
    run = (await harness.run_of(card)).run
    seen = await harness.wait_until(run, has_called(2))
    assert progress_of(card) == []
    began = seen.run.started_at
    assert began is not None

    await take(harness, began + timedelta(minutes=10, seconds=5))
    await until_told(card, "Progress after 10 min (every 10 min)")
    known = (await harness.read_run(run)).run.tool_calls
    await harness.wait_until(run, has_called(known + 2))
    await take(harness, began + timedelta(minutes=20, seconds=5))
    await until_told(card, "Progress after 20 min (every 10 min)")

    [told] = progress_of(card)
    assert "In the last 10 min: +" in told
    work.finish()
    await card.wait_until_completed()
    await until_told(card, "before the run ended")
    await harness.wait_until_drawn()
    assert len(progress_of(card)) == 1


def has_called(number: int) -> Callable[[RunSnapshot], bool]:
    """Whether the agent has called so many tools."""
    return lambda seen: seen.run.tool_calls >= number
