"""Formatting of durations and times, and reading of time limits."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
# The step of elapsed times, in seconds.  A message that changed every second would use up the
# updates that a surface may make.
ELAPSED_STEP = 15

_TIME_LIMIT = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?:in)?)?(?:(?P<s>\d+)s)?\Z"
)
# What programs write: whole numbers of days, hours, minutes and seconds, in this order; at least
# one of them.  People write more than that, which `parse_duration` reads too.
DURATION_PATTERN = r"^(?=[0-9])([0-9]{1,3}d)?([0-9]{1,4}h)?([0-9]{1,6}m)?([0-9]{1,7}s)?$"
_YEAR = 366 * _DAY
_MAX_DURATION_CHARS = 40
_AMOUNT = r"\d{1,9}(?:\.\d{1,3})?"
_DURATION = re.compile(
    rf"(?:(?P<d>{_AMOUNT})d(?:ays?)?)?(?:(?P<h>{_AMOUNT})h(?:(?:ou)?rs?)?)?"
    rf"(?:(?P<m>{_AMOUNT})m(?:in(?:ute)?s?)?)?(?:(?P<s>{_AMOUNT})s(?:ec(?:ond)?s?)?)?",
    re.ASCII,
)


def duration(length: timedelta) -> str:
    """A duration: `0.4 s`, `42 s`, `4 min 12 s`, `1 h 03 min`, `2 d 3 h`."""
    seconds = max(length.total_seconds(), 0.0)
    # From 9.95 on it would round to "10.0 s"; show "10 s" instead.
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        minutes, rest = divmod(whole, _MINUTE)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    if whole < _DAY:
        hours, rest = divmod(whole, _HOUR)
        return f"{hours} h {rest // _MINUTE:02} min"
    days, rest = divmod(whole, _DAY)
    return f"{days} d {rest // _HOUR} h"


def elapsed(since: datetime, now: datetime) -> str:
    """The time from `since` to `now`, in coarse steps."""
    seconds = max(int((now - since).total_seconds()), 0)
    step = ELAPSED_STEP if seconds < 10 * _MINUTE else _MINUTE
    rounded = seconds - seconds % step
    if rounded == 0:
        return f"under {ELAPSED_STEP} s"
    return duration(timedelta(seconds=rounded))


def time_limit(length: timedelta) -> str:
    """A time limit, as people type it: `90s`, `30m`, `2h`, `1h30m`."""
    whole = round(length.total_seconds())
    hours, rest = divmod(whole, _HOUR)
    minutes, seconds = divmod(rest, _MINUTE)
    parts = [f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if n]
    return "".join(parts) or "0s"


def parse_time_limit(text: str) -> timedelta | None:
    """Read a time limit with its units, from 10 s to 24 h; `None` if it is none."""
    found = _TIME_LIMIT.match(text.strip().lower().replace(" ", ""))
    if found is None or not any(found.groups()) or len(text) > 20:
        return None
    hours, minutes, seconds = (float(found[unit] or 0) for unit in "hms")
    length = hours * _HOUR + minutes * _MINUTE + seconds
    return timedelta(seconds=length) if 10 <= length <= _DAY else None


def parse_duration(text: str) -> timedelta | None:
    """Read a duration with its units, days too: `2h`, `1h30m`, `90 minutes`, `2 d`.

    Returns:
        `None` if it is none, or longer than a year; it may be 0.
    """
    found = _DURATION.fullmatch("".join(text.lower().split()))
    if found is None or not any(found.groups()) or len(text) > _MAX_DURATION_CHARS:
        return None
    days, hours, minutes, seconds = (float(found[unit] or 0) for unit in "dhms")
    length = days * _DAY + hours * _HOUR + minutes * _MINUTE + seconds
    return timedelta(seconds=length) if length <= _YEAR else None


def milliseconds(length: float) -> str:
    """A short duration, given in milliseconds: `340 ms`; from a second on like `duration`."""
    if length < 1000:
        return f"{length:.0f} ms"
    return duration(timedelta(milliseconds=length))


def utc_date_time(at: datetime) -> str:
    """A date and time in UTC, to the minute, if the reader's time zone is unknown."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def utc_clock_time(at: datetime) -> str:
    """A time of day in UTC, to the minute, if the reader's time zone is unknown."""
    return f"{at:%H:%M} UTC"
