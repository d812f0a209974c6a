"""The table of all routes: the one place that lists them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bot.web.api.alerts.alert_routes import AlertRoutes, Alerts
from bot.web.api.alerts.subscription_routes import Channels, SubscriptionRoutes, Subscriptions
from bot.web.api.analytics.routes import AnalyticsRoutes, HistoryReader
from bot.web.api.audit_routes import AuditReader, AuditRoutes
from bot.web.api.console_routes import ConsoleRoutes, FleetReader, StatsReader
from bot.web.api.dashboard.routes import DashboardAccess, DashboardRoutes
from bot.web.api.failures.failure_routes import FailureReader, FailureRoutes
from bot.web.api.resource_routes import ResourceReader, ResourceRoutes
from bot.web.api.restarts.routes import Restarter, RestartRoutes
from bot.web.api.run_checkpoints import CheckpointReader, RunCheckpoints
from bot.web.api.run_kills import Killer, RunKills, TerminationReader
from bot.web.api.run_lists import RunLister, RunLists
from bot.web.api.run_logs import LogReader
from bot.web.api.run_records import RecordReader, RunRecords
from bot.web.api.run_starts import FindPlace, RunStarts, Starter
from bot.web.api.run_stream import RunStreams, RunWatches
from bot.web.api.sessions.routes import SessionReader, SessionRoutes
from bot.web.api.statuses.run_status import ChangeWaiter, RunStatuses, StatusReader
from bot.web.api.workspace_routes import WorkspaceReader, WorkspaceRoutes
from bot.web.health import Health
from bot.web.route import AnyRoute
from bot.web.settings_values import SettingsGroup
from bot.web.streams.server_sent import HEARTBEAT_INTERVAL
from core.domain.actor import Actor
from core.domain.token import ApiToken
from core.domain.workflow import WorkflowDefinition
from core.services.runs.whole_runs import WholeRun


class RunOperations(Starter, Killer, Protocol):
    """What the API does with runs; see `RunService`."""

    @property
    def workflows(self) -> Sequence[WorkflowDefinition]:
        """All workflow definitions, sorted by name."""
        ...


class Records(RecordReader, TerminationReader, CheckpointReader, FailureReader, Protocol):
    """What was recorded of runs; see `RunRecordService`."""


class WholeRunReader(Protocol):
    """Reads runs with all that is stored around them; see `WholeRunService`."""

    async def read(self, target: str, *, by: Actor) -> WholeRun:
        """A run."""
        ...


class TokenLister(Protocol):
    """Lists API tokens; see `TokenService`."""

    async def list_all(self, *, by: Actor) -> Sequence[ApiToken]:
        """All tokens, the revoked ones too, newest first."""
        ...


class Watches(RunWatches, ChangeWaiter, Protocol):
    """Follows runs; see `RunWatchService`."""


@dataclass(frozen=True, kw_only=True)
class ApiServices:
    """What the routes use.

    Attributes:
        settings: All settings of the process in words, for those who may see them.
        place: Where a run that has no thread gets one; `None` for nowhere.
        heartbeat: How long a stream is silent at most.
    """

    runs: RunOperations
    restarts: Restarter
    statuses: StatusReader
    watches: Watches
    records: Records
    logs: LogReader
    lists: RunLister
    whole_runs: WholeRunReader
    sessions: SessionReader
    stats: StatsReader
    analytics: HistoryReader
    fleet: FleetReader
    workspaces: WorkspaceReader
    resources: ResourceReader
    audit: AuditReader
    alerts: Alerts
    subscriptions: Subscriptions
    channels: Channels
    dashboard: DashboardAccess
    tokens: TokenLister
    settings: Sequence[SettingsGroup]
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
        *RestartRoutes(services.restarts, services.place).routes(),
        *RunCheckpoints(services.records).routes(),
        *FailureRoutes(services.records).routes(),
        *RunRecords(services.records).routes(),
        *ResourceRoutes(services.resources).routes(),
        *RunLists(services.lists, services.runs.workflows, services.clock).routes(),
        *SessionRoutes(services.sessions).routes(),
        *AlertRoutes(services.alerts, services.clock).routes(),
        *SubscriptionRoutes(services.subscriptions, services.channels).routes(),
        *WorkspaceRoutes(services.workspaces).routes(),
        *DashboardRoutes(services.dashboard).routes(),
        *AnalyticsRoutes(services.analytics, services.clock).routes(),
        *AuditRoutes(services.audit).routes(),
        *ConsoleRoutes(services.fleet, services.stats, services.health).routes(),
    ]
