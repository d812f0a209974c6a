"""What happened to an alert, a line for each event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bot.words import counts, times
from bot.words.alerts.figures import Evidence, moment
from bot.words.alerts.states import RESOLUTION_WORDS, began_at
from bot.words.alerts.titles import SEVERITY_WORDS
from bot.words.markup import Markup
from core.domain.alerts.episode import Episode, Resolution
from core.domain.alerts.history import AlertEvent, AlertEventRecord
from core.domain.alerts.kinds import Severity

_NAME_LIMIT = 60

EVENT_ICONS: Mapping[AlertEvent, str] = MappingProxyType(
    {
        AlertEvent.FIRED: "🔔",
        AlertEvent.RAISED: "⬆️",
        AlertEvent.LOWERED: "⬇️",
        AlertEvent.RECOVERING: "↘️",
        AlertEvent.RETURNED: "↗️",
        AlertEvent.UNSTABLE: "〰️",
        AlertEvent.ACKNOWLEDGED: "👀",
        AlertEvent.SNOOZED: "💤",
        AlertEvent.STILL_FINE: "👍",
        AlertEvent.SNOOZE_ENDED: "⏰",
        AlertEvent.RESOLVED: "✅",
    }
)


def event_words(event: AlertEventRecord, alert: Episode, markup: Markup) -> str:
    """One event as a part of a sentence: `acknowledged by Ada`."""
    return EVENT_WORDS[event.what](event, alert, markup)


def event_line(event: AlertEventRecord, alert: Episode, markup: Markup, *, about: str = "") -> str:
    """One event as a line, with its time.

    Args:
        event: The event.
        alert: The alert to which it happened.
        markup: The surface's markup.
        about: What the alert is about, in markup, if the line stands among those of others.
    """
    words = event_words(event, alert, markup)
    named = f"{about}: {words}" if about else words[:1].upper() + words[1:]
    return f"{EVENT_ICONS[event.what]} {markup.clock_time(event.at)} {named}"


def severity_of(stored: object) -> Severity | None:
    """A severity as it is stored with an event; `None` if it is none."""
    return next((one for one in Severity if one.value == stored), None)


def _fired(event: AlertEventRecord, _: Episode, __: Markup) -> str:
    severity = severity_of(event.data.get("severity"))
    return "told" if severity is None else f"told as {SEVERITY_WORDS[severity]}"


def _severity_changed(event: AlertEventRecord, _: Episode, __: Markup) -> str:
    before, after = severity_of(event.data.get("from")), severity_of(event.data.get("to"))
    if before is None or after is None:
        return "severity changed"
    return f"{SEVERITY_WORDS[before]} became {SEVERITY_WORDS[after]}"


def _returned(event: AlertEventRecord, _: Episode, __: Markup) -> str:
    times_seen = Evidence(stored=event.data).count("occurrences")
    return (
        "it is back" if times_seen is None else f"it is back, the {counts.ordinal(times_seen)} time"
    )


def _acknowledged(event: AlertEventRecord, _: Episode, markup: Markup) -> str:
    return f"acknowledged by {_by(event, markup)}"


def _snoozed(event: AlertEventRecord, _: Episode, markup: Markup) -> str:
    return f"snoozed by {_by(event, markup)}{_until(event, markup)}"


def _still_fine(event: AlertEventRecord, _: Episode, markup: Markup) -> str:
    return f"still fine, says {_by(event, markup)}: not told again{_until(event, markup)}"


def _resolved(event: AlertEventRecord, alert: Episode, _: Markup) -> str:
    stored = event.data.get("resolution")
    resolution = next((one for one in Resolution if one.value == stored), Resolution.RECOVERED)
    took = times.duration(event.at - began_at(alert))
    return RESOLUTION_WORDS[resolution].format(took=took) or "told"


EVENT_WORDS: Mapping[AlertEvent, Callable[[AlertEventRecord, Episode, Markup], str]] = (
    MappingProxyType(
        {
            AlertEvent.FIRED: _fired,
            AlertEvent.RAISED: _severity_changed,
            AlertEvent.LOWERED: _severity_changed,
            AlertEvent.RECOVERING: lambda _, __, ___: "no longer observed",
            AlertEvent.RETURNED: _returned,
            AlertEvent.UNSTABLE: lambda _, __, ___: (
                "unstable: the third time within an hour; it is resolved after 30 quiet minutes"
            ),
            AlertEvent.ACKNOWLEDGED: _acknowledged,
            AlertEvent.SNOOZED: _snoozed,
            AlertEvent.STILL_FINE: _still_fine,
            AlertEvent.SNOOZE_ENDED: lambda _, __, ___: "the snooze has ended",
            AlertEvent.RESOLVED: _resolved,
        }
    )
)


def _by(event: AlertEventRecord, markup: Markup) -> str:
    return markup.inline(event.by or "somebody", _NAME_LIMIT)


def _until(event: AlertEventRecord, markup: Markup) -> str:
    until = Evidence(stored=event.data).time("until")
    return "" if until is None else f" until {moment(until, event.at, markup)}"
