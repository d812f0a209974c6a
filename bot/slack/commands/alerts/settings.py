"""The settings of `alerts subscribe`: how each is read, and how it is explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bot.slack.commands.alerts import readers
from bot.slack.commands.alerts.readers import Given


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        parse: Returns the value, or `None` if it is not valid.
        expected: A description of valid values, to complete "needs …".
        example: The setting with a value, as people type it.
        operators: What may stand between the name and the value.
    """

    name: str
    parse: Callable[[Given], Any]
    expected: str
    example: str
    help_text: str
    operators: frozenset[str] = frozenset({"="})


_AT_LEAST = frozenset({"=", ">=", ">"})
_ALL_SETTINGS = (
    Setting(
        name="workflow",
        parse=readers.parse_name,
        expected="the name of a workflow",
        example="workflow=implement",
        help_text="only runs of this workflow",
    ),
    Setting(
        name="repo",
        parse=readers.parse_repository,
        expected="the address of a repository, or the end of one",
        example="repo=acme/api",
        help_text="only runs on this repository",
    ),
    Setting(
        name="owner",
        parse=readers.parse_member,
        expected="a member of this workspace",
        example="owner=@ada",
        help_text="only runs of this person; `owner=me` are yours",
    ),
    Setting(
        name="severity",
        parse=readers.parse_severity,
        expected="`info`, `warning` or `critical`",
        example="severity>=warning",
        help_text="only alerts at least so severe",
        operators=_AT_LEAST,
    ),
    Setting(
        name="cost",
        parse=readers.parse_cost,
        expected="US dollars",
        example="cost>5",
        help_text="only runs that cost at least so much, in US dollars",
        operators=_AT_LEAST,
    ),
    Setting(
        name="for",
        parse=readers.parse_pending,
        expected="a time of at most 24 hours with its unit",
        example="for=15m",
        help_text="only what has lasted so long",
        operators=_AT_LEAST,
    ),
    Setting(
        name="mention",
        parse=readers.parse_mention,
        expected="a user group or a person (`@here` and `@channel` are not possible)",
        example="mention=@oncall",
        help_text="who is called when an alert fires",
    ),
    Setting(
        name="quiet",
        parse=readers.parse_quiet_hours,
        expected="two different times of the day",
        example="quiet=22:00-07:00",
        help_text="hours in which only critical alerts come; the rest comes at their end",
    ),
    Setting(
        name="tz",
        parse=readers.parse_time_zone,
        expected="the name of a time zone",
        example="tz=Europe/Berlin",
        help_text="the time zone of the quiet hours and the digest; left out, it is yours",
    ),
    Setting(
        name="digest",
        parse=readers.parse_period,
        expected="`daily` or `weekly`",
        example="digest=daily",
        help_text="a summary each day, or each Monday",
    ),
    Setting(
        name="at",
        parse=readers.parse_hour,
        expected="a full hour from 0 to 23",
        example="at=9",
        help_text="the hour of the digest; left out, it is 9",
    ),
    Setting(
        name="progress",
        parse=readers.parse_progress,
        expected="a time from 1 minute to 24 hours with its unit",
        example="progress=10m",
        help_text="how often long runs post their progress in their threads",
    ),
    Setting(
        name="broadcast",
        parse=readers.parse_switch,
        expected="`on` or `off`",
        example="broadcast=on",
        help_text="show the end of an alert in the channel too",
    ),
)
SETTINGS: Mapping[str, Setting] = MappingProxyType({one.name: one for one in _ALL_SETTINGS})
# Other names that people try first.
SETTING_SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "repository": "repo",
        "after": "for",
        "notify": "mention",
        "ping": "mention",
        "quiet-hours": "quiet",
        "timezone": "tz",
        "time-zone": "tz",
        "zone": "tz",
        "summary": "digest",
        "hour": "at",
        "by": "owner",
    }
)


def setting_named(name: str) -> Setting | None:
    """The setting with this name or synonym; `None` if there is none."""
    known = name.lower().replace("_", "-")
    return SETTINGS.get(SETTING_SYNONYMS.get(known, known))
