"""Statistics computed in Postgres: counts of runs, spend, and quantiles of kills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Row, RowMapping, bindparam, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.kills.termination import Phase
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.stats import KillStats, Quantiles, RunStats, Spend
from core.domain.sessions.ledger import EntrySource
from core.store.tables.attempts import LedgerRow
from core.store.tables.runs import RunRow
from core.store.tables.terminations import TerminationRow

# How long each kill stayed in each phase that has ended; `phases` has the time at which each one
# began.  Phases that began in the same millisecond are in the order of the ladder.
_PHASES = text(
    """
    WITH begun AS (
        SELECT t.id, p.key AS phase, p.value::text::bigint AS at,
               array_position(CAST(:ladder AS text[]), p.key) AS rung
        FROM terminations t
        JOIN workflow_runs r ON r.id = t.run_id AND r.started_at IS NOT NULL
        CROSS JOIN LATERAL jsonb_each(t.phases) p
        WHERE t.requested_at >= :since AND t.requested_at < :until
    ), stays AS (
        SELECT phase, lead(at) OVER (PARTITION BY id ORDER BY at, rung) - at AS milliseconds
        FROM begun
    )
    SELECT phase, count(*) AS measured,
           percentile_cont(0.50) WITHIN GROUP (ORDER BY milliseconds) AS p50,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY milliseconds) AS p95,
           percentile_cont(0.99) WITHIN GROUP (ORDER BY milliseconds) AS p99
    FROM stays
    WHERE milliseconds IS NOT NULL
    GROUP BY phase
    """
).bindparams(bindparam("ladder", value=[phase.value for phase in Phase]))


async def run_stats(session: AsyncSession, *, since: datetime, until: datetime) -> RunStats:
    """Compute statistics of the runs requested in `[since, until)`."""
    return await totals_of_runs(session, RunRow.created_at >= since, RunRow.created_at < until)


async def totals_of_runs(session: AsyncSession, *conditions: ColumnElement[bool]) -> RunStats:
    """Compute statistics of the runs that fulfil all conditions; their cost is the ledger's."""
    rows = await session.execute(
        select(
            RunRow.status,
            RunRow.stop_reason,
            func.count().label("runs"),
            func.count().filter(RunRow.outcome == Outcome.ATTENTION).label("attention"),
            func.count().filter(RunRow.started_at.is_not(None)).label("begun"),
        )
        .where(*conditions)
        .group_by(RunRow.status, RunRow.stop_reason)
    )
    return _aggregate(list(rows.mappings()), await _spend(session, *conditions))


async def _spend(session: AsyncSession, *conditions: ColumnElement[bool]) -> Spend:
    """What the agent processes of these runs cost; what is unknown is left to the caller."""
    reported = LedgerRow.source == EntrySource.REPORTED.value
    estimated = LedgerRow.source == EntrySource.ESTIMATED.value
    runs = (
        select(
            func.coalesce(func.sum(LedgerRow.cost_usd).filter(reported), 0).label("reported_usd"),
            func.coalesce(func.sum(LedgerRow.cost_usd).filter(estimated), 0).label("estimated_usd"),
            func.bool_or(estimated).label("is_estimated"),
        )
        .join(RunRow, RunRow.id == LedgerRow.run_id)
        .where(*conditions, or_(reported, estimated))
        .group_by(LedgerRow.run_id)
        .subquery()
    )
    row = (
        await session.execute(
            select(
                func.coalesce(func.sum(runs.c.reported_usd), 0).label("reported_usd"),
                func.count().filter(~runs.c.is_estimated).label("reported_runs"),
                func.coalesce(func.sum(runs.c.estimated_usd), 0).label("estimated_usd"),
                func.count().filter(runs.c.is_estimated).label("estimated_runs"),
            ).select_from(runs)
        )
    ).one()
    return Spend(
        reported_usd=Decimal(row.reported_usd),
        reported_runs=row.reported_runs,
        estimated_usd=Decimal(row.estimated_usd),
        estimated_runs=row.estimated_runs,
    )


async def kill_stats(session: AsyncSession, *, since: datetime, until: datetime) -> KillStats:
    """Compute statistics of the kills requested in `[since, until)`."""
    totals = await totals_of_kills(
        session, TerminationRow.requested_at >= since, TerminationRow.requested_at < until
    )
    phase_rows = await session.execute(_PHASES, {"since": since, "until": until})
    by_phase = _by_phase({Phase(phase.phase): _quantiles(phase) for phase in phase_rows})
    return replace(totals, by_phase=by_phase)


async def totals_of_kills(session: AsyncSession, *conditions: ColumnElement[bool]) -> KillStats:
    """Compute statistics of the kills that fulfil all conditions, without those of phases."""
    confirmed = TerminationRow.phase == Phase.CONFIRMED
    was_unconfirmed = TerminationRow.phases.has_key(Phase.UNCONFIRMED.value)
    has_begun = RunRow.started_at.is_not(None)
    elapsed_ms = TerminationRow.phases[Phase.CONFIRMED.value].as_integer()
    is_measured = confirmed & has_begun & elapsed_ms.is_not(None)
    row = (
        await session.execute(
            select(
                func.count().label("all"),
                func.count().filter(confirmed).label("confirmed"),
                func.count().filter(~confirmed, was_unconfirmed).label("unconfirmed"),
                func.count().filter(confirmed, was_unconfirmed).label("late"),
                func.count().filter(confirmed, ~has_begun).label("before_start"),
                func.coalesce(
                    func.sum(func.jsonb_array_length(TerminationRow.survivors)).filter(~confirmed),
                    0,
                ).label("survivors"),
                func.count().filter(is_measured).label("measured"),
                *(
                    func.percentile_cont(share)
                    .within_group(elapsed_ms)
                    .filter(is_measured)
                    .label(name)
                    for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))
                ),
            )
            .join(RunRow, RunRow.id == TerminationRow.run_id)
            .where(*conditions)
        )
    ).one()
    return KillStats(
        count=row.all,
        confirmed=row.confirmed,
        unconfirmed=row.unconfirmed,
        confirmed_late=row.late,
        before_start=row.before_start,
        survivors=row.survivors,
        overall=_quantiles(row),
    )


def _by_phase(found: Mapping[Phase, Quantiles | None]) -> dict[Phase, Quantiles]:
    """Leave out phases without measurements, and sort by the order of the ladder."""
    ordered = ((phase, found.get(phase)) for phase in Phase)
    return {phase: quantiles for phase, quantiles in ordered if quantiles is not None}


def _quantiles(row: Row[Any]) -> Quantiles | None:
    if not row.measured:
        return None
    return Quantiles(count=row.measured, p50=row.p50, p95=row.p95, p99=row.p99)


def _aggregate(groups: Sequence[RowMapping], known: Spend) -> RunStats:
    by_status: dict[RunStatus, int] = {}
    by_reason: dict[StopReason, int] = {}
    for group in groups:
        status = RunStatus(group["status"])
        by_status[status] = by_status.get(status, 0) + group["runs"]
        if group["stop_reason"] is not None:
            reason = StopReason(group["stop_reason"])
            by_reason[reason] = by_reason.get(reason, 0) + group["runs"]
    begun = sum(group["begun"] for group in groups)
    return RunStats(
        attention=sum(group["attention"] for group in groups),
        by_status={status: by_status[status] for status in RunStatus if status in by_status},
        by_stop_reason={
            reason: by_reason[reason]
            for reason in sorted(by_reason, key=lambda reason: (-by_reason[reason], reason))
        },
        spend=replace(known, unknown_runs=begun - known.reported_runs - known.estimated_runs),
    )
