"""What channels are told of the expected alerts, in the order of the ticks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.alerts.replay.channels import ALL, SUBSCRIPTIONS, WISHES
from tests.alerts.replay.expected_alerts import Expected
from tests.alerts.replay.facts import Event, Week, What, run_id_of
from tests.alerts.replay.sampling import CRITICAL, Look, Seen

GROUP, HOUR = timedelta(minutes=5), timedelta(hours=1)
QUOTA, MOST_MEMBERS = 20, 50
USUAL = set(ALL) - {"completed", "killed", "long_running"}
CHANNELS = {name: channel for name, channel, _ in SUBSCRIPTIONS}

# An alert: kind, type and id of its subject, and when it fired.
Name = tuple[str, str, str, datetime]


@dataclass
class Message:
    """One message of a channel."""

    channel: str
    type: str
    opened_at: datetime
    kind: str | None
    mention: str | None
    members: list[Name] = field(default_factory=list)


@dataclass
class Told:
    """What was told: the messages, and what became of each alert in each channel."""

    messages: list[Message] = field(default_factory=list)
    handling: dict[tuple[str, Name], str] = field(default_factory=dict)
    held: dict[tuple[str, Name], tuple[datetime, str]] = field(default_factory=dict)


class Teller:
    """Goes through the ticks once more, with the alerts that are known by now."""

    def __init__(self, week: Week, looks: Sequence[Look], alerts: Sequence[Expected]) -> None:
        self.week, self.looks, self.alerts = week, looks, alerts
        self.told = Told()
        self.subscribed: dict[str, datetime] = {}
        self.muted_until: dict[str, datetime] = {}
        self.snoozed_until: dict[Name, datetime] = {}
        self.acknowledged: dict[Name, datetime] = {}

    def tell(self) -> Told:
        """Tell everything."""
        acts = [event for event in self.week.events if event.what in _ACTS]
        starting: dict[int, list[Expected]] = defaultdict(list)
        for alert in self.alerts:
            starting[alert.first].append(alert)
        present: list[Expected] = []
        for number, look in enumerate(self.looks):
            while acts and acts[0].at < look.at:
                self._act(acts.pop(0), present)
            present += starting[number]
            self._release(number, look.at, present)
            self._tell(number, look.at, present)
            present = [alert for alert in present if alert.is_open_after(look.at)]
        for event in acts:
            self._act(event, present)
        return self.told

    def _act(self, event: Event, present: Sequence[Expected]) -> None:
        if event.what is What.SUBSCRIBED:
            self.subscribed[event.name] = event.at
        elif event.what is What.UNSUBSCRIBED:
            del self.subscribed[event.name]
        elif event.what is What.MUTED:
            self.muted_until[event.name] = event.at + timedelta(hours=event.data["hours"])
        elif event.run is not None:
            for alert in present:
                if alert.key[0] == event.data["kind"] and alert.key[2] == run_id_of(event.run):
                    if event.what is What.SNOOZED:
                        until = event.at + timedelta(minutes=event.data["minutes"])
                        self.snoozed_until[name_of(alert)] = until
                    else:
                        self.acknowledged[name_of(alert)] = event.at

    def _release(self, number: int, now: datetime, present: Sequence[Expected]) -> None:
        urgent = {name_of(alert) for alert in present if alert.seen_at(number).severity == CRITICAL}
        due: dict[str, list[tuple[Name, str]]] = defaultdict(list)
        for (channel, name), (until, subscription) in list(self.told.held.items()):
            if until <= now or name in urgent:
                due[channel].append((name, subscription))
                del self.told.held[channel, name]
        for channel, members in due.items():
            listening = [
                one
                for one in self.subscribed
                if CHANNELS[one] == channel and not self._is_muted(one, now)
            ]
            for name, _ in members:
                self.told.handling[channel, name] = "shown" if listening else "muted"
            if listening:
                mentions = [WISHES[one].get("mention") for _, one in members]
                mention = next((one for one in mentions if one), None)
                names = [name for name, _ in members]
                message = Message(channel, "quiet", now, None, mention, names)
                self.told.messages.append(message)

    def _is_muted(self, subscription: str, now: datetime) -> bool:
        return subscription in self.muted_until and now < self.muted_until[subscription]

    def _tell(self, number: int, now: datetime, present: Sequence[Expected]) -> None:
        wishes: list[tuple[Any, Expected, str, list[str]]] = []
        for alert in present:
            name, seen = name_of(alert), alert.seen_at(number)
            is_news = alert.is_open_after(now) or alert.fired_at == now
            if not is_news or now < self.snoozed_until.get(name, now):
                continue
            order = -seen.severity, alert.opened_at, alert.key[0], alert.key[2]
            by_channel: dict[str, list[str]] = defaultdict(list)
            for subscription in self.subscribed:
                if _wants(WISHES[subscription], alert, seen, now, number):
                    by_channel[CHANNELS[subscription]].append(subscription)
            wishes += [
                (order, alert, channel, wanted)
                for channel, wanted in by_channel.items()
                if (channel, name) not in self.told.handling
            ]
        for _, alert, channel, wanted in sorted(wishes, key=lambda wish: wish[0]):
            self._tell_one(alert, alert.seen_at(number), channel, wanted, now)

    def _tell_one(
        self, alert: Expected, seen: Seen, channel: str, wanted: list[str], now: datetime
    ) -> None:
        name = name_of(alert)
        awake = [one for one in wanted if not self._is_muted(one, now)]
        if not awake:
            self.told.handling[channel, name] = "muted"
            return
        is_critical = seen.severity == CRITICAL
        quiet = {
            one: until
            for one in awake
            if not is_critical and (until := _quiet_until(WISHES[one], now)) is not None
        }
        loud = [one for one in awake if one not in quiet]
        if not loud:
            subscription = min(quiet, key=lambda one: quiet[one])
            self.told.held[channel, name] = quiet[subscription], subscription
            self.told.handling[channel, name] = "held"
            return
        mentioning = [one for one in loud if WISHES[one].get("mention")] or loud
        chosen = min(mentioning, key=lambda one: self.subscribed[one])
        message = self._message(alert.key[0], channel, WISHES[chosen].get("mention"), now)
        handling = "shown"
        if message is None:
            recent = [one for one in self._recent(channel, now) if one.type != "quiet"]
            is_full = sum(one.type == "alerts" for one in recent) >= QUOTA
            if is_full and not is_critical:
                handling = "summed"
                message = next((one for one in recent if one.type == "summary"), None)
        if message is None:
            is_summary = handling == "summed"
            message = Message(
                channel,
                "summary" if is_summary else "alerts",
                now,
                None if is_summary else alert.key[0],
                None if is_summary else WISHES[chosen].get("mention"),
            )
            self.told.messages.append(message)
        message.members.append(name)
        self.told.handling[channel, name] = handling

    def _recent(self, channel: str, now: datetime) -> Iterator[Message]:
        for message in reversed(self.told.messages):
            if message.opened_at <= now - HOUR:
                return
            if message.channel == channel:
                yield message

    def _message(
        self, kind: str, channel: str, mention: str | None, now: datetime
    ) -> Message | None:
        for message in self._recent(channel, now):
            if (
                message.type == "alerts"
                and message.kind == kind
                and now - message.opened_at < GROUP
                and len(message.members) < MOST_MEMBERS
                and mention in {None, message.mention}
            ):
                return message
        return None


_ACTS = {
    What.SUBSCRIBED,
    What.UNSUBSCRIBED,
    What.MUTED,
    What.ACKNOWLEDGED,
    What.SNOOZED,
}


def name_of(alert: Expected) -> Name:
    """The name of an alert."""
    return (*alert.key, alert.fired_at)


def _wants(
    wishes: Mapping[str, Any], alert: Expected, seen: Seen, now: datetime, number: int
) -> bool:
    kind, of_what, _ = alert.key
    if kind not in wishes.get("kinds", USUAL) or seen.severity < wishes.get("severity", 1):
        return False
    workflow = wishes.get("workflow")
    if workflow is not None and seen.workflow is not None and seen.workflow != workflow:
        return False
    if of_what == "run" and not _is_about(wishes, kind, seen):
        return False
    if "for_seconds" not in wishes or alert.happened_once_at(number):
        return True
    lasted = now - alert.opened_at >= timedelta(seconds=wishes["for_seconds"])
    return lasted and alert.is_open_after(now)


def _is_about(wishes: Mapping[str, Any], kind: str, seen: Seen) -> bool:
    repository = wishes.get("repository")
    if repository is not None and repository not in (seen.repository or ""):
        return False
    if "owner" in wishes and seen.owner != wishes["owner"]:
        return False
    least = wishes.get("least_cents", 1000 if kind == "cost" else 0)
    return bool(seen.cents >= least)


def _quiet_until(wishes: Mapping[str, Any], now: datetime) -> datetime | None:
    """When it is no longer quiet: the clock on the wall is asked for each minute."""
    if "quiet" not in wishes:
        return None
    start, end = wishes["quiet"].split("-")
    zone = ZoneInfo(wishes["zone"])

    def is_quiet(moment: datetime) -> bool:
        wall = moment.astimezone(zone).strftime("%H:%M")
        return start <= wall < end if start < end else not end <= wall < start

    if not is_quiet(now):
        return None
    moment = now.replace(second=0, microsecond=0)
    while is_quiet(moment):
        moment += timedelta(minutes=1)
    return moment
