"""The table of all routes: the one place that lists them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bot.web.api.alerts.alert_routes import AlertRoutes, Alerts
from bot.web.api.alerts.subscription_routes import Channels, SubscriptionRoutes, Subscriptions
from bot.web.api.console_routes import AuditReader, ConsoleRoutes, FleetReader, StatsReader
from bot.web.api.run_kills import Killer, RunKills, TerminationReader
from bot.web.api.run_lists import RunLister, RunLists
from bot.web.api.run_records import RecordReader, RunRecords
from bot.web.api.run_starts import FindPlace, RunStarts, Starter
from bot.web.api.run_status import ChangeWaiter, RunStatuses, StatusReader
from bot.web.api.run_stream import RunStreams, RunWatches
from bot.web.api.session_routes import SessionReader, SessionRoutes
from bot.web.health import Health
from bot.web.route import AnyRoute
from bot.web.streams.server_sent import HEARTBEAT_INTERVAL
from core.domain.workflow import WorkflowDefinition


class RunOperations(Starter, Killer, Protocol):
    """What the API does with runs; see `RunService`."""

    @property
    def workflows(self) -> Sequence[WorkflowDefinition]:
        """All workflow definitions, sorted by name."""
        ...


class Records(RecordReader, TerminationReader, Protocol):
    """What was recorded of runs; see `RunRecordService`."""


class Watches(RunWatches, ChangeWaiter, Protocol):
    """Follows runs; see `RunWatchService`."""


@dataclass(frozen=True, kw_only=True)
class ApiServices:
    """What the routes use.

    Attributes:
        place: Where a run that has no thread gets one; `None` for nowhere.
        heartbeat: How long a stream is silent at most.
    """

    runs: RunOperations
    statuses: StatusReader
    watches: Watches
    records: Records
    lists: RunLister
    sessions: SessionReader
    stats: StatsReader
    fleet: FleetReader
    audit: AuditReader
    alerts: Alerts
    subscriptions: Subscriptions
    channels: Channels
    health: Health
    place: FindPlace
    clock: Callable[[], datetime]
    heartbeat: timedelta = HEARTBEAT_INTERVAL


def api_table(services: ApiServices) -> list[AnyRoute]:
    """All routes, in the order in which the document lists them."""
    return [
        *RunStarts(services.runs, services.place).routes(),
        *RunStatuses(services.statuses, services.watches, services.clock).routes(),
        *RunStreams(services.watches, services.clock, services.heartbeat).routes(),
        *RunKills(services.runs, services.records).routes(),
        *RunRecords(services.records).routes(),
        *RunLists(services.lists, services.runs.workflows, services.clock).routes(),
        *SessionRoutes(services.sessions).routes(),
        *AlertRoutes(services.alerts, services.clock).routes(),
        *SubscriptionRoutes(services.subscriptions, services.channels).routes(),
        *ConsoleRoutes(services.fleet, services.stats, services.audit, services.health).routes(),
    ]
