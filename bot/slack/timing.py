"""The clocks and waits of the Slack surface, in one value that tests can replace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.slack.drawing.messages.sending import ARRIVAL_WINDOW
from bot.slack.drawing.messages.uncertain_writes import RECHECK_AFTER
from bot.slack.drawing.reconciler import REFRESH_EVERY

DRAIN_LIMIT = timedelta(seconds=8)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Clocks, waits and intervals.

    Attributes:
        clock: Returns the present time, as aware UTC.
        now: A monotonic clock in seconds.
        sleep: Sleeps for a number of seconds of `now`.
        refresh_every: The interval at which the elapsed times of live cards are refreshed.
        arrival_window: How long a post whose answer was lost may still appear.
        recheck_after: After this time a call whose answer was lost is checked once more.
        drain: How long a shutdown waits for requests in progress.
    """

    clock: Callable[[], datetime]
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    refresh_every: timedelta = REFRESH_EVERY
    arrival_window: timedelta = ARRIVAL_WINDOW
    recheck_after: timedelta = RECHECK_AFTER
    drain: timedelta = DRAIN_LIMIT
