"""The scale of a timeline: times as places from 0 to 100, long pauses cut out.

A session's runs can be days apart.  Drawn to one scale they would be specks, so a pause that is
long beside the work is a break of fixed width; everything else has the same scale.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.words.times import duration

# A pause is cut out if it is longer than this, and than this share of all the work.
_LEAST_PAUSE = timedelta(seconds=60)
_PAUSE_SHARE = 0.05
# Of the width; all breaks together take at most a quarter.
_BREAK_WIDTH = 2.0
_MOST_BREAKS_WIDTH = 25.0
_MOST_TICKS = 6
# Labels would touch each other.
_LEAST_TICK_GAP = 13.0
_LAST_TICK = 93.0
_STEPS_SECONDS = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400,
    172_800, 604_800,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark of the scale; its label is the time since the beginning."""

    x: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Break:
    """A pause that is cut out."""

    x: float
    width: float
    label: str


@dataclass(frozen=True, kw_only=True)
class _Period:
    """A time of work, and where it is drawn."""

    start: datetime
    end: datetime
    x: float
    width: float

    def place(self, at: datetime) -> float:
        share = (at - self.start) / (self.end - self.start)
        return self.x + self.width * min(max(share, 0.0), 1.0)


@dataclass(frozen=True)
class TimeScale:
    """Times to places.

    Attributes:
        periods: The times of work, oldest first; at least one.
    """

    periods: Sequence[_Period]

    @classmethod
    def over(cls, work: Iterable[tuple[datetime, datetime]]) -> TimeScale | None:
        """The scale on which these times of work are shown; `None` if there are none."""
        spans = _merged(sorted(work))
        if not spans:
            return None
        total = sum((end - start for start, end in spans), timedelta(0))
        joined = _merged(spans, pause=max(_LEAST_PAUSE, total * _PAUSE_SHARE))
        shown = sum((end - start for start, end in joined), timedelta(0))
        breaks = len(joined) - 1
        gap = min(_BREAK_WIDTH, _MOST_BREAKS_WIDTH / breaks) if breaks else 0.0
        room = 100.0 - gap * breaks
        periods, x = [], 0.0
        for start, end in joined:
            width = room * ((end - start) / shown)
            periods.append(_Period(start=start, end=end, x=x, width=width))
            x += width + gap
        return cls(periods)

    @property
    def start(self) -> datetime:
        """When it begins."""
        return self.periods[0].start

    def place(self, at: datetime) -> float:
        """Where a time is, from 0 to 100; one in a break is at its beginning."""
        number = bisect_right([one.start for one in self.periods], at) - 1
        return round(self.periods[max(number, 0)].place(at), 2)

    def breaks(self) -> list[Break]:
        """The pauses that are cut out."""
        return [
            Break(
                x=round(before.x + before.width, 2),
                width=round(after.x - before.x - before.width, 2),
                label=f"{duration(after.start - before.end)} later",
            )
            for before, after in zip(self.periods, self.periods[1:], strict=False)
        ]

    def ticks(self) -> list[Tick]:
        """The marks: the beginning, and round times since then."""
        worked = sum((one.end - one.start for one in self.periods), timedelta(0)).total_seconds()
        step = timedelta(
            seconds=next(
                (one for one in _STEPS_SECONDS if worked / one <= _MOST_TICKS), _STEPS_SECONDS[-1]
            )
        )
        ticks = [Tick(x=0.0, label="0")]
        for period in self.periods:
            number = -(-(period.start - self.start) // step)
            while (at := self.start + number * step) <= period.end:
                x = round(period.place(at), 2)
                if ticks[-1].x + _LEAST_TICK_GAP <= x <= _LAST_TICK:
                    ticks.append(Tick(x=x, label=_round_time(number * step)))
                number += 1
                if number * step > period.end - self.start:
                    break
        return ticks


def _merged(
    spans: Sequence[tuple[datetime, datetime]], pause: timedelta = timedelta(0)
) -> list[tuple[datetime, datetime]]:
    """Sorted spans, joined where no longer pause is between them; each lasts a moment at least."""
    joined: list[tuple[datetime, datetime]] = []
    for start, end in spans:
        later = max(end, start + timedelta(milliseconds=1))
        if joined and start - joined[-1][1] <= pause:
            joined[-1] = (joined[-1][0], max(joined[-1][1], later))
        else:
            joined.append((start, later))
    return joined


def _round_time(length: timedelta) -> str:
    """A whole number of seconds in short: `30 s`, `2 min`, `1 h 30 min`."""
    whole = int(length.total_seconds())
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join([f"{count} {unit}" for count, unit in parts if count][:2]) or "0"
