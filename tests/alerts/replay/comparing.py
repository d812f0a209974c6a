"""Compares what is stored about alerts with what is expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import text

from core.store.database.engine import Database
from tests.alerts.replay.expected_alerts import Expected
from tests.alerts.replay.expected_messages import Message, Name, Teller, Told, name_of

_ALERTS = text(
    "SELECT kind, subject_type, subject_id, fired_at, resolved_at, resolution, occurrences,"
    " is_unstable, severity, acknowledged_by, opened_at FROM alerts WHERE fired_at IS NOT NULL"
)
_DELIVERIES = text(
    "SELECT d.channel_id, a.kind, a.subject_type, a.subject_id, a.fired_at, d.handling,"
    " d.held_until, g.type, g.kind AS group_kind, g.opened_at, g.mention, g.id, g.members"
    " FROM alert_deliveries d JOIN alerts a ON a.id = d.alert_id"
    " LEFT JOIN alert_groups g ON g.id = d.group_id"
)
_EVENTS = text(
    "SELECT a.kind, a.subject_type, a.subject_id, a.fired_at, e.what, count(*) AS number"
    " FROM alert_events e JOIN alerts a ON a.id = e.alert_id WHERE e.what IN ('fired', 'resolved')"
    " GROUP BY 1, 2, 3, 4, 5"
)
_UNDRAWN = text(
    "SELECT count(*) FROM alert_groups g WHERE NOT EXISTS"
    " (SELECT FROM drawables d WHERE d.kind = 'alert' AND d.key = g.id::text)"
)


@dataclass(frozen=True)
class Differences:
    """What is not as it should be, as lines; none is good."""

    lines: Sequence[str]
    alerts: int
    messages: int
    deliveries: int
    kinds: Counter[str]
    types: Counter[str]
    handlings: Counter[str]


async def compare(
    database: Database, alerts: Sequence[Expected], teller: Teller, told: Told
) -> Differences:
    """Compare the alerts, the deliveries and the messages of a week, each exactly."""
    async with database.sessions() as session:
        stored = (await session.execute(_ALERTS)).all()
        delivered = (await session.execute(_DELIVERIES)).all()
        counted = (await session.execute(_EVENTS)).all()
        undrawn = await session.scalar(_UNDRAWN)
    last = max((max(one.at_tick) for one in alerts), default=0)
    lines = _diff(
        "alert",
        Counter(tuple(row) for row in stored),
        Counter(_columns(one, last, teller) for one in alerts),
    )
    have: Counter[tuple[object, ...]] = Counter(
        (row.channel_id, _name(row), row.handling, row.held_until) for row in delivered
    )
    want: Counter[tuple[object, ...]] = Counter(
        (channel, name, handling, told.held.get((channel, name), (None,))[0])
        for (channel, name), handling in told.handling.items()
    )
    lines += _diff("delivery", have, want)
    groups: dict[object, Message] = {}
    for row in delivered:
        if row.id is not None:
            group = groups.setdefault(
                row.id,
                Message(row.channel_id, row.type, row.opened_at, row.group_kind, row.mention),
            )
            group.members.append(_name(row))
    sizes = {row.id: row.members for row in delivered}
    lines += [
        f"message of {len(group.members)} says {sizes[key]}"
        for key, group in groups.items()
        if sizes[key] != len(group.members)
    ]
    lines += _diff(
        "message",
        Counter(_content(one) for one in groups.values()),
        Counter(_content(one) for one in told.messages),
    )
    lines += [f"told {row.number} times: {tuple(row)}" for row in counted if row.number != 1]
    lines += [f"{undrawn} messages are not to be drawn"] if undrawn else []
    return Differences(
        lines,
        len(stored),
        len(groups),
        len(delivered),
        Counter(row.kind for row in stored),
        Counter(one.type for one in groups.values()),
        Counter(row.handling for row in delivered),
    )


def _columns(alert: Expected, last: int, teller: Teller) -> tuple[object, ...]:
    return (
        *alert.key,
        alert.fired_at,
        alert.resolved_at,
        alert.resolution,
        alert.occurrences,
        alert.is_unstable,
        alert.seen_at(last).severity,
        "ada" if name_of(alert) in teller.acknowledged else None,
        alert.opened_at,
    )


def _name(row: object) -> Name:
    return (row.kind, row.subject_type, row.subject_id, row.fired_at)  # type: ignore[attr-defined]


def _content(message: Message) -> tuple[object, ...]:
    return (
        message.channel,
        message.type,
        message.opened_at,
        message.kind,
        message.mention,
        tuple(sorted(message.members)),
    )


def _diff(
    what: str, have: Counter[tuple[object, ...]], want: Counter[tuple[object, ...]]
) -> list[str]:
    return [
        *_lines(f"{what} too many", have - want),
        *_lines(f"{what} missing", want - have),
    ]


def _lines(what: str, found: Iterable[tuple[object, ...]]) -> list[str]:
    return sorted(f"{what}: {' | '.join(str(part) for part in one)}" for one in found)
