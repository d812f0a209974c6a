"""The job of the clock that answers for runs that have ended, before anybody asks."""

from __future__ import annotations

from datetime import timedelta

from bot.assembly.backend import Backend, utc_now
from core.runner.clock import ClockJob

# A request that comes earlier gets an answer that is made then.
ANSWER_INTERVAL = timedelta(seconds=30)


def answering_job(backend: Backend) -> ClockJob:
    """Make and store the usual answer about each run that has ended."""
    # A process that only runs a worker keeps no clock, and does not load the API.
    from bot.web.api.statuses.keeping import AnswerKeeping  # noqa: PLC0415

    keeping = AnswerKeeping(backend.statuses, utc_now)
    return ClockJob(name="answer for ended runs", every=ANSWER_INTERVAL, act=keeping.keep_due)
