"""What channels are told of the expected alerts, in the order of the ticks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.alerts.replay.channels import SUBSCRIPTIONS, WISHES
from tests.alerts.replay.expected_alerts import Expected
from tests.alerts.replay.facts import Event, Week, What, run_id_of
from tests.alerts.replay.sampling import CRITICAL, Look, Seen
from tests.alerts.replay.wanting import quiet_until, wants

GROUP, HOUR = timedelta(minutes=5), timedelta(hours=1)
QUOTA, MOST_MEMBERS = 20, 50
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
                self._act(acts.pop(0), number - 1, present)
            present += starting[number]
            self._release(number, look.at, present)
            self._tell(number, look.at, present)
            present = [alert for alert in present if alert.is_open_after(look.at)]
        for event in acts:
            self._act(event, len(self.looks) - 1, present)
        return self.told

    def _act(self, event: Event, number: int, present: Sequence[Expected]) -> None:
        if event.what is What.SUBSCRIBED:
            self.subscribed[event.name] = event.at
            self._tell_earlier(event.name, number, event.at, present)
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
                if wants(WISHES[subscription], alert, seen, now, number):
                    by_channel[CHANNELS[subscription]].append(subscription)
            wishes += [
                (order, alert, channel, wanted)
                for channel, wanted in by_channel.items()
                if self.told.handling.get((channel, name), "muted") == "muted"
            ]
        wishes.sort(key=lambda wish: wish[0])
        were_muted = [one for one in wishes if (one[2], name_of(one[1])) in self.told.handling]
        self._tell_after_mute(number, now, were_muted)
        for wish in wishes:
            if wish not in were_muted:
                _, alert, channel, wanted = wish
                self._tell_one(alert, alert.seen_at(number), channel, wanted, now)

    def _tell_earlier(
        self, subscription: str, number: int, now: datetime, present: Sequence[Expected]
    ) -> None:
        """What is open when a channel is subscribed comes in one message that calls nobody."""
        channel = CHANNELS[subscription]
        names = []
        for alert in present:
            name, seen = name_of(alert), alert.seen_at(number)
            is_snoozed = now < self.snoozed_until.get(name, now)
            if is_snoozed or (channel, name) in self.told.handling:
                continue
            if wants(WISHES[subscription], alert, seen, now, number) and self._is_told_now(
                name, seen, channel, [subscription], now
            ):
                names.append(name)
        if names:
            self.told.messages.append(Message(channel, "earlier", now, None, None, names))

    def _tell_after_mute(
        self, number: int, now: datetime, wishes: Sequence[tuple[Any, Expected, str, list[str]]]
    ) -> None:
        """What fired during a mute and is open at its end comes in one message of the channel."""
        messages: dict[str, Message] = {}
        for _, alert, channel, wanted in wishes:
            name, seen = name_of(alert), alert.seen_at(number)
            if not alert.is_open_after(now):
                continue
            if chosen := self._is_told_now(name, seen, channel, wanted, now):
                message = messages.setdefault(channel, Message(channel, "muted", now, None, None))
                message.members.append(name)
                message.mention = message.mention or WISHES[chosen].get("mention")
        self.told.messages += messages.values()

    def _is_told_now(
        self, name: Name, seen: Seen, channel: str, wanted: Sequence[str], now: datetime
    ) -> str | None:
        """The subscription that tells an alert now; `None` if it is muted or held."""
        awake = [one for one in wanted if not self._is_muted(one, now)]
        if not awake:
            self.told.handling[channel, name] = "muted"
            return None
        is_critical = seen.severity == CRITICAL
        quiet = {
            one: until
            for one in awake
            if not is_critical and (until := quiet_until(WISHES[one], now)) is not None
        }
        loud = [one for one in awake if one not in quiet]
        if not loud:
            subscription = min(quiet, key=lambda one: quiet[one])
            self.told.held[channel, name] = quiet[subscription], subscription
            self.told.handling[channel, name] = "held"
            return None
        self.told.handling[channel, name] = "shown"
        mentioning = [one for one in loud if WISHES[one].get("mention")] or loud
        return min(mentioning, key=lambda one: self.subscribed[one])

    def _tell_one(
        self, alert: Expected, seen: Seen, channel: str, wanted: list[str], now: datetime
    ) -> None:
        name, is_critical = name_of(alert), seen.severity == CRITICAL
        chosen = self._is_told_now(name, seen, channel, wanted, now)
        if chosen is None:
            return
        message = self._message(alert.key[0], channel, WISHES[chosen].get("mention"), now)
        handling = "shown"
        if message is None:
            recent = list(self._recent(channel, now))
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
