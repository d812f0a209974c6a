"""Puts together what a bot does about alerts by time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bot.assembly.backend import Backend
from bot.assembly.config.bad_setting import BadSetting
from core.domain.alerts.detectors.limits import AlertLimits
from core.domain.errors import Unavailable
from core.domain.meter import Meter
from core.domain.workflow import UnknownWorkflow
from core.runner.alert_hints import AlertHints
from core.runner.clock import ClockJob, alert_jobs
from core.services.alerts.digests import DigestService
from core.services.alerts.evaluation import AlertEvaluation
from core.services.alerts.progress import ProgressService

log = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0


def alert_limits(backend: Backend) -> AlertLimits:
    """The team's limits.

    Raises:
        BadSetting: If the settings name a workflow that there is not.
    """
    table = backend.settings.config.alerts
    for number, one in enumerate(table.subscriptions):
        if one.workflow is not None:
            _real_name(backend, one.workflow, f"alerts.subscriptions.{number}.workflow")
    return table.limits(
        {name: _real_name(backend, name, f"alerts.workflows.{name}") for name in table.workflows}
    )


def alerting_jobs(backend: Backend, limits: AlertLimits, meter: Meter) -> tuple[ClockJob, ...]:
    """The jobs of the clock that tell people what happens."""
    return alert_jobs(
        AlertEvaluation(backend.context, limits, meter=meter),
        DigestService(backend.context),
        ProgressService(backend.context),
        AlertHints(backend.feed),
    )


def subscriptions_sync(backend: Backend) -> Callable[[str], Awaitable[None]]:
    """What makes the subscriptions of the settings those of a workspace, once it is known."""
    table = backend.settings.config.alerts

    async def sync(team_id: str) -> None:
        now = backend.context.clock()
        wanted = [one.subscription(team_id=team_id, now=now) for one in table.subscriptions]
        while True:
            try:
                await backend.subscriptions.sync_configured(wanted)
            except Unavailable as error:
                log.warning(
                    "the subscriptions of the settings cannot be stored yet: %s",
                    error,
                    extra={"event": "subscriptions.sync_failed"},
                )
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    return sync


def _real_name(backend: Backend, named: str, setting: str) -> str:
    try:
        return backend.catalog.get(named).name
    except UnknownWorkflow as error:
        names = ", ".join(definition.name for definition in backend.catalog.all)
        raise BadSetting(setting, f"is no workflow; there are {names}") from error
