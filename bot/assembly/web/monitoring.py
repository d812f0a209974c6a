"""What a process tells Prometheus, put together from its parts."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from aiohttp import web

from bot.assembly.backend import Backend
from bot.slack.client.meter import COUNTED_NAMES, CallOutcome
from bot.web.metrics.access import MetricsAccess
from bot.web.metrics.counted import CountedMetrics
from bot.web.metrics.families import ProcessState
from bot.web.metrics.route import Metrics, metrics_route
from core.services.fleet.gauges import GaugeService

if TYPE_CHECKING:
    # A worker does not load Bolt.
    from bot.slack.service import SlackService


def own_version() -> str:
    """The version of Signalbox."""
    try:
        return version("signalbox")
    except PackageNotFoundError:
        # A copy of the sources that was never installed.
        return "unknown"


def new_counts() -> CountedMetrics:
    """The counts of a process that starts."""
    return CountedMetrics(version=own_version())


def monitoring_route(
    backend: Backend, counted: CountedMetrics, slack: SlackService | None
) -> web.RouteDef:
    """The route `/metrics`.

    Only a process with a Slack surface shows the fleet's numbers: there are few of these, and
    every one of them reads the same rows.
    """
    counted.expect_workflows([definition.name for definition in backend.catalog.all])
    if slack is not None:
        counted.expect_calls(sorted(COUNTED_NAMES), tuple(CallOutcome))
    table = backend.settings.config.metrics
    metrics = Metrics(
        counted=counted,
        state=ProcessState(
            pool=lambda: backend.database.pool_use,
            drawing_lag=None if slack is None else lambda: slack.drawing_lag_seconds,
        ),
        gauges=None if slack is None else GaugeService(backend.context),
    )
    token = None if table.token is None else table.token.get_secret_value()
    return metrics_route(metrics, MetricsAccess(token=token, is_open=table.open))
