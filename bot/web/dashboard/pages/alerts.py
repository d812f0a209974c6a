"""The pages of alerts: open ones first, their history, and one with what happened to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import urlencode

from bot.web.api.alerts.alert_routes import AlertPath
from bot.web.api.alerts.answers import SEVERITIES, AlertAnswer, SeverityName, alert_answer
from bot.web.api.table import ApiServices
from bot.web.api.values import Cursor, cursor_of
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Section
from bot.web.route import LenientParameters, NoParameters
from bot.words.alerts.history import event_words
from bot.words.alerts.remedies import remedy
from bot.words.alerts.states import state_words
from bot.words.alerts.titles import KIND_WORDS, alert_title, subject_words
from bot.words.markup import PLAIN
from core.domain.alerts.episode import Episode
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.feed import ChangeKind

_PAGE_SIZE = 50
_MAX_OPEN = 100
# Among equally severe ones these come first: something is broken, or nobody knows.
_FAILURES = frozenset(
    {
        AlertKind.FAILED,
        AlertKind.KILL_UNCONFIRMED,
        AlertKind.WORKER_LOST,
        AlertKind.NO_WORKER,
        AlertKind.STALLED,
        AlertKind.FAILURE_RATE,
        AlertKind.SLACK_TROUBLE,
    }
)
# The tone of each severity, which names its icon, too.
SEVERITY_TONES: Mapping[Severity, str] = MappingProxyType(
    {Severity.CRITICAL: "failed", Severity.WARNING: "attention", Severity.INFO: "queued"}
)


@dataclass(frozen=True)
class AlertRow:
    """An alert in a list.

    Attributes:
        shown: As the API answers it.
        about: What it is about, in words.
        state: Its state in words; empty for a notice.
        is_quiet: Whether it is about silence, which a person can call fine.
    """

    shown: AlertAnswer
    title: str
    about: str
    state: str
    tone: str
    is_quiet: bool

    @classmethod
    def of(cls, alert: Episode, now: datetime) -> Self:
        """From an alert."""
        return cls(
            shown=alert_answer(alert, now),
            title=alert_title(alert),
            about=subject_words(alert, None, PLAIN),
            state=state_words(alert, now, PLAIN),
            tone=SEVERITY_TONES[alert.severity],
            is_quiet=alert.kind is AlertKind.STALLED,
        )


class AlertsQuery(LenientParameters):
    """Which alerts to list; `open` restricts to open or to ended ones."""

    kind: AlertKind | None = None
    severity: SeverityName | None = None
    open: bool | None = None
    cursor: Cursor | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The filters that are set, as the address has them."""
        found = self.model_dump(mode="json", exclude_defaults=True, exclude={"cursor"})
        return {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in found.items()
        }


class AlertQuery(LenientParameters):
    """The page of an alert has no parameters."""


@dataclass(frozen=True)
class AlertPages:
    """Shows alerts."""

    services: ApiServices

    async def load_list(self, call: PageCall[NoParameters, AlertsQuery]) -> Content:
        """Open alerts, the most urgent first, and those that have ended, the newest first."""
        query, services, now = call.query, self.services, self.services.clock()
        kinds = () if query.kind is None else (query.kind,)
        severities = () if query.severity is None else (SEVERITIES[query.severity],)
        sections = [self._filters(query)]
        if query.open is not False and query.cursor is None:
            found = await services.alerts.page(
                by=call.actor,
                kinds=kinds,
                severities=severities,
                is_open=True,
                run=None,
                after=None,
                limit=_MAX_OPEN,
            )
            rows = [AlertRow.of(one, now) for one in most_urgent_first(found.items)]
            values: dict[str, Any] = {
                "rows": rows,
                "total": found.total,
                "is_filtered": bool(query.given),
            }
            sections.append(Section(name="open", template="alerts/open.html", values=values))
        if query.open is not True:
            found = await services.alerts.page(
                by=call.actor,
                kinds=kinds,
                severities=severities,
                is_open=False,
                run=None,
                after=query.cursor,
                limit=_PAGE_SIZE,
            )
            values = {
                "rows": [AlertRow.of(one, now) for one in found.items],
                "total": found.total,
                "is_total_exact": found.is_total_exact,
                "next_url": None
                if found.next is None
                else _url({**query.given, "cursor": cursor_of(found.next)}),
                "first_url": None if query.cursor is None else _url(query.given),
            }
            sections.append(Section(name="history", template="alerts/history.html", values=values))
        return Content(title="Alerts", sections=sections)

    def _filters(self, query: AlertsQuery) -> Section:
        kept = {name: value for name, value in query.given.items() if name != "open"}
        views = [
            ("Open and ended", kept, query.open is None),
            ("Open", {**kept, "open": "true"}, query.open is True),
            ("Ended", {**kept, "open": "false"}, query.open is False),
        ]
        return Section(
            name="filters",
            template="alerts/filters.html",
            values={
                "query": query,
                "views": [(label, _url(filters), shown) for label, filters, shown in views],
                "kinds": [(kind.value, KIND_WORDS[kind].one) for kind in AlertKind],
                "severities": [(one.value, one.value) for one in reversed(SeverityName)],
                "is_filtered": bool(query.given),
            },
        )

    async def load_one(self, call: PageCall[AlertPath, AlertQuery]) -> Content:
        """An alert."""
        services, now = self.services, self.services.clock()
        found = await services.alerts.details(call.path.alert_id, by=call.actor)
        alert, row = found.episode, AlertRow.of(found.episode, now)
        events = [(one.at, _capital(event_words(one, alert, PLAIN))) for one in found.events]
        return Content(
            title=row.title,
            sections=(
                Section(
                    name="alert",
                    template="alerts/one.html",
                    values={
                        "row": row,
                        "remedy": remedy(alert, PLAIN),
                        "events": events,
                        "channels": found.channels,
                    },
                ),
            ),
            subjects=frozenset({str(alert.id)}),
        )

    def pages(self) -> list[AnyPage]:
        """The pages of this module."""
        return [
            Page(
                path="/alerts",
                name="alerts",
                nav="alerts",
                path_parameters=NoParameters,
                query=AlertsQuery,
                load=self.load_list,
                changes=frozenset({ChangeKind.ALERT}),
            ),
            Page(
                path="/alerts/{alert_id}",
                name="alert",
                nav="alerts",
                path_parameters=AlertPath,
                query=AlertQuery,
                load=self.load_one,
                changes=frozenset({ChangeKind.ALERT}),
            ),
        ]


def most_urgent_first(alerts: Sequence[Episode]) -> list[Episode]:
    """The most severe ones first, failures before others, then the newest.  Pure."""
    newest = sorted(alerts, key=lambda one: one.fired_at or one.opened_at, reverse=True)
    return sorted(newest, key=lambda one: (-one.severity, one.kind not in _FAILURES))


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _url(filters: Mapping[str, Any]) -> str:
    return f"/alerts?{urlencode(filters)}" if filters else "/alerts"
