"""Routes of the rest of the console: workers, statistics, audit log, health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

from pydantic import Field

from bot.web.api.stats_answers import StatsAnswer, stats_answer
from bot.web.api.values import RowId, RunTarget
from bot.web.health import Health
from bot.web.route import Answer, AnyRoute, Call, Method, NoParameters, Parameters, Route
from core.domain.actor import Action, Actor, Origin, Role
from core.domain.audit import StoredAuditEntry
from core.domain.fleet.workers import FleetSnapshot, WorkerRecord, WorkerState
from core.domain.runs.stats import Period, Stats

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


class AuditQuery(Parameters):
    """Which entries to read."""

    before: Annotated[RowId, Field(description="The `next` of the page before.")] | None = None
    run_id: RunTarget | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class AuditEntryAnswer(Answer):
    """A decision on a request.

    Attributes:
        token: The API token with which the request came, if it came with one.
    """

    id: int
    at: datetime
    action: str
    allowed: bool
    actor: str
    role: str
    origin: Origin
    external_id: str | None
    token: str | None
    run_uuid: UUID | None
    reason: str | None
    details: dict[str, Any]


class AuditPage(Answer):
    """Entries of the audit log, newest first; `next` is `null` on the last page."""

    entries: list[AuditEntryAnswer]
    next: int | None


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


class StatsReader(Protocol):
    """Reads statistics; see `StatsService`."""

    async def stats(self, period: Period, *, by: Actor) -> Stats:
        """The statistics of the period that ends now."""
        ...


class AuditReader(Protocol):
    """Reads the audit log; see `AuditService`."""

    async def page(
        self, *, by: Actor, before_id: int | None, run: str | None, limit: int
    ) -> Sequence[StoredAuditEntry]:
        """Entries, newest first."""
        ...


@dataclass(frozen=True)
class ConsoleRoutes:
    """Answers what is about the installation rather than one run."""

    fleet: FleetReader
    stats: StatsReader
    audit: AuditReader
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
            workers=[_worker(one, found.at) for one in found.workers],
        )

    async def get_stats(self, call: Call[NoParameters, StatsQuery, NoParameters]) -> StatsAnswer:
        """The statistics of a period."""
        return stats_answer(await self.stats.stats(call.query.period, by=call.actor))

    async def list_audit(self, call: Call[NoParameters, AuditQuery, NoParameters]) -> AuditPage:
        """A page of the audit log."""
        query = call.query
        found = await self.audit.page(
            by=call.actor, before_id=query.before, run=query.run_id, limit=query.limit + 1
        )
        shown = found[: query.limit]
        return AuditPage(
            entries=[_audit_entry(one) for one in shown],
            next=shown[-1].id if len(found) > query.limit else None,
        )

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
                "/audit",
                "list_audit",
                "Every decision on a request, newest first",
                AuditPage,
                self.list_audit,
                query=AuditQuery,
                role=Role.ADMIN,
                action=Action.ADMINISTER,
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


def _worker(worker: WorkerRecord, now: datetime) -> WorkerAnswer:
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


def _audit_entry(stored: StoredAuditEntry) -> AuditEntryAnswer:
    entry = stored.entry
    token = entry.details.get("token")
    return AuditEntryAnswer(
        id=stored.id,
        at=entry.at,
        action=entry.action,
        allowed=entry.allowed,
        actor=entry.actor.name,
        role=entry.actor.role.name.lower(),
        origin=entry.actor.origin,
        external_id=entry.actor.external_id,
        token=None if token is None else str(token),
        run_uuid=entry.run_id,
        reason=entry.reason,
        details=dict(entry.details),
    )
