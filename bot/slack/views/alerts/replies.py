"""The replies below a message about alerts: its history, what must ring, and its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.alerts.lines import AlertLines, worst_icon
from bot.slack.views.message import Message
from bot.words.alerts.history import EVENT_ICONS, event_line, severity_of
from bot.words.alerts.states import ended_words
from bot.words.alerts.titles import SEVERITY_ICONS, SEVERITY_WORDS, group_title
from core.domain.alerts.channels.delivery import GroupType
from core.domain.alerts.episode import Episode, Resolution
from core.domain.alerts.history import AlertEvent, AlertEventRecord

HISTORY = "history"
ENDED = "ended"
_HISTORY_LIMIT = 6000
# Alerts that join a message within the same step share a reply.  A longer step would make one wait
# for an update of the reply, of which Slack allows few.
_JOIN_STEP = timedelta(seconds=10)
# Those that join within the same minute call people once.
_STEPS_OF_CALL = 6
_SUBJECTS_LIMIT = 2500


def replies(lines: AlertLines) -> dict[str, Message]:
    """The replies by slot, in the order of posting.

    A reply that rings is wanted only while its alert is open: nobody is called to what is over.
    One that was posted stays as it was: nothing in it changes later.
    """
    if lines.message.group.type is GroupType.SUMMARY:
        return {}
    drawn: dict[str, Message] = {}
    drawn.update(_history(lines))
    drawn.update(_joined(lines))
    for alert in lines.message.alerts:
        if alert.is_open:
            drawn.update(_raised(lines, alert))
            drawn.update(_woken(lines, alert))
    drawn.update(_ended(lines))
    return drawn


def _history(lines: AlertLines) -> Mapping[str, Message]:
    """What happened after the alerts were told, oldest first; the oldest lines are clipped."""
    told = [
        (event, alert)
        for alert in lines.message.alerts
        for event in _later_events(lines, alert)
        if not _is_notice(alert)
    ]
    if not told:
        return {}
    told.sort(key=lambda pair: (pair[0].at, pair[0].id))
    is_several = len(lines.message.alerts) > 1
    drawn = [
        event_line(event, alert, MRKDWN, about=lines.subject(alert) if is_several else "")
        for event, alert in told
    ]
    shown = _newest(drawn)
    return {HISTORY: Message(text=shown[-1], blocks=tuple(blocks.paragraphs(shown)))}


def _newest(drawn: list[str]) -> list[str]:
    """The newest lines that fit together, below the number of those left out."""
    kept: list[str] = []
    taken = 0
    for line in reversed(drawn):
        taken += len(line) + 1
        if taken > _HISTORY_LIMIT:
            break
        kept.append(line)
    left = len(drawn) - len(kept)
    return [*([f"_{left} earlier_"] if left else []), *reversed(kept)]


def _joined(lines: AlertLines) -> Mapping[str, Message]:
    """The alerts that came into the message after it was posted, those of a step in one reply."""
    opened_at = lines.message.group.opened_at
    by_step: dict[int, list[Episode]] = defaultdict(list)
    for alert in lines.message.alerts:
        told_at = lines.message.told_at.get(alert.id, opened_at)
        if told_at > opened_at:
            by_step[(told_at - opened_at) // _JOIN_STEP].append(alert)
    drawn = {}
    called: set[int] = set()
    for step, alerts in sorted(by_step.items()):
        calls = step // _STEPS_OF_CALL not in called
        called.add(step // _STEPS_OF_CALL)
        if not any(alert.is_open for alert in alerts):
            continue
        title = group_title(lines.message.group, len(alerts)).replace(" ", " more ", 1)
        icon = SEVERITY_ICONS[max(alert.severity for alert in alerts)]
        subjects = blocks.fit_lines([lines.subject(alert) for alert in alerts], _SUBJECTS_LIMIT)
        drawn[f"joined:{step}"] = _ringing(
            lines, f"{icon} *{title}*", [f"• {subject}" for subject in subjects], calls=calls
        )
    return drawn


def _raised(lines: AlertLines, alert: Episode) -> Iterator[tuple[str, Message]]:
    for event in _later_events(lines, alert):
        after = severity_of(event.data.get("to"))
        if event.what is AlertEvent.RAISED and after is not None:
            title = f"{SEVERITY_ICONS[after]} *Now {SEVERITY_WORDS[after]}*"
            yield f"raised:{event.id}", _ringing(lines, title, [lines.what(alert)])


def _woken(lines: AlertLines, alert: Episode) -> Iterator[tuple[str, Message]]:
    """The ends of snoozes during which it did not recover."""
    is_recovering = False
    for event in lines.message.events.get(alert.id, ()):
        if event.what in {AlertEvent.RECOVERING, AlertEvent.RETURNED}:
            is_recovering = event.what is AlertEvent.RECOVERING
        is_wanted = event.what is AlertEvent.SNOOZE_ENDED and not is_recovering
        if is_wanted and event.at > _told_at(lines, alert):
            title = f"{EVENT_ICONS[event.what]} *The snooze has ended, and it still lasts*"
            yield f"woken:{event.id}", _ringing(lines, title, [lines.what(alert)])


def _ringing(lines: AlertLines, title: str, below: list[str], *, calls: bool = True) -> Message:
    """A reply that calls whom the subscription names, unless they were called just before."""
    called = f"{lines.mention} " if lines.mention and calls else ""
    return Message(
        text=f"{called}{title}: {below[0].removeprefix('• ')}",
        blocks=tuple(blocks.paragraphs([f"{called}{title}", *below])),
    )


def _ended(lines: AlertLines) -> Mapping[str, Message]:
    """That all alerts have ended, shown in the channel too; only where that is wanted."""
    message = lines.message
    alerts = [alert for alert in message.alerts if not _is_notice(alert)]
    if not message.broadcasts or message.is_open or not alerts:
        return {}
    icon = worst_icon(alerts)
    if len(message.alerts) == 1:
        words = ended_words(alerts[0])
        line = f"{icon} *{words[:1].upper()}{words[1:]}*: {lines.what(alerts[0])}"
    else:
        last = max((alert.resolved_at for alert in alerts if alert.resolved_at), default=None)
        at = f" at {MRKDWN.clock_time(last)}" if last is not None else ""
        title = group_title(message.group, len(message.alerts))
        line = f"{icon} *All over{at}*: {title}"
    return {ENDED: Message(text=line, blocks=(blocks.section(line),), is_broadcast=True)}


def _later_events(lines: AlertLines, alert: Episode) -> list[AlertEventRecord]:
    """What happened to an alert after this message told it."""
    told_at = _told_at(lines, alert)
    return [
        event
        for event in lines.message.events.get(alert.id, ())
        if event.what is not AlertEvent.FIRED and event.at >= told_at
    ]


def _told_at(lines: AlertLines, alert: Episode) -> datetime:
    group = lines.message.group
    return max(group.opened_at, lines.message.told_at.get(alert.id, group.opened_at))


def _is_notice(alert: Episode) -> bool:
    return alert.resolution is Resolution.NOTICE
