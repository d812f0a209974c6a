"""The clocks and waits of the Slack side, in one value that tests replace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.slack.drawing.reconciler import REFRESH_EVERY
from bot.slack.drawing.sending import ARRIVAL_WINDOW
from bot.slack.drawing.uncertain_writes import RECHECK_AFTER

DRAIN_LIMIT = timedelta(seconds=8)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When things happen.

    Attributes:
        clock: Aware UTC now.
        now: A monotonic clock in seconds.
        sleep: Sleeps that many seconds of `now`.
        refresh_every: How often the elapsed times of live cards are brought up to date.
        arrival_window: How long a post without an answer may still arrive.
        recheck_after: When a call without an answer is checked once more.
        drain: How long the end waits for work under way.
    """

    clock: Callable[[], datetime]
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    refresh_every: timedelta = REFRESH_EVERY
    arrival_window: timedelta = ARRIVAL_WINDOW
    recheck_after: timedelta = RECHECK_AFTER
    drain: timedelta = DRAIN_LIMIT
