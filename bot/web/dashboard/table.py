"""The table of all pages: the one place that lists them."""

from __future__ import annotations

from bot.web.api.table import ApiServices
from bot.web.dashboard.page import AnyPage
from bot.web.dashboard.pages.alerts import AlertPages
from bot.web.dashboard.pages.analytics import AnalyticsPage
from bot.web.dashboard.pages.audit import AuditPages
from bot.web.dashboard.pages.new_run import NewRunPage
from bot.web.dashboard.pages.overview import OverviewPage
from bot.web.dashboard.pages.run import RunPage
from bot.web.dashboard.pages.run_diff import RunDiffPage
from bot.web.dashboard.pages.run_log import RunLogPage
from bot.web.dashboard.pages.runs import RunsPage
from bot.web.dashboard.pages.sessions import SessionPages
from bot.web.dashboard.pages.settings import SettingsPage
from bot.web.dashboard.pages.subscriptions import SubscriptionPages
from bot.web.dashboard.pages.workers import WorkersPage
from bot.web.dashboard.pages.workflows import WorkflowPages


def dashboard_pages(services: ApiServices) -> list[AnyPage]:
    """All pages."""
    return [
        *OverviewPage(services).pages(),
        *RunsPage(services).pages(),
        # Before the page of a run, whose path it has.
        *NewRunPage(services).pages(),
        *RunPage(services).pages(),
        *RunLogPage(services).pages(),
        *RunDiffPage(services).pages(),
        *SessionPages(services).pages(),
        *AlertPages(services).pages(),
        *SubscriptionPages(services).pages(),
        *WorkersPage(services).pages(),
        *WorkflowPages(services).pages(),
        *AuditPages(services).pages(),
        *SettingsPage(services).pages(),
        *AnalyticsPage(services).pages(),
    ]
