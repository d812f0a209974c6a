"""Alerts in mrkdwn: their titles, their places in lists, and what stands below them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.slack import text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views.runs.links import ThreadLinks
from bot.words.alerts.evidence import evidence_sentence
from bot.words.alerts.figures import moment
from bot.words.alerts.remedies import remedy
from bot.words.alerts.states import began_at, ended_icon, state_words
from bot.words.alerts.titles import SEVERITY_ICONS, alert_title, subject_words
from bot.words.runs.figures import short_source
from core.domain.alerts.episode import Episode, Resolution
from core.domain.alerts.kinds import AlertKind, Severity, SubjectType
from core.domain.alerts.message import AlertMessage
from core.domain.runs.snapshot import RunSnapshot

_NAME_LIMIT = 40
_MENTION = re.compile(r"<!subteam\^S[A-Z0-9]{2,20}>|<@[UW][A-Z0-9]{2,20}>")
# What a notice is marked with: it has nothing to be open.
_NOTICE_ICONS = {AlertKind.COMPLETED: "✅", AlertKind.KILLED: "🛑"}


@dataclass(frozen=True, kw_only=True)
class AlertLines:
    """The alerts of one message in mrkdwn; all texts are escaped."""

    message: AlertMessage
    now: datetime
    links: ThreadLinks

    def run_of(self, alert: Episode) -> RunSnapshot | None:
        """The run that an alert is about, if it is about one."""
        return None if alert.run_id is None else self.message.runs.get(alert.run_id)

    def subject(self, alert: Episode) -> str:
        """What an alert is about, linked to the thread of the run."""
        run = self.run_of(alert)
        card = None if run is None else run.card
        return self.links.to_thread(card, self.subject_name(alert))

    def subject_name(self, alert: Episode) -> str:
        """What an alert is about, without a link, for notifications."""
        return subject_words(alert, self.run_of(alert), MRKDWN)

    def summary(self, alert: Episode) -> str:
        """An alert for a notification, with its numbers, and how it ended."""
        kind = text.escape(alert_title(alert))
        state = "" if alert.is_open else self.state(alert)
        name = f" · {self.subject_name(alert)}" if _has_name(alert) else ""
        lead = f"{icon_of(alert)} {kind}{name}: {self.evidence(alert)}"
        return f"{lead} {state[:1].upper()}{state[1:]}" if state else lead

    def what(self, alert: Episode) -> str:
        """What an alert tells, and what it is about."""
        kind = text.escape(alert_title(alert))
        return f"{kind} · {self.subject(alert)}" if _has_name(alert) else kind

    def title(self, alert: Episode) -> str:
        """The mark of its severity, or of its end; what it tells; and what it is about."""
        kind = f"{icon_of(alert)} *{text.escape(alert_title(alert))}*"
        return f"{kind} · {self.subject(alert)}" if _has_name(alert) else kind

    def evidence(self, alert: Episode) -> str:
        """What is the matter, with its numbers."""
        return evidence_sentence(alert, self.now, MRKDWN)

    def state(self, alert: Episode) -> str:
        """The state in a few words; empty for a notice."""
        return state_words(alert, self.now, MRKDWN)

    def row(self, alert: Episode, *, has_kind: bool, has_evidence: bool) -> str:
        """An alert in a list.

        Args:
            alert: The alert.
            has_kind: Whether to say what it tells: not if the title above says it of all.
            has_evidence: Whether to say its numbers.
        """
        facts = [
            text.escape(alert_title(alert)) if has_kind else "",
            self.subject(alert) if _has_name(alert) or not has_kind else "",
            f"at {moment(alert.fired_at, self.now, MRKDWN)}" if has_kind and alert.fired_at else "",
            self.evidence(alert).removesuffix(".") if has_evidence else "",
            self.state(alert),
        ]
        return f"{icon_of(alert)} {' · '.join(fact for fact in facts if fact)}"

    def context(self, alert: Episode) -> str:
        """Where it belongs, since when it lasts, and its state."""
        scope, run = alert.scope, self.run_of(alert)
        is_run = alert.subject.type is SubjectType.RUN
        facts = [
            text.one_line(scope.workflow or "", _NAME_LIMIT) if is_run else "",
            "" if run is None else short_source(run.run, MRKDWN),
            # No mention: it would call the owner to the channel.
            text.one_line(scope.owner_name or "", _NAME_LIMIT),
            f"since {moment(began_at(alert), self.now, MRKDWN)}",
            self.state(alert),
        ]
        return " · ".join(fact for fact in facts if fact)

    def advice(self, alert: Episode) -> str:
        """What to do about an open alert that nobody takes care of yet; may be empty."""
        words = remedy(alert, MRKDWN) if alert.is_open else ""
        return f"*Next:* {words}" if words else ""

    @property
    def mention(self) -> str:
        """Who is to be called, in Slack's form; empty for nobody."""
        return mention_of(self.message.group.mention)


def mention_of(stored: str | None) -> str:
    """A stored mention, if it calls a user group or a person, and nothing else; else nobody."""
    return stored if stored is not None and _MENTION.fullmatch(stored) else ""


def icon_of(alert: Episode) -> str:
    """The mark in front of an alert: its severity while it is open, then how it ended."""
    if alert.is_open:
        return SEVERITY_ICONS[alert.severity]
    if alert.resolution is Resolution.NOTICE:
        return _NOTICE_ICONS.get(alert.kind, SEVERITY_ICONS[alert.severity])
    return ended_icon(alert)


def _has_name(alert: Episode) -> bool:
    """Whether there is more than one of what it is about."""
    return alert.subject.type not in {SubjectType.FLEET, SubjectType.SLACK}


def worst_icon(alerts: Sequence[Episode]) -> str:
    """The mark in front of several alerts: the highest severity of the open ones."""
    severities: list[Severity] = [alert.severity for alert in alerts if alert.is_open]
    if severities:
        return SEVERITY_ICONS[max(severities)]
    icons = {icon_of(alert) for alert in alerts}
    return icons.pop() if len(icons) == 1 else "✅"
