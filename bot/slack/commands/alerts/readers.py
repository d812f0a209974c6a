"""Readers of the settings of alerts: each returns the value, or `None` if it is not valid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from zoneinfo import available_timezones

from bot.slack.commands.alerts.values import ME
from bot.slack.commands.flags import parse_budget
from bot.words.times import parse_duration
from core.domain.alerts.channels.quiet_hours import BadQuietHours, QuietHours, require_time_zone
from core.domain.alerts.channels.subscription import (
    MAX_FILTER_CHARS,
    MAX_FOR,
    DigestPeriod,
)
from core.domain.alerts.kinds import Severity
from core.domain.runs.request import MAX_PROGRESS, MIN_PROGRESS

_MEMBER = re.compile(r"<@(?P<marked>[UW][A-Z0-9]{2,20})(?:\|[^<>]*)?>|(?P<bare>[UW][A-Z0-9]{6,20})")
_GROUP = re.compile(
    r"<!subteam\^(?P<marked>S[A-Z0-9]{2,20})(?:\|[^<>]*)?>|(?P<bare>S[A-Z0-9]{6,20})"
)
_HANDLE = re.compile(r"@[a-z0-9][a-z0-9._-]{0,60}", re.IGNORECASE)
# They would call a whole channel, and nobody in it knows whether they are meant.
_EVERYBODY = frozenset({"here", "channel", "everyone"})
_HOUR = re.compile(r"(?P<hour>\d{1,2})(?::00|h)?\s*(?P<half>am|pm)?", re.IGNORECASE | re.ASCII)
_CLOCK = re.compile(r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?\s*(?P<half>am|pm)?", re.IGNORECASE)
_SEVERITIES: Mapping[str, Severity] = MappingProxyType(
    {
        "info": Severity.INFO,
        "any": Severity.INFO,
        "warning": Severity.WARNING,
        "warn": Severity.WARNING,
        "critical": Severity.CRITICAL,
        "crit": Severity.CRITICAL,
    }
)
_PERIODS: Mapping[str, DigestPeriod] = MappingProxyType(
    {
        "daily": DigestPeriod.DAILY,
        "day": DigestPeriod.DAILY,
        "weekly": DigestPeriod.WEEKLY,
        "week": DigestPeriod.WEEKLY,
    }
)
_SWITCHES: Mapping[str, bool] = MappingProxyType(
    {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}
)
_NOON = 12


@dataclass(frozen=True, kw_only=True)
class Given:
    """A value as it was given.

    Attributes:
        text: As the person typed it, without Slack's markup.
        raw: As Slack sent it: a mention contains an id.
        operator: What stood before it.
    """

    text: str
    raw: str = ""
    operator: str = "="


def parse_member(given: Given) -> str | None:
    """Read a member: a mention or an id."""
    found = _MEMBER.fullmatch(given.raw or given.text)
    if found is not None:
        return found["marked"] or found["bare"]
    return ME if given.text.lower() in {ME, "mine", "@me"} else None


def parse_mention(given: Given) -> str | None:
    """Read a mention of a user group or a person; `@name` is a group to be looked up."""
    typed = given.raw or given.text
    group, member = _GROUP.fullmatch(typed), _MEMBER.fullmatch(typed)
    if group is not None:
        return f"<!subteam^{group['marked'] or group['bare']}>"
    if member is not None:
        return f"<@{member['marked'] or member['bare']}>"
    name = given.text.removeprefix("@").lower()
    if name in _EVERYBODY or _HANDLE.fullmatch(f"@{name}") is None:
        return None
    return f"@{name}"


def parse_severity(given: Given) -> Severity | None:
    """Read the least severity; `>info` is `warning`."""
    found = _SEVERITIES.get(given.text.lower())
    if found is None or given.operator != ">":
        return found
    return None if found is Severity.CRITICAL else Severity(found + 1)


def parse_quiet_hours(given: Given) -> str | None:
    """Read `22:00-07:00`, also `22-7` and `10pm-7am`."""
    parts = re.split(r"\s*(?:-|–|—|to)\s*", given.text.strip())
    times = [_clock(part) for part in parts]
    try:
        return str(QuietHours.parse("-".join(one or "?" for one in times), time_zone="UTC"))
    except BadQuietHours:
        return None


def parse_time_zone(given: Given) -> str | None:
    """Read the name of a time zone, in any case."""
    name = given.text.strip()
    try:
        require_time_zone(name)
    except BadQuietHours:
        return _zones().get(name.lower().replace(" ", "_"))
    return name


def parse_hour(given: Given) -> int | None:
    """Read a full hour of the day."""
    found = _HOUR.fullmatch(given.text.strip())
    if found is None:
        return None
    return _hour_of(int(found["hour"]), found["half"])


def parse_name(given: Given) -> str | None:
    """Read the name of a workflow."""
    name = given.text.strip().lower()
    return name if 0 < len(name) <= MAX_FILTER_CHARS and not re.search(r"\s", name) else None


def parse_repository(given: Given) -> str | None:
    """Read the address of a repository, or the end of one."""
    name = given.text.strip()
    return name if 0 < len(name) <= MAX_FILTER_CHARS and not re.search(r"\s", name) else None


def parse_cost(given: Given) -> Decimal | None:
    """Read US dollars, with `$` before or behind."""
    return parse_budget(given.text.strip().removesuffix("$"))


def parse_period(given: Given) -> DigestPeriod | None:
    """Read how often a digest comes."""
    return _PERIODS.get(given.text.lower())


def parse_switch(given: Given) -> bool | None:
    """Read `on` or `off`."""
    return _SWITCHES.get(given.text.lower())


def parse_pending(given: Given) -> timedelta | None:
    """Read how long a state must last."""
    return _between(given, timedelta(seconds=1), MAX_FOR)


def parse_progress(given: Given) -> timedelta | None:
    """Read the interval of progress posts."""
    return _between(given, MIN_PROGRESS, MAX_PROGRESS)


def _between(given: Given, least: timedelta, most: timedelta) -> timedelta | None:
    found = parse_duration(given.text)
    return found if found is not None and least <= found <= most else None


def _hour_of(hour: int, half: str | None) -> int | None:
    if half is None:
        return hour if hour in range(24) else None
    if hour not in range(1, _NOON + 1):
        return None
    return hour % _NOON + (_NOON if half.lower() == "pm" else 0)


def _clock(text: str) -> str | None:
    found = _CLOCK.fullmatch(text)
    hour = None if found is None else _hour_of(int(found["hour"]), found["half"])
    return None if found is None or hour is None else f"{hour:02}:{found['minute'] or '00'}"


@lru_cache(maxsize=1)
def _zones() -> Mapping[str, str]:
    return {name.lower(): name for name in available_timezones()}
