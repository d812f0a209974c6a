"""Routes of the rest of the console: workers, statistics, health."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bot.web.api.stats_answers import StatsAnswer, stats_answer
from bot.web.health import Health
from bot.web.route import Answer, AnyRoute, Call, Method, NoParameters, Parameters, Route
from core.domain.actor import Action, Actor, Role
from core.domain.fleet.workers import FleetSnapshot, WorkerRecord, WorkerState
from core.domain.runs.stats import Period, Stats
from core.services.fleet.fleet import FleetQueue

_TAG = "Console"


class WorkerAnswer(Answer):
    """A worker process.

    Attributes:
        silent: Whether two heartbeats are missing, though it has not stopped.
        isolated: Whether its agents are isolated; `null` if an older version did not say.
    """

    worker_id: str
    node: str
    machine: str
    state: WorkerState
    silent: bool
    slots: int
    live_runs: int
    free_slots: int
    isolated: bool | None
    isolation: str | None
    version: str
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None


class WorkerList(Answer):
    """The present workers, and those that stopped in the last hour."""

    at: datetime
    pending_runs: int
    slots: int
    live_runs: int
    workers: list[WorkerAnswer]


class StatsQuery(Parameters):
    """The period that ends now."""

    period: Period = Period.WEEK


class HealthAnswer(Answer):
    """Whether this process works; the same as `/readyz`, but always answered with 200."""

    status: str
    checks: dict[str, bool]
    warnings: list[str]


class FleetReader(Protocol):
    """Reads the fleet; see `FleetService`."""

    async def workers(self, *, by: Actor) -> FleetSnapshot:
        """The present workers."""
        ...

    async def queue(self, *, by: Actor, limit: int) -> FleetQueue:
        """The first runs that wait to start."""
        ...


class StatsReader(Protocol):
    """Reads statistics; see `StatsService`."""

    async def stats(self, period: Period, *, by: Actor) -> Stats:
        """The statistics of the period that ends now."""
        ...


@dataclass(frozen=True)
class ConsoleRoutes:
    """Answers what is about the installation rather than one run."""

    fleet: FleetReader
    stats: StatsReader
    health: Health

    async def list_workers(
        self, call: Call[NoParameters, NoParameters, NoParameters]
    ) -> WorkerList:
        """The workers."""
        found = await self.fleet.workers(by=call.actor)
        return WorkerList(
            at=found.at,
            pending_runs=found.pending_runs,
            slots=found.slots,
            live_runs=found.live_runs,
            workers=[worker_answer(one, found.at) for one in found.workers],
        )

    async def get_stats(self, call: Call[NoParameters, StatsQuery, NoParameters]) -> StatsAnswer:
        """The statistics of a period."""
        return stats_answer(await self.stats.stats(call.query.period, by=call.actor))

    async def get_health(
        self,
        call: Call[NoParameters, NoParameters, NoParameters],  # noqa: ARG002
    ) -> HealthAnswer:
        """The health of this process."""
        found = await self.health.run_checks()
        warnings = list(self.health.warnings())
        status = "not ready" if not all(found.values()) else "degraded" if warnings else "ready"
        return HealthAnswer(status=status, checks=dict(found), warnings=warnings)

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            _route("/workers", "list_workers", "The workers", WorkerList, self.list_workers),
            _route(
                "/stats",
                "get_stats",
                "Runs, spend and kills of a period",
                StatsAnswer,
                self.get_stats,
                query=StatsQuery,
            ),
            _route(
                "/workflows/claude-code/health",
                "get_health",
                "Whether this process works",
                HealthAnswer,
                self.get_health,
                role=Role.NONE,
            ),
        ]


def _route(
    path: str,
    name: str,
    summary: str,
    answer: type[Answer],
    handler: Any,
    *,
    query: type[Any] = NoParameters,
    role: Role = Role.VIEWER,
    action: Action = Action.VIEW,
) -> AnyRoute:
    return Route(
        method=Method.GET,
        path=path,
        name=name,
        summary=summary,
        tag=_TAG,
        role=role,
        action=action,
        path_parameters=NoParameters,
        query=query,
        body=NoParameters,
        answer=answer,
        handler=handler,
    )


def worker_answer(worker: WorkerRecord, now: datetime) -> WorkerAnswer:
    """A worker as JSON.  Pure."""
    isolation = worker.isolation
    return WorkerAnswer(
        worker_id=worker.worker_id,
        node=worker.node,
        machine=worker.machine,
        state=worker.state,
        silent=worker.is_silent(now),
        slots=worker.slots,
        live_runs=worker.live_runs,
        free_slots=worker.free_slots,
        isolated=None if isolation is None else isolation.is_active,
        isolation=None if isolation is None else isolation.detail,
        version=worker.program_version,
        started_at=worker.started_at,
        heartbeat_at=worker.heartbeat_at,
        stopped_at=worker.stopped_at,
    )
