"""The alerts that follow from what is seen: each found on its own, by its key, over the whole week.

An alert is an episode of a kind and a subject: it is pending for a time, fires, recovers, and is
resolved.  Nothing of this is taken from the product.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.alerts.replay.sampling import Key, Look, Seen

NOTHING = timedelta(0)
PENDING = {"no_worker": timedelta(minutes=1), "slack_trouble": timedelta(minutes=2)}
KEEP = {
    "worker_lost": timedelta(seconds=30),
    "no_worker": timedelta(seconds=30),
    "queue_backlog": timedelta(minutes=1),
    "slack_trouble": timedelta(minutes=1),
}
UNSTABLE_KEEP = timedelta(minutes=30)
HOUR, DAY = timedelta(hours=1), timedelta(hours=24)
NOTICES = {"completed", "killed"}
# A run that is being killed has not ended: whether its processes are gone is not known.
OUTLIVES_ITS_RUN = {"kill_unconfirmed"}


@dataclass
class Expected:
    """One alert that fired.

    Attributes:
        at_tick: What was seen of it last, by the numbers of the ticks at which it was seen.
        is_event: Whether it happened once: a state becomes that when a budget ends its run.
    """

    key: Key
    opened_at: datetime
    fired_at: datetime
    first: int
    at_tick: dict[int, Seen] = field(default_factory=dict)
    resolved_at: datetime | None = None
    resolution: str | None = None
    occurrences: int = 1
    is_unstable: bool = False
    is_event: bool = False
    event_from: int | None = None

    def seen_at(self, number: int) -> Seen:
        """What was seen of it last at a tick."""
        return self.at_tick[max(tick for tick in self.at_tick if tick <= number)]

    def is_open_after(self, tick: datetime) -> bool:
        """Whether it is open when a tick is over."""
        return self.resolved_at is None or self.resolved_at > tick

    def happened_once_at(self, number: int) -> bool:
        """Whether it is no state at a tick."""
        return self.is_event or (self.event_from is not None and number >= self.event_from)


def expected_alerts(looks: Sequence[Look]) -> list[Expected]:
    """All alerts that fire, in the order of their times."""
    states: dict[Key, dict[int, Seen]] = defaultdict(dict)
    happened: dict[Key, dict[int, Seen]] = defaultdict(dict)
    for number, look in enumerate(looks):
        for key, seen in look.states.items():
            states[key][number] = seen
        for key, seen in look.happened.items():
            happened[key][number] = seen
    found: list[Expected] = []
    for key, lasted in states.items():
        ends = happened.pop(key, {}) if key[0] == "budget" else {}
        found += _states(key, lasted, ends, looks)
    for key, ended in happened.items():
        found += _events(key, ended, looks)
    return sorted(found, key=lambda one: (one.fired_at, one.key))


def _events(key: Key, seen: Mapping[int, Seen], looks: Sequence[Look]) -> Iterator[Expected]:
    last: Expected | None = None
    for number, what in sorted(seen.items()):
        now = looks[number].at
        if last is not None and (last.resolved_at is None or now <= last.resolved_at):
            last.at_tick[number] = what
            continue
        opened = min(what.since, now)
        last = Expected(key, opened, now, number, {number: what}, is_event=True)
        if key[0] in NOTICES:
            last.resolved_at, last.resolution = now, "notice"
        else:
            _until_the_end_of_an_event(last, number, looks)
        yield last


def _until_the_end_of_an_event(alert: Expected, begin: int, looks: Sequence[Look]) -> None:
    seen = alert.seen_at(begin)
    run = seen.run
    # A budget that ends its run was warned of before.
    happened_at = min(seen.since, looks[begin].at)
    for look in looks[begin:]:
        if run is not None and run in look.continued:
            alert.resolved_at, alert.resolution = look.at, "continued"
            return
        if look.at - happened_at >= DAY:
            alert.resolved_at, alert.resolution = look.at, "closed"
            return


def _states(
    key: Key, seen: Mapping[int, Seen], ends: Mapping[int, Seen], looks: Sequence[Look]
) -> Iterator[Expected]:
    fired: list[datetime] = []
    number = -1
    everything = {**seen, **ends}
    while True:
        later = [tick for tick in everything if tick > number and key not in looks[tick].explained]
        if not later:
            return
        number = min(later)
        if number in ends:
            yield from _events(key, {number: ends[number]}, looks)
            return
        alert, number = _episode(key, seen, ends, looks, number, fired)
        if alert is not None:
            fired.append(alert.fired_at)
            yield alert


def _episode(  # noqa: PLR0917 - one value of each kind
    key: Key,
    seen: Mapping[int, Seen],
    ends: Mapping[int, Seen],
    looks: Sequence[Look],
    begin: int,
    fired: Sequence[datetime],
) -> tuple[Expected | None, int]:
    """One episode, and the number of the tick at which it is over; `None` if it never fired."""
    kind, of_what, subject = key
    first = looks[begin].at
    alert = Expected(key, min(seen[begin].since, first), first, begin)
    alert.is_unstable = sum(first - one <= HOUR for one in fired) >= 2
    keep = UNSTABLE_KEEP if alert.is_unstable else KEEP.get(kind, NOTHING)
    has_fired, quiet_since = False, None
    for number in range(begin, len(looks)):
        look = looks[number]
        if kind == "failure_rate" and subject not in look.looked_at:
            continue
        if number in ends and has_fired:
            alert.at_tick[number], alert.event_from = ends[number], number
            _until_the_end_of_an_event(alert, number, looks)
            return alert, len(looks)
        if number in seen:
            alert.at_tick[number] = seen[number]
            if quiet_since is not None:
                quiet_since = None
                alert.occurrences += 1
            is_due = look.at - alert.opened_at >= PENDING.get(kind, NOTHING)
            if not has_fired and is_due and key not in look.explained:
                has_fired, alert.fired_at = True, look.at
                alert.first = number
            continue
        if not has_fired:
            return None, number
        if of_what == "run" and kind not in OUTLIVES_ITS_RUN and subject not in look.live:
            alert.resolved_at, alert.resolution = look.at, "run_ended"
            return alert, number
        quiet_since = quiet_since or look.at
        if look.at - quiet_since >= keep:
            alert.resolved_at, alert.resolution = look.at, "recovered"
            return alert, number
    return (alert if has_fired else None), len(looks)
