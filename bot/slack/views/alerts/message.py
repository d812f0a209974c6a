"""One message about alerts, and its thread.

The message is edited through the life of its alerts.  Its thread has their history as one reply
that is edited too, and separate replies only for what must ring, since an edit notifies nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.slack import ids
from bot.slack.views import blocks
from bot.slack.views.alerts.buttons import alert_buttons
from bot.slack.views.alerts.lines import AlertLines, icon_of, worst_icon
from bot.slack.views.alerts.replies import replies
from bot.slack.views.message import Block, Message
from bot.slack.views.runs.links import NO_LINKS, ThreadLinks
from bot.words.alerts.titles import counted, group_title
from core.domain.alerts.channels.delivery import LISTS, QUOTA, GroupType
from core.domain.alerts.episode import Episode
from core.domain.alerts.kinds import AlertKind
from core.domain.alerts.message import AlertMessage

ALERT = "alert"
# With title, buttons and the small print it stays below `blocks.MESSAGE_LIMIT`.
_LINES_LIMIT = 6800
# The names of so many subjects are in a notification about several alerts.
_NAMED = 3


def alert_messages(
    message: AlertMessage, now: datetime, links: ThreadLinks = NO_LINKS
) -> Mapping[str, Message]:
    """Draw a message about alerts, with the replies to it, by slot.  Pure.

    Args:
        message: The alerts.
        now: The current time; durations are shown in steps of a minute or more.
        links: Makes the subjects links to the threads of runs.
    """
    lines = AlertLines(message=message, now=now, links=links)
    is_single = len(message.alerts) == 1 and message.group.type is GroupType.ALERTS
    head = _single(lines, message.alerts[0]) if is_single else _several(lines)
    return {ALERT: head, **replies(lines)}


def _single(lines: AlertLines, alert: Episode) -> Message:
    title, evidence = lines.title(alert), lines.evidence(alert)
    has_advice = alert.acknowledged_by is None and not alert.is_snoozed(lines.now)
    told = [title, evidence, lines.advice(alert) if has_advice else ""]
    drawn = [blocks.section("\n".join(line for line in told if line))]
    drawn += _small_print(lines, lines.context(alert))
    return _message(lines, lines.summary(alert), drawn)


def _several(lines: AlertLines) -> Message:
    message = lines.message
    number = len(message.alerts)
    title = f"{worst_icon(message.alerts)} *{group_title(message.group, number)}*"
    if message.group.type is GroupType.SUMMARY:
        listed = _counts_by_kind(message.alerts)
        listed.append(
            f"A channel gets at most {QUOTA} messages about alerts an hour; these are counted."
        )
        summary = f"{title}: {', '.join(_kinds(message.alerts))}"
    else:
        listed = _rows(lines)
        named = ", ".join(lines.subject_name(alert) for alert in message.alerts[:_NAMED])
        more = f" +{number - _NAMED} more" if number > _NAMED else ""
        summary = f"{title}: {named}{more}"
    drawn = [*blocks.paragraphs([title, *listed]), *_small_print(lines, _open_words(message))]
    return _message(lines, summary, drawn)


def _message(lines: AlertLines, summary: str, drawn: Sequence[Block]) -> Message:
    buttons = alert_buttons(lines.message, lines.now)
    actions = [blocks.actions(ids.ALERT_ACTIONS, buttons)] if buttons else []
    mention = f"{lines.mention} " if lines.mention else ""
    return Message(text=f"{mention}{summary}", blocks=(*drawn, *actions))


def _small_print(lines: AlertLines, words: str) -> list[Block]:
    return [blocks.context(" · ".join(part for part in (words, lines.mention) if part))]


def _open_words(message: AlertMessage) -> str:
    """How many of several alerts are open: `2 of 4 open`; for notices nothing can be."""
    still_open = sum(alert.is_open for alert in message.alerts)
    if still_open:
        return f"{still_open} of {len(message.alerts)} open"
    return "none of them is open any more" if _could_be_open(message.alerts) else "nothing to do"


def _could_be_open(alerts: Sequence[Episode]) -> bool:
    notices = {AlertKind.COMPLETED, AlertKind.KILLED}
    return any(alert.kind not in notices for alert in alerts)


def _rows(lines: AlertLines) -> list[str]:
    """A line for each alert, with its numbers if there is room for all of them.

    If not even the lines without numbers fit, ended alerts are left out first.
    """
    message = lines.message
    has_kind = message.group.type in LISTS

    def rows_of(*, has_evidence: bool) -> list[str]:
        return [
            lines.row(alert, has_kind=has_kind, has_evidence=has_evidence)
            for alert in message.alerts
        ]

    rows = rows_of(has_evidence=True)
    if sum(len(row) + 1 for row in rows) <= _LINES_LIMIT:
        return rows
    rows = rows_of(has_evidence=False)
    ordered = sorted(zip(message.alerts, rows, strict=True), key=lambda pair: not pair[0].is_open)
    return blocks.fit_lines([row for _, row in ordered], _LINES_LIMIT)


def _counts_by_kind(alerts: Sequence[Episode]) -> list[str]:
    drawn = []
    for kind, number in _by_kind(alerts):
        members = [alert for alert in alerts if alert.kind is kind]
        still_open = sum(alert.is_open for alert in members)
        is_notice = not _could_be_open(members)
        state = "" if is_notice else f" · {still_open} open" if still_open else " · none open"
        icon = icon_of(members[0]) if number == 1 else worst_icon(members)
        drawn.append(f"{icon} {counted(kind, number)}{state}")
    return drawn


def _kinds(alerts: Sequence[Episode]) -> list[str]:
    return [counted(kind, number) for kind, number in _by_kind(alerts)]


def _by_kind(alerts: Sequence[Episode]) -> list[tuple[AlertKind, int]]:
    """The kinds with the number of their alerts, the most frequent first."""
    numbers = Counter(alert.kind for alert in alerts)
    return sorted(numbers.items(), key=lambda pair: (-pair[1], pair[0]))
