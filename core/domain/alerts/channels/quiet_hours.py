"""Quiet hours of a channel: a time of the day, in the channel's time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.domain.errors import BadRequest

_TEXT = re.compile(r"(\d{1,2}):(\d{2})\s*[-–—]\s*(\d{1,2}):(\d{2})")
_DAY = timedelta(days=1)
_MAX_ZONE_CHARS = 64


class BadQuietHours(BadRequest):
    """The text is no time of the day, or no time zone."""

    code = "bad_quiet_hours"


@dataclass(frozen=True, kw_only=True)
class QuietHours:
    """From `start` to `end` each day; over midnight if `end` is the earlier one.

    The hours are those of the clock on the wall: a day on which clocks change has one hour more or
    less of them.
    """

    start: time
    end: time
    time_zone: str

    @classmethod
    def parse(cls, text: str, *, time_zone: str) -> QuietHours:
        """Read `22:00-07:00`.

        Raises:
            BadQuietHours: If it is not two different times, or the time zone is unknown.
        """
        require_time_zone(time_zone)
        found = _TEXT.fullmatch(text.strip())
        try:
            times = (
                None if found is None else [time(int(found[n]), int(found[n + 1])) for n in (1, 3)]
            )
        except ValueError:
            times = None
        if times is None or times[0] == times[1]:
            raise BadQuietHours(
                f"bad quiet hours {text[:40]!r}",
                user_message=f"`{_shown(text)}` are no quiet hours. Write two times of the day, "
                "like `22:00-07:00`.",
            )
        return cls(start=times[0], end=times[1], time_zone=time_zone)

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    def ends_at(self, now: datetime) -> datetime | None:
        """When the quiet hours end in which `now` is, in UTC; `None` if it is in none."""
        zone = ZoneInfo(self.time_zone)
        local = now.astimezone(zone)
        wall = local.time().replace(tzinfo=None)
        if self.start < self.end:
            is_quiet, day = self.start <= wall < self.end, local.date()
        else:
            is_quiet = wall >= self.start or wall < self.end
            day = local.date() + (_DAY if wall >= self.start else timedelta(0))
        if not is_quiet:
            return None
        end = datetime.combine(day, self.end, tzinfo=zone)
        # On the night in which clocks go back, the end comes twice, and may have passed once.
        first, second = (end.replace(fold=fold).astimezone(now.tzinfo) for fold in (0, 1))
        return first if first > now else second


def require_time_zone(name: str) -> ZoneInfo:
    """The time zone with this name, like `Europe/Berlin`.

    Raises:
        BadQuietHours: If there is none.
    """
    try:
        # Some keys are folders, and long ones are no file names.
        return ZoneInfo(name[:_MAX_ZONE_CHARS])
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadQuietHours(
            f"unknown time zone {name[:_MAX_ZONE_CHARS]!r}",
            user_message=f"`{_shown(name)}` is no time zone I know. Write it like "
            "`Europe/Berlin`, or `UTC`.",
        ) from error


def _shown(text: str) -> str:
    return text.strip().replace("`", "'")[:40]
