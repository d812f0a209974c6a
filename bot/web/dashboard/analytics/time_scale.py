"""Units of durations at the axes of charts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_MINUTE = 60
_HOUR = 60 * _MINUTE
# Up to this many of a unit are read well.
_MOST = 120


@dataclass(frozen=True)
class TimeScale:
    """A unit.

    Attributes:
        size: How many of the values' own units it has.
    """

    size: float
    unit: str

    def of(self, values: Iterable[float | None]) -> list[float | None]:
        """The values in this unit."""
        return [None if one is None else one / self.size for one in values]


def scale_of(seconds: Iterable[float | None]) -> TimeScale:
    """The unit in which the largest of some durations is read well."""
    most = max((one for one in seconds if one is not None), default=0.0)
    for scale in (TimeScale(1, "seconds"), TimeScale(_MINUTE, "minutes")):
        if most <= _MOST * scale.size:
            return scale
    return TimeScale(_HOUR, "hours")
