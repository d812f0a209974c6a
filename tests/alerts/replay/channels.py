"""What channels want, and what people do with alerts, in a drawn week."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from tests.alerts.replay.facts import BEGIN, Event, What

ALL = (
    "failed", "killed", "completed", "attention", "max_turns", "budget", "cost", "stalled",
    "long_running", "waiting", "worker_lost", "no_worker", "kill_unconfirmed", "queue_backlog",
    "failure_rate", "cost_spike", "slack_trouble",
)  # fmt: skip
SUBSCRIPTIONS: Sequence[tuple[str, str, dict[str, Any]]] = (
    ("usual", "C-usual", {}),
    ("everything", "C-all", {"kinds": ALL}),
    ("later", "C-later", {"for_seconds": 900}),
    ("night", "C-night", {"quiet": "20:00-08:30", "zone": "Europe/Berlin", "kinds": ALL}),
    ("noon", "C-noon", {"quiet": "11:00-13:00", "zone": "America/New_York"}),
    ("fix", "C-fix", {"workflow": "fix"}),
    ("api", "C-repo", {"repository": "acme/api", "kinds": ALL}),
    ("mine", "C-mine", {"owner": "U2"}),
    ("urgent", "C-urgent", {"severity": 3, "mention": "<!subteam^S1>"}),
    ("cheap", "C-cost", {"kinds": ("cost", "budget", "cost_spike"), "least_cents": 150}),
    ("both-1", "C-both", {"workflow": "review"}),
    ("both-2", "C-both", {"severity": 2, "mention": "<!here>", "owner": "U1"}),
    ("muted", "C-muted", {"kinds": ALL}),
    ("short", "C-short", {"kinds": ALL}),
)

WISHES = {name: wishes for name, _, wishes in SUBSCRIPTIONS}


def channel_events(chance: random.Random, days: int, happened: Sequence[Event]) -> list[Event]:
    """Subscriptions at the beginning and later, mutes, and acts on alerts."""
    found: list[Event] = []
    for number, (name, _, _) in enumerate(SUBSCRIPTIONS):
        seconds = 30 + number if name != "short" else days * 86400 * 0.4
        found.append(_event(seconds, number, What.SUBSCRIBED, name))
    found.append(_event(days * 86400 * 0.6, 20, What.UNSUBSCRIBED, "short"))
    for day in range(days):
        seconds = day * 86400 + 3600 * chance.randint(3, 20)
        hours = chance.choice((1, 3))
        found.append(_event(seconds, 30 + day, What.MUTED, "muted", hours=hours))
        night = day * 86400 + 3600 * 5 + chance.randint(0, 3000)
        found.append(_event(night, 60 + day, What.MUTED, "night", hours=2))
    ends = [event for event in happened if event.what is What.ENDED and event.data["reasons"] == []]
    for number, event in enumerate(chance.sample(ends, min(len(ends), days * 12))):
        # Not a tick and no other event's time: see the microseconds of the generator.
        at = event.at.replace(microsecond=999_999) + timedelta(seconds=chance.choice((0, 40, 900)))
        what = What.ACKNOWLEDGED if number % 2 else What.SNOOZED
        kind = "failed" if number % 3 else "stalled"
        found.append(Event(at=at, what=what, run=event.run, data={"kind": kind, "minutes": 20}))
    silences = _silences(happened)
    for number, event in enumerate(chance.sample(silences, min(len(silences), days * 12))):
        at = event.at.replace(microsecond=999_998) + timedelta(seconds=chance.choice((310, 340)))
        what = What.ACKNOWLEDGED if number % 2 else What.SNOOZED
        found.append(Event(at=at, what=what, run=event.run, data={"kind": "stalled", "minutes": 9}))
    unique = {event.at: event for event in found}
    return list(unique.values())


def _event(seconds: float, number: int, what: What, name: str, **data: Any) -> Event:
    at = BEGIN + timedelta(seconds=int(seconds), microseconds=999_900 - number)
    return Event(at=at, what=what, name=name, data=data)


def _silences(happened: Sequence[Event]) -> list[Event]:
    """After what nothing is heard of a run for so long that it may be told."""
    last: dict[int, Event] = {}
    found: list[Event] = []
    for event in happened:
        if event.run is None:
            continue
        before = last.get(event.run)
        if before is not None and event.at - before.at > timedelta(seconds=310):
            found.append(before)
        last[event.run] = event
    return found
