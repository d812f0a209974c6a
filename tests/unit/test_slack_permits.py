"""Waits for permits, which something urgent interrupts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bot.slack.client.rate_limits import LongWait, Priority, RateLimiter
from bot.slack.drawing.permits import Permits
from core.domain.drawables import DrawableId, DrawableKind

CARD = DrawableId(DrawableKind.THREAD, "run_1")


class Limited:
    """A rate limiter that grants no updates until it is told to, at a time that tests set."""

    def __init__(self) -> None:
        self.time = 0.0
        self.permits = Permits(lambda: self.time)
        self.rate_limiter = RateLimiter(now=lambda: self.time, sleep=self._sleep)
        self.rate_limiter.apply_retry_after("chat.update", seconds=30)
        self.looks: list[Priority | None] = []
        self._moved = asyncio.Event()

    async def _sleep(self, _: float) -> None:
        await self._moved.wait()
        self._moved.clear()

    def move(self, seconds: float) -> None:
        self.time += seconds
        self._moved.set()

    def wait(self, found: Priority | None) -> asyncio.Task[bool]:
        async def look() -> Priority | None:
            self.looks.append(found)
            return found

        return asyncio.create_task(self._wait(look))

    async def _wait(self, look: Callable[[], Awaitable[Priority | None]]) -> bool:
        ticket = self.rate_limiter.enqueue("chat.update", priority=Priority.STEP)
        return await self.permits.wait(CARD, ticket, look)

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def test_a_permit_ends_the_wait() -> None:
    limited = Limited()
    waiting = limited.wait(None)
    await limited.settle()
    assert list(limited.permits.waiting) == [CARD]

    limited.move(60)

    assert await waiting is True
    assert list(limited.permits.waiting) == []
    assert limited.looks == []


async def test_something_urgent_gives_up_the_place_in_the_queue() -> None:
    limited = Limited()
    waiting = limited.wait(None)
    await limited.settle()
    limited.move(1)

    limited.permits.look_again(CARD)

    assert await waiting is False
    limited.move(60)
    await limited.settle()
    assert not limited.rate_limiter.must_wait("chat.update")


async def test_looks_are_at_least_a_second_apart_and_keep_the_place() -> None:
    limited = Limited()
    waiting = limited.wait(Priority.STEP)
    await limited.settle()
    for _ in range(8):
        limited.move(0.25)
        limited.permits.look_again(CARD)
        await limited.settle()

    assert limited.looks == [Priority.STEP, Priority.STEP]
    limited.move(60)
    assert await waiting is True


async def test_a_look_can_move_what_waits_forward() -> None:
    limited = Limited()
    last = limited.rate_limiter.enqueue("chat.update", priority=Priority.ANSWER)
    waiting = limited.wait(Priority.FINAL)
    await limited.settle()
    limited.move(1)
    limited.permits.look_again(CARD)
    await limited.settle()

    # Enough for one call.
    limited.move(30.5)

    assert await waiting is True
    assert not last.is_granted


async def test_a_cancelled_wait_leaves_the_queue() -> None:
    limited = Limited()
    waiting = limited.wait(None)
    await limited.settle()

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert list(limited.permits.waiting) == []
    limited.move(60)
    assert not limited.rate_limiter.must_wait("chat.update")


async def test_a_long_limit_ends_the_wait_with_its_length() -> None:
    limited = Limited()
    waiting = limited.wait(Priority.STEP)
    await limited.settle()

    limited.rate_limiter.apply_retry_after("chat.update", seconds=600)

    with pytest.raises(LongWait):
        await waiting
