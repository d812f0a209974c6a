"""What is read at each scrape: the fleet's numbers, and the present state of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from prometheus_client.core import GaugeMetricFamily, Metric

from core.domain.alerts.kinds import KIND_RULES
from core.domain.drawables import DrawableKind
from core.domain.fleet.gauges import FleetGauges
from core.domain.fleet.workers import QueueReason, WorkerState
from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus, WaitingOn

# Pending runs that no cap holds wait for a worker with a free slot.
_FOR_A_WORKER = "worker"
_OTHER_KIND = "other"


class PoolUse(Protocol):
    """The connections of this process to the database; `core.store.database.pool_use` has them."""

    @property
    def size(self) -> int:
        """The most that it opens."""
        ...

    @property
    def in_use(self) -> int:
        """Those handed out."""
        ...

    @property
    def idle(self) -> int:
        """Open ones that nobody uses."""
        ...

    @property
    def waiting(self) -> int:
        """Tasks that want one and have none yet."""
        ...


@dataclass(frozen=True, kw_only=True)
class ProcessState:
    """What this process can be asked at any time.

    Attributes:
        pool: Its database connections.
        drawing_lag: How long the longest outdated drawable has been so, in seconds; `None` if
            this process has no Slack surface.
    """

    pool: Callable[[], PoolUse | None]
    drawing_lag: Callable[[], float] | None = None


def process_families(state: ProcessState) -> Iterator[Metric]:
    """The metrics of this process's present state."""
    pool = state.pool()
    if pool is not None:
        yield _gauge(
            "signalbox_database_pool_connections",
            "Open database connections of this process.",
            "state",
            {"in_use": pool.in_use, "idle": pool.idle},
        )
        yield _single(
            "signalbox_database_pool_size",
            "The most database connections that this process opens.",
            pool.size,
        )
        yield _single(
            "signalbox_database_pool_waiting",
            "Tasks that want a database connection and have none yet.",
            pool.waiting,
        )
    if state.drawing_lag is not None:
        yield _single(
            "signalbox_drawing_oldest_outdated_seconds",
            "How long the longest outdated drawable has been so; 0 where others draw.",
            state.drawing_lag(),
        )


def database_family(*, is_up: bool) -> Metric:
    """Whether the fleet's numbers could be read."""
    return _single(
        "signalbox_database_up", "Whether this scrape could read the database.", int(is_up)
    )


def fleet_families(gauges: FleetGauges, workflow_label: Callable[[str], str]) -> Iterator[Metric]:
    """The fleet's numbers as metrics.  Every known label is there, also with 0."""
    live = GaugeMetricFamily(
        "signalbox_live_runs", "Runs that are pending or running.", labels=("status", "workflow")
    )
    for (status, workflow), count in sorted(_by_label(gauges, workflow_label).items()):
        live.add_metric((status.value, workflow), count)
    yield live
    yield _gauge(
        "signalbox_waiting_runs",
        "Running runs that wait for somebody or something.",
        "waiting_on",
        _all_of(WaitingOn, gauges.waiting_runs),
    )
    pending = _all_of(QueueReason, gauges.pending_runs)
    pending[_FOR_A_WORKER] = gauges.pending_runs.get(None, 0)
    yield _gauge(
        "signalbox_queue_depth",
        "Pending runs, by what they wait for: a worker, or one of the caps.",
        "waiting_for",
        pending,
    )
    age = gauges.oldest_pending
    yield _single(
        "signalbox_queue_oldest_age_seconds",
        "How long the oldest pending run waits; 0 if none does.",
        0.0 if age is None else max(age.total_seconds(), 0.0),
    )
    yield _gauge(
        "signalbox_workers",
        "Workers of the fleet; `gone` for a week.",
        "state",
        _all_of(WorkerState, gauges.workers),
    )
    yield _single("signalbox_worker_slots", "Slots of the workers that take jobs.", gauges.slots)
    yield _single(
        "signalbox_agent_processes",
        "Agent programs of attempts in progress, over all workers.",
        gauges.agent_processes,
    )
    unproven = [phase for phase in Phase if phase is not Phase.CONFIRMED]
    yield _gauge(
        "signalbox_open_kills",
        "Kills without a proof, by phase.",
        "phase",
        {phase.value: gauges.open_kills.get(phase, 0) for phase in unproven},
    )
    yield _gauge(
        "signalbox_outdated_drawables",
        "What is not shown in Slack as it should be.",
        "kind",
        _by_kind(gauges),
    )
    alerts = GaugeMetricFamily(
        "signalbox_alerts_open",
        "Alerts that have fired and are not resolved.",
        labels=("kind", "severity"),
    )
    usual = {(kind, rule.severity): 0 for kind, rule in KIND_RULES.items()}
    for (kind, severity), count in {**usual, **gauges.open_alerts}.items():
        alerts.add_metric((kind.value, severity.name.lower()), count)
    yield alerts


def _by_label(
    gauges: FleetGauges, workflow_label: Callable[[str], str]
) -> dict[tuple[RunStatus, str], int]:
    counts: dict[tuple[RunStatus, str], int] = {}
    for (status, workflow), count in gauges.live_runs.items():
        key = (status, workflow_label(workflow))
        counts[key] = counts.get(key, 0) + count
    return counts


def _by_kind(gauges: FleetGauges) -> dict[str, int]:
    counts: dict[str, int] = {kind.value: 0 for kind in DrawableKind}
    for kind, count in gauges.outdated_drawables.items():
        name = kind if kind in counts else _OTHER_KIND
        counts[name] = counts.get(name, 0) + count
    return counts


def _all_of(members: Iterable[StrEnum], counts: Mapping[Any, int]) -> dict[str, int]:
    return {member.value: counts.get(member, 0) for member in members}


def _gauge(name: str, meaning: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=(label,))
    for value, count in values.items():
        family.add_metric((value,), count)
    return family


def _single(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)
