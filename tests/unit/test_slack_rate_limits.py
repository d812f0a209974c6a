"""The workspace-wide rate limiter, against a clock that the tests control."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from bot.sandbox.slack.api.rate_limits import RateLimits
from bot.slack.client.long_limits import LongLimits
from bot.slack.client.rate_limits import LongWait, Priority, RateLimiter
from bot.slack.client.retry_after import RetryAfter, read_retry_after


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


async def test_a_call_must_wait_when_the_burst_is_used_up_or_others_wait() -> None:
    time = FakeClock()
    rate_limiter = RateLimiter(now=lambda: time.now, sleep=time.sleep)
    before = rate_limiter.must_wait("chat.update")
    tickets = [rate_limiter.enqueue("chat.update", priority=Priority.STEP) for _ in range(6)]
    used_up = rate_limiter.must_wait("chat.update")
    await tickets[-1].wait_granted()
    time.now += 60

    assert (before, used_up) == (False, True)
    assert not rate_limiter.must_wait("chat.update")
    assert not rate_limiter.must_wait("chat.postMessage")
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


async def test_nobody_waits_for_a_method_that_is_limited_for_long() -> None:
    time = FakeClock()
    rate_limiter = RateLimiter(now=lambda: time.now)
    for _ in range(5):
        await rate_limiter.enqueue("chat.update", priority=Priority.STEP).wait_granted()
    waiting = rate_limiter.enqueue("chat.update", priority=Priority.STEP)

    rate_limiter.apply_retry_after("chat.update", seconds=3600)

    with pytest.raises(LongWait):
        await waiting.wait_granted()
    assert not waiting.is_granted
    with pytest.raises(LongWait, match="3600 s"):
        rate_limiter.enqueue("chat.update", priority=Priority.FINAL)
    await rate_limiter.close()


async def test_the_first_call_after_a_long_limit_is_alone() -> None:
    time = FakeClock()
    rate_limiter = RateLimiter(now=lambda: time.now, sleep=time.sleep)
    rate_limiter.apply_retry_after("chat.update", seconds=3600)
    time.now = 3602

    tries = [rate_limiter.enqueue("chat.update", priority=Priority.STEP) for _ in range(3)]

    assert [ticket.is_granted for ticket in tries] == [True, False, False]
    await rate_limiter.close()


NOW = datetime(2026, 11, 29, 3, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds", "is_rejected"),
    [
        (None, 5, False),
        ("30", 30, False),
        ("0.2", 1, False),
        ("3600", 3600, False),
        ("3601", 3600, True),
        ("1000000000", 3600, True),
        ("1e400", 3600, True),
        ("-5", 1, True),
        ("0", 1, True),
        ("nan", 5, True),
        ("soon", 5, True),
        ("", 5, True),
        ("Sun, 29 Nov 2026 03:16:00 GMT", 120, False),
        ("Sun, 29 Nov 2026 03:00:00 GMT", 1, True),
        ("Fri, 31 Dec 2199 23:59:59 GMT", 3600, True),
        ("Sun, 99 Nov 2026 03:16:00 GMT", 5, True),
    ],
)
def test_any_retry_after_gives_a_bounded_wait(
    header: str | None, seconds: float, is_rejected: bool
) -> None:
    headers = {} if header is None else {"Retry-After": header}

    wait = read_retry_after(headers, now=NOW)

    assert wait.seconds == seconds
    assert (wait.rejected is not None) == is_rejected


def test_an_episode_lasts_until_no_method_is_limited() -> None:
    now = NOW
    limits = LongLimits(lambda: now)
    limits.begin("chat.update", "C1", RetryAfter(seconds=600))
    limits.begin("chat.postMessage", "C1", RetryAfter(seconds=1200))
    limits.begin("chat.postMessage", "C2", RetryAfter(seconds=30))
    assert limits.claim_notice("U1")
    assert not limits.claim_notice("U1")
    assert limits.of("chat.update", "C9") is not None
    assert limits.of("chat.postMessage", "C2") is None

    now += timedelta(seconds=700)
    assert [limit.method for limit in limits.current()] == ["chat.postMessage"]
    assert not limits.claim_notice("U1")
    limits.record_success("chat.postMessage", "C1")
    limits.begin("chat.update", "C1", RetryAfter(seconds=600))

    assert limits.episode == 2
    assert limits.claim_notice("U1")
