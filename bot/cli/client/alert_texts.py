"""Alerts and subscriptions as text for people, made from the API's JSON.

What a server of another version leaves out is not shown.  This module loads nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bot.cli.client.text_table import one_line
from bot.words import counts, money, times

Json = Mapping[str, Any]

# So many characters of an id are shown, and are enough to name an open alert.
ID_CHARS = 8
_GAP = "  "


def alerts_text(answer: Json, *, now: datetime, nothing: str) -> str:
    """A page of alerts, newest first: two lines each; `nothing` if there is none."""
    alerts: Sequence[Json] = answer["alerts"]
    if not alerts:
        return nothing
    lines = [alert_text(alert, now=now) for alert in alerts]
    if answer.get("next"):
        total = answer.get("total_count", 0)
        more = "" if answer.get("total_count_is_exact", True) else "more than "
        lines.append(f"{len(alerts)} of {more}{total:,}; --limit and --cursor show others.")
    return "\n".join(lines)


def alert_text(alert: Json, *, now: datetime) -> str:
    """One alert: its id, kind and state, and what it tells."""
    head = [
        _text(alert, "alert_id")[:ID_CHARS],
        _text(alert, "severity"),
        _text(alert, "kind"),
        ", ".join(_states(alert, now)),
    ]
    return f"{_GAP.join(filter(None, head))}\n{_GAP}{_text(alert, 'sentence')}"


def subscriptions_text(answer: Json, *, now: datetime) -> str:
    """Subscriptions: two lines each."""
    found: Sequence[Json] = answer["subscriptions"]
    if not found:
        return "No channel is subscribed to alerts."
    return "\n".join(
        f"{_text(one, 'channel')}{_GAP}{_text(one, 'subscription_id')}\n"
        f"{_GAP}{'; '.join(_wishes(one, now))}"
        for one in found
    )


def _states(alert: Json, now: datetime) -> Iterator[str]:
    opened, resolved = _moment(alert, "opened_at"), _moment(alert, "resolved_at")
    if alert.get("is_open"):
        yield "open" if opened is None else f"open for {times.duration(now - opened)}"
        if _moment(alert, "recovering_at") is not None:
            yield "recovering"
    elif opened is not None and resolved is not None and resolved > opened:
        yield f"ended after {times.duration(resolved - opened)}"
    else:
        yield "ended"
    if _text(alert, "acknowledged_by"):
        yield f"acknowledged by {_text(alert, 'acknowledged_by')}"
    snoozed = _moment(alert, "snoozed_until")
    if alert.get("is_open") and snoozed is not None and snoozed > now:
        yield f"snoozed until {times.utc_date_time(snoozed)}"


def _wishes(one: Json, now: datetime) -> Iterator[str]:
    kinds = one.get("kinds") or ()
    yield ", ".join(map(str, kinds)) if kinds else "the usual kinds"
    yield from _filters(one)
    yield from _manners(one)
    muted = _moment(one, "muted_until")
    if muted is not None and muted > now:
        yield f"muted until {times.utc_date_time(muted)}"
    if _text(one, "source") == "config":
        yield "kept in the configuration"


def _filters(one: Json) -> Iterator[str]:
    """Which alerts of its kinds a channel is told of."""
    for name in ("workflow", "repository", "owner"):
        if _text(one, name):
            yield f"{name} {_text(one, name)}"
    if _text(one, "least_severity"):
        yield f"at least {_text(one, 'least_severity')}"
    if one.get("least_cost_usd") is not None:
        yield f"from {money.dollars(Decimal(str(one['least_cost_usd'])))} on"
    if one.get("pending_for_seconds"):
        yield f"after {_length(one, 'pending_for_seconds')}"


def _manners(one: Json) -> Iterator[str]:
    """How a channel is told."""
    zone = _text(one, "time_zone")
    if _text(one, "mention"):
        yield f"mentions {_text(one, 'mention')}"
    if _text(one, "quiet_hours"):
        yield f"quiet {_text(one, 'quiet_hours')} {zone}"
    if _text(one, "digest"):
        yield f"{_text(one, 'digest')} digest at {one.get('digest_hour')}:00 {zone}"
    if one.get("progress_every_seconds"):
        yield f"progress every {_length(one, 'progress_every_seconds')}"


def _length(one: Json, name: str) -> str:
    return times.duration(timedelta(seconds=one[name]))


def ambiguous_words(beginning: str, ids: Sequence[str]) -> str:
    """That a beginning names several alerts, and which."""
    named = ", ".join(ids[:5])
    return f"{one_line(beginning)!r} begins {counts.plural(len(ids), 'open alert')}: {named}."


def _moment(found: Json, name: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(_text(found, name))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo is not None else None


def _text(found: Json, name: str) -> str:
    value = found.get(name)
    return "" if value is None else one_line(str(value))
