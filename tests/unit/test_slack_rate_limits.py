"""The workspace-wide rate limiter, against a clock that the tests control."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bot.sandbox.slack.api.rate_limits import RateLimits
from bot.slack.client.rate_limits import Priority, RateLimiter


class FakeClock:
    """A clock that advances when every task sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        # Other tasks first, so that everything that can run has run before the clock advances.
        for _ in range(5):
            await asyncio.sleep(0)
        self.now += seconds


async def in_order(*calls: Callable[[], Awaitable[None]]) -> None:
    await asyncio.gather(*(call() for call in calls))


async def test_calls_never_exceed_what_slack_allows_in_any_minute() -> None:
    time = FakeClock()
    rate_limiter = RateLimiter(now=lambda: time.now, sleep=time.sleep)
    slack = RateLimits(enabled=True)
    refused: list[int] = []

    async def call(method: str, tier: int, channel: str | None) -> None:
        await rate_limiter.enqueue(method, channel=channel, priority=Priority.STEP).wait_granted()
        refused.append(slack.retry_after(method, tier, channel, time.now))

    calls = [call("chat.update", 3, "C1") for _ in range(80)]
    calls += [call("users.info", 4, None) for _ in range(120)]
    calls += [call("usergroups.users.list", 2, None) for _ in range(30)]
    calls += [call("chat.postMessage", 5, f"C{n % 3}") for n in range(30)]
    await asyncio.gather(*calls)

    assert set(refused) == {0}
    await rate_limiter.close()


async def test_a_final_state_precedes_steps_that_wait_longer() -> None:
    time = FakeClock()
    rate_limiter = RateLimiter(now=lambda: time.now, sleep=time.sleep)
    served: list[str] = []

    async def call(name: str, priority: Priority) -> None:
        await rate_limiter.enqueue("chat.update", priority=priority).wait_granted()
        served.append(name)

    burst = [call(f"burst {n}", Priority.STEP) for n in range(5)]
    await asyncio.gather(*burst)
    served.clear()
    await asyncio.gather(
        call("idle", Priority.IDLE),
        call("step", Priority.STEP),
        call("answer", Priority.ANSWER),
        call("final", Priority.FINAL),
    )

    assert served == ["final", "answer", "step", "idle"]
    await rate_limiter.close()


async def test_a_waiting_thread_can_be_moved_forward() -> None:
    time = FakeClock()
    rate_limiter = RateLimiter(now=lambda: time.now, sleep=time.sleep)
    served: list[str] = []
    for _ in range(5):
        await rate_limiter.enqueue("chat.update", priority=Priority.STEP).wait_granted()
    first = rate_limiter.enqueue("chat.update", priority=Priority.STEP)
    second = rate_limiter.enqueue("chat.update", priority=Priority.STEP)

    async def wait(name: str, ticket: object) -> None:
        assert hasattr(ticket, "wait_granted")
        await ticket.wait_granted()
        served.append(name)

    second.raise_to(Priority.FINAL)
    await asyncio.gather(wait("first", first), wait("second", second))

    assert served == ["second", "first"]
    await rate_limiter.close()


async def test_a_busy_channel_does_not_delay_another() -> None:
    time = FakeClock()
    rate_limiter = RateLimiter(now=lambda: time.now, sleep=time.sleep)
    for _ in range(3):
        await rate_limiter.enqueue(
            "chat.postMessage", channel="C1", priority=Priority.STEP
        ).wait_granted()
    waiting = rate_limiter.enqueue("chat.postMessage", channel="C1", priority=Priority.FINAL)

    other = rate_limiter.enqueue("chat.postMessage", channel="C2", priority=Priority.STEP)

    assert other.is_granted
    assert not waiting.is_granted
    await rate_limiter.close()


async def test_a_retry_after_delays_all_calls_of_the_method() -> None:
    time = FakeClock()
    rate_limiter = RateLimiter(now=lambda: time.now, sleep=time.sleep)

    rate_limiter.apply_retry_after("chat.update", seconds=30)
    await rate_limiter.enqueue("chat.update", priority=Priority.FINAL).wait_granted()

    assert time.now >= 30
    assert rate_limiter.enqueue("views.open", priority=Priority.STEP).is_granted
    await rate_limiter.close()


async def test_a_cancelled_wait_uses_no_permit() -> None:
    time = FakeClock()
    rate_limiter = RateLimiter(now=lambda: time.now, sleep=time.sleep)
    for _ in range(5):
        await rate_limiter.enqueue("chat.update", priority=Priority.STEP).wait_granted()
    giving_up = asyncio.create_task(
        rate_limiter.enqueue("chat.update", priority=Priority.FINAL).wait_granted()
    )
    await asyncio.sleep(0)

    giving_up.cancel()
    await asyncio.wait({giving_up})
    await rate_limiter.enqueue("chat.update", priority=Priority.STEP).wait_granted()

    assert time.now < 2
    await rate_limiter.close()


async def test_idle_work_runs_only_while_nothing_waits() -> None:
    time = FakeClock()
    rate_limiter = RateLimiter(now=lambda: time.now, sleep=time.sleep)

    assert rate_limiter.has_spare_capacity("chat.update")
    for _ in range(4):
        await rate_limiter.enqueue("chat.update", priority=Priority.STEP).wait_granted()
    assert not rate_limiter.has_spare_capacity("chat.update")
    time.now += 60
    assert rate_limiter.has_spare_capacity("chat.update")
    await rate_limiter.close()


async def test_consecutive_drawers_stay_under_the_limit_together() -> None:
    time = FakeClock()
    slack = RateLimits(enabled=True)
    refused: list[int] = []

    for _ in range(6):
        # Each draws for twenty seconds, as much as it may, and is replaced by the next.
        rate_limiter = RateLimiter(now=lambda: time.now, sleep=time.sleep)
        rate_limiter.start_empty("chat.update")
        until = time.now + 20
        while time.now < until:
            await rate_limiter.enqueue("chat.update", priority=Priority.STEP).wait_granted()
            refused.append(slack.retry_after("chat.update", 3, "C1", time.now))
        await rate_limiter.close()

    assert set(refused) == {0}


async def test_the_first_cards_of_a_new_drawer_wait_for_possible_earlier_posts() -> None:
    time = FakeClock()
    slack = RateLimits(enabled=True)
    refused: list[int] = []

    for _ in range(6):
        # Each posts what it may and dies; the next, a second later, does not know about it.
        rate_limiter = RateLimiter(now=lambda: time.now, sleep=time.sleep)
        rate_limiter.start_empty("chat.postMessage")
        for channel in ("C1", "C2") * 3:
            waiter = rate_limiter.enqueue(
                "chat.postMessage", channel=channel, priority=Priority.FINAL
            )
            await waiter.wait_granted()
            refused.append(slack.retry_after("chat.postMessage", 5, channel, time.now))
        await rate_limiter.close()
        time.now += 1

    assert set(refused) == {0}
