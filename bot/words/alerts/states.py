"""The state of an alert in a few words, and the one that says how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from bot.words import times
from bot.words.alerts.figures import moment
from bot.words.markup import Markup
from core.domain.alerts.episode import AlertState, Episode, Resolution
from core.domain.alerts.kinds import AlertKind

_NAME_LIMIT = 60

# How an alert ended; `{took}` is how long it lasted.  A notice has nothing to end.
RESOLUTION_WORDS: Mapping[Resolution, str] = MappingProxyType(
    {
        Resolution.NOTICE: "",
        Resolution.RECOVERED: "resolved after {took}",
        Resolution.CONTINUED: "continued after {took}",
        Resolution.RUN_ENDED: "over after {took}: the run has ended",
        Resolution.CLOSED: "closed after {took}: nobody continued it",
    }
)
RESOLUTION_ICONS: Mapping[Resolution, str] = MappingProxyType(
    {
        Resolution.NOTICE: "",
        Resolution.RECOVERED: "✅",
        Resolution.CONTINUED: "▶️",
        Resolution.RUN_ENDED: "✅",
        Resolution.CLOSED: "⚪",
    }
)
# What the states without a person's act are called; `{since}` is a time of the day.
STATE_WORDS: Mapping[AlertState, str] = MappingProxyType(
    {
        AlertState.PENDING: "not certain yet",
        AlertState.FIRING: "open",
        AlertState.RECOVERING: "recovering since {since}",
        AlertState.RESOLVED: "resolved",
        AlertState.LAPSED: "not told",
    }
)
UNSTABLE_WORDS = "unstable: it comes and goes"


def state_words(alert: Episode, now: datetime, markup: Markup) -> str:
    """The state of an alert: `open`, `acknowledged by Ada`, `resolved after 12 min`.

    Empty for a notice, which has nothing to end.
    """
    if not alert.is_open:
        return ended_words(alert)
    parts = []
    if alert.state is not AlertState.FIRING or not _is_taken(alert, now):
        since = alert.recovering_at or alert.observed_at
        parts.append(STATE_WORDS[alert.state].format(since=markup.clock_time(since)))
    if alert.is_unstable:
        parts.append(UNSTABLE_WORDS)
    if alert.acknowledged_by is not None:
        parts.append(f"👀 acknowledged by {markup.inline(alert.acknowledged_by, _NAME_LIMIT)}")
    if alert.snoozed_until is not None and alert.is_snoozed(now):
        by = f" by {markup.inline(alert.snoozed_by, _NAME_LIMIT)}" if alert.snoozed_by else ""
        parts.append(f"💤 snoozed until {moment(alert.snoozed_until, now, markup)}{by}")
    return " · ".join(parts)


def ended_words(alert: Episode) -> str:
    """How an alert ended, as plain text; empty for a notice, and while it is open."""
    if alert.resolved_at is None:
        return ""
    resolution = alert.resolution or Resolution.RECOVERED
    took = times.duration(alert.resolved_at - began_at(alert))
    return RESOLUTION_WORDS[resolution].format(took=took)


def began_at(alert: Episode) -> datetime:
    """Since when it is as the alert tells.

    Of a cost that is when it was told: its condition counts from the start of the run.
    """
    is_cost = alert.kind in {AlertKind.BUDGET, AlertKind.COST}
    return alert.fired_at if is_cost and alert.fired_at is not None else alert.opened_at


def ended_icon(alert: Episode) -> str:
    """The icon of the end of an alert; empty for a notice, and while it is open."""
    if alert.is_open:
        return ""
    return RESOLUTION_ICONS[alert.resolution or Resolution.RECOVERED]


def _is_taken(alert: Episode, now: datetime) -> bool:
    return alert.acknowledged_by is not None or alert.is_snoozed(now) or alert.is_unstable
