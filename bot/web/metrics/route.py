"""`/metrics`: the metrics of this process and of the fleet, for Prometheus."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from aiohttp import web
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from bot.web.metrics.access import MetricsAccess
from bot.web.metrics.counted import CountedMetrics
from bot.web.metrics.families import (
    ProcessState,
    database_family,
    fleet_families,
    process_families,
)
from core.domain.errors import Unavailable
from core.domain.fleet.gauges import FleetGauges

log = logging.getLogger(__name__)

PATH = "/metrics"
# Prometheus waits 10 s by default; without an answer of the database the rest is still of use.
READ_LIMIT = timedelta(seconds=2)


class GaugeReader(Protocol):
    """Reads the fleet's numbers; `core.services.fleet.gauges` does."""

    async def read(self) -> FleetGauges:
        """The present numbers, up to a few seconds old."""
        ...


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """All that a scrape shows.

    Attributes:
        gauges: The fleet's numbers; `None` in a process that leaves them to others.
    """

    counted: CountedMetrics
    state: ProcessState
    gauges: GaugeReader | None = None
    read_limit: timedelta = READ_LIMIT

    async def collect(self) -> Collector:
        """Read what belongs to this scrape."""
        families = [*self.counted.registry.collect(), *process_families(self.state)]
        if self.gauges is not None:
            found = await self._read(self.gauges)
            families.append(database_family(is_up=found is not None))
            if found is not None:
                families += fleet_families(found, self.counted.workflow_label)
        return _Scrape(families)

    async def _read(self, gauges: GaugeReader) -> FleetGauges | None:
        try:
            async with asyncio.timeout(self.read_limit.total_seconds()):
                return await gauges.read()
        except (Unavailable, TimeoutError) as error:
            log.warning(
                "the fleet's metrics cannot be read: %s",
                str(error) or type(error).__name__,
                extra={"event": "fleet_gauges.read_failed"},
            )
            return None


def metrics_route(metrics: Metrics, access: MetricsAccess) -> web.RouteDef:
    """The route; a caller who may not read it gets a 401 or 403 that says what to do."""

    async def scrape(request: web.Request) -> web.Response:
        refusal = access.refusal(request)
        if refusal is not None:
            return refusal
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = encode(await metrics.collect())
        return web.Response(body=body, headers={"Content-Type": content_type})

    return web.get(PATH, scrape)


class _Scrape(Collector):
    """The families of one scrape, as the library's encoders want them.

    Without the `_created` series: each doubles a counter for a reader that hardly anybody has.
    """

    def __init__(self, families: list[Metric]) -> None:
        self._families = [_without_created(family) for family in families]

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._families


def _without_created(family: Metric) -> Metric:
    kept = Metric(family.name, family.documentation, family.type, family.unit)
    kept.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
    return kept
