"""How often samples are taken, and how few of them are kept as they get older."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True)
class SamplingPolicy:
    """The settings of samples.

    Attributes:
        is_enabled: Whether any are taken.
        every: The time between two looks.
    """

    is_enabled: bool = True
    every: timedelta = timedelta(seconds=5)


DEFAULT_POLICY = SamplingPolicy()


@dataclass(frozen=True, kw_only=True)
class Thinning:
    """Samples that are older than `after` are joined, so that one is left for each `step`."""

    after: timedelta
    step: timedelta

    def cut(self, now: datetime) -> datetime:
        """The end of the last interval that is old enough; intervals are counted from 1970."""
        return floor_to(now - self.after, self.step)


# Of a day that is 720 + 1,380 samples of a run that goes on, and 144 of each day before.
THINNINGS = (
    Thinning(after=timedelta(hours=1), step=timedelta(minutes=1)),
    Thinning(after=timedelta(days=1), step=timedelta(minutes=10)),
)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - given the zone of the time that is rounded


def floor_to(at: datetime, step: timedelta) -> datetime:
    """The last multiple of a step, counted from 1970, that is not after a time."""
    epoch = _EPOCH.replace(tzinfo=at.tzinfo)
    return at - (at - epoch) % step
