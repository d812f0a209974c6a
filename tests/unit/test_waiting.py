from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import islice

import pytest

from core.waiting import Backoff, retry, wait_for_any

SHORT = Backoff(first=timedelta(milliseconds=1), longest=timedelta(milliseconds=4))
LONG = Backoff(first=timedelta(hours=1), longest=timedelta(hours=1))


class Failing:
    """Fails a number of times, then answers."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures = failures
        self.error = error
        self.tries = 0
        self.tried = asyncio.Event()

    async def __call__(self) -> str:
        self.tries += 1
        self.tried.set()
        if self.tries <= self.failures:
            raise self.error
        return "done"


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=5))

    assert list(islice(backoff.pauses(), 5)) == [1, 2, 4, 5, 5]


async def test_what_fails_is_tried_until_it_works() -> None:
    action = Failing(3, OSError("no"))
    failures: list[tuple[str, float]] = []

    answer = await retry(
        action,
        on=OSError,
        backoff=SHORT,
        on_failure=lambda error, pause: failures.append((str(error), pause)),
    )

    assert answer == "done"
    assert failures == [("no", 0.001), ("no", 0.002), ("no", 0.004)]


async def test_another_failure_is_passed_on_at_once() -> None:
    action = Failing(1, ValueError("no"))

    with pytest.raises(ValueError, match="no"):
        await retry(action, on=(OSError, LookupError), backoff=LONG)

    assert action.tries == 1


async def test_without_patience_there_is_one_try() -> None:
    action = Failing(1, OSError("no"))

    with pytest.raises(OSError, match="no"):
        await retry(action, on=OSError, backoff=LONG, patience=timedelta(0))

    assert action.tries == 1


async def test_the_last_try_comes_when_patience_is_over_and_not_a_pause_later() -> None:
    action = Failing(9, OSError("no"))

    with pytest.raises(OSError, match="no"):
        # Longer than a busy machine takes for the first try, which is to fail within it.
        await retry(action, on=OSError, backoff=LONG, patience=timedelta(seconds=2))

    assert action.tries == 2


async def test_a_stop_cuts_a_pause_short_for_one_last_try() -> None:
    action, stop = Failing(9, OSError("no")), asyncio.Event()
    retrying = asyncio.create_task(retry(action, on=OSError, backoff=LONG, stop=stop))
    await action.tried.wait()

    stop.set()

    with pytest.raises(OSError, match="no"):
        await retrying
    assert action.tries == 2


async def _retry_for_ever() -> None:
    await retry(Failing(9, OSError("no")), on=Exception, backoff=LONG)


async def _wait_for_ever() -> None:
    await wait_for_any(asyncio.Event(), asyncio.Event(), seconds=3600)


@pytest.mark.parametrize("wait", [_retry_for_ever, _wait_for_ever])
async def test_a_cancellation_ends_the_wait(wait: Callable[[], Awaitable[None]]) -> None:
    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_any_of_the_events_ends_the_wait() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().call_soon(second.set)

    assert await wait_for_any(first, second, seconds=3600)
    assert not first.is_set()


async def test_an_event_of_before_needs_no_time() -> None:
    event = asyncio.Event()
    event.set()

    assert await wait_for_any(event, seconds=-1)


async def test_without_an_event_the_time_runs_out() -> None:
    assert not await wait_for_any(asyncio.Event(), seconds=0.001)
    assert not await wait_for_any(asyncio.Event(), seconds=-1)
