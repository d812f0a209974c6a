"""Statistics of a period, computed by Postgres from real rows."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from statistics import quantiles
from typing import Any
from uuid import uuid4

import pytest

from core.domain.actor import Actor, Origin, Role
from core.domain.alerts.channels.subscription import AlertFilter
from core.domain.analytics.report import Question
from core.domain.errors import Forbidden
from core.domain.kills.termination import Phase, ProcessIdentity, Termination
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.stats import KillStats, Period, RunStats, Stats
from core.domain.sessions.ledger import EntrySource
from core.services.analytics import AnalyticsService
from core.services.context import ServiceContext
from core.services.stats import StatsService
from core.store import audit, terminations
from core.store.alerts import digests
from core.store.database.engine import Database
from core.store.runs import runs
from tests.database import NOW, database, postgres_dsn, running_run, stored_run
from tests.ledger_rows import spent

__all__ = ["database", "postgres_dsn"]

VIEWER = Actor(role=Role.VIEWER, origin=Origin.SLACK, name="vera")
NOBODY = Actor(role=Role.NONE, origin=Origin.SLACK, name="nora")
SOON = NOW + timedelta(minutes=10)
SLEEP = ProcessIdentity(pid=42, started_ticks=7, name="sleep")


async def stats_of(database: Database, period: Period = Period.DAY, by: Actor = VIEWER) -> Stats:
    return await StatsService(ServiceContext(database, lambda: SOON)).stats(period, by=by)


async def add_kill(
    database: Database, run: Run, phases: dict[Phase, int], *, begun: Any = NOW, **last: Any
) -> None:
    """A kill with these phases, each so many milliseconds after the request."""
    async with database.sessions.begin() as session:
        kill = await terminations.open_or_join(
            session,
            Termination(id=uuid4(), run_id=run.id, phase=Phase.REQUESTED, requested_at=begun),
        )
        for phase, milliseconds in phases.items():
            is_last = phase is list(phases)[-1]
            await terminations.advance(
                session,
                kill.id,
                phase,
                now=begun + timedelta(milliseconds=milliseconds),
                **(last if is_last else {}),
            )


async def ended(database: Database, run: Run, reason: StopReason, **final: Any) -> None:
    async with database.sessions.begin() as session:
        await runs.finish(
            session, run.run_id, attempt=run.attempt, stop_reason=reason, now=SOON, **final
        )


async def test_an_empty_period_has_no_values(database: Database) -> None:
    found = await stats_of(database)

    assert found.runs == RunStats()
    assert found.kills == KillStats()
    assert found.kills.success_rate is None
    assert found.until - found.since == timedelta(hours=24)


async def test_runs_are_counted_by_status_and_reason(database: Database) -> None:
    await stored_run(database)
    await running_run(database)
    for reason in (StopReason.MAX_TURNS, StopReason.MAX_TURNS, StopReason.SUCCESS):
        await ended(database, await running_run(database), reason)
    await stored_run(database, created_at=SOON - timedelta(hours=25))

    found = (await stats_of(database)).runs

    assert found.by_status == {
        RunStatus.PENDING: 1,
        RunStatus.RUNNING: 1,
        RunStatus.COMPLETED: 1,
        RunStatus.FAILED: 2,
    }
    assert found.by_stop_reason == {StopReason.MAX_TURNS: 2, StopReason.SUCCESS: 1}
    assert found.count == 5
    assert (await stats_of(database, Period.WEEK)).runs.count == 6


async def test_cost_is_reported_by_its_source(database: Database) -> None:
    for cost, source in (
        ("1.25", EntrySource.REPORTED),
        ("0.75", EntrySource.REPORTED),
        ("0.1", EntrySource.ESTIMATED),
        ("0.2", EntrySource.ESTIMATED),
    ):
        run = await running_run(database)
        await spent(database, run, cost, source)
        await ended(database, run, StopReason.SUCCESS)
    await ended(database, await running_run(database), StopReason.AGENT_ERROR)
    await stored_run(database)

    spend = (await stats_of(database)).runs.spend

    assert (spend.reported_usd, spend.reported_runs) == (Decimal(2), 2)
    assert (spend.estimated_usd, spend.estimated_runs) == (Decimal("0.3"), 2)
    assert spend.unknown_runs == 1


async def test_what_was_reported_and_estimated_for_one_run_stays_apart(database: Database) -> None:
    run = await running_run(database)
    await spent(database, run, "0.5", EntrySource.ESTIMATED)
    await spent(database, run, "2", attempt=2)

    spend = (await stats_of(database)).runs.spend

    assert (spend.reported_usd, spend.reported_runs) == (Decimal(2), 0)
    assert (spend.estimated_usd, spend.estimated_runs) == (Decimal("0.5"), 1)
    assert spend.unknown_runs == 0


async def test_statistics_digest_and_history_agree(database: Database) -> None:
    for number, reason in enumerate(StopReason):
        run = await running_run(database)
        await spent(database, run, str(number), list(EntrySource)[number % 2])
        if number % 3 == 0:
            await spent(database, run, "0.25", attempt=2)
        await ended(database, run, reason)
        if reason is StopReason.KILLED:
            await add_kill(database, run, {Phase.CONFIRMED: 900})
    today = NOW.date()
    context = ServiceContext(database, lambda: SOON)

    found = await stats_of(database)
    async with database.sessions() as session:
        since, until = found.since, SOON + timedelta(seconds=1)
        conditions = digests.ended_within(AlertFilter(), since=since, until=until)
        told = await digests.run_totals(session, *conditions)
    total = (
        await AnalyticsService(context).report(Question(first=today, last=today), by=VIEWER)
    ).total

    assert told == found.runs
    assert total.spend == found.runs.spend
    assert total.by_status == found.runs.by_status
    assert total.by_stop_reason == found.runs.by_stop_reason
    assert (total.kills.count, total.kills.confirmed) == (1, 1)


async def test_kills_are_counted_by_their_result(database: Database) -> None:
    proven, late, stuck, retried, fresh, waiting = [await running_run(database) for _ in range(6)]
    await add_kill(database, proven, {Phase.ACKNOWLEDGED: 10, Phase.CONFIRMED: 900})
    await add_kill(
        database, late, {Phase.KILLED: 7000, Phase.UNCONFIRMED: 9000, Phase.CONFIRMED: 14_000}
    )
    await add_kill(
        database, stuck, {Phase.KILLED: 7000, Phase.UNCONFIRMED: 9000}, survivors=[SLEEP, SLEEP]
    )
    await add_kill(
        database, retried, {Phase.UNCONFIRMED: 9000, Phase.KILLED: 12_000}, survivors=[SLEEP]
    )
    await add_kill(database, fresh, {Phase.ACKNOWLEDGED: 10})
    await add_kill(database, waiting, {})
    await add_kill(database, await stored_run(database), {Phase.CONFIRMED: 0})

    kills = (await stats_of(database)).kills

    assert kills.count == 7
    assert (kills.confirmed, kills.unconfirmed, kills.in_progress) == (3, 2, 2)
    assert (kills.confirmed_late, kills.before_start, kills.survivors) == (1, 1, 3)
    assert kills.success_rate == pytest.approx(3 / 5)
    assert kills.overall is not None
    assert kills.overall.count == 2


async def test_quantiles_cover_only_confirmed_kills(database: Database) -> None:
    took = [100, 400, 900, 1600, 2500]
    for milliseconds in took:
        run = await running_run(database)
        await add_kill(database, run, {Phase.ACKNOWLEDGED: 20, Phase.CONFIRMED: milliseconds})

    overall = (await stats_of(database)).kills.overall

    assert overall is not None
    shares = quantiles(took, n=100, method="inclusive")
    assert overall.count == 5
    assert overall.p50 == pytest.approx(shares[49])
    assert overall.p95 == pytest.approx(shares[94])
    assert overall.p99 == pytest.approx(shares[98])


async def test_phases_are_measured_by_their_duration(database: Database) -> None:
    run = await running_run(database)
    await add_kill(
        database,
        run,
        {
            Phase.ACKNOWLEDGED: 15,
            Phase.DRAINING: 20,
            Phase.INTERRUPTED: 1220,
            Phase.TERMINATED: 6220,
            # Phases in the same millisecond follow the ladder's order.
            Phase.KILLED: 6220,
            Phase.CONFIRMED: 6300,
        },
    )

    by_phase = (await stats_of(database)).kills.by_phase

    assert list(by_phase) == [
        Phase.REQUESTED,
        Phase.ACKNOWLEDGED,
        Phase.DRAINING,
        Phase.INTERRUPTED,
        Phase.TERMINATED,
        Phase.KILLED,
    ]
    assert {phase: stay.p50 for phase, stay in by_phase.items()} == {
        Phase.REQUESTED: 15,
        Phase.ACKNOWLEDGED: 5,
        Phase.DRAINING: 1200,
        Phase.INTERRUPTED: 5000,
        Phase.TERMINATED: 0,
        Phase.KILLED: 80,
    }
    assert all(stay.count == 1 for stay in by_phase.values())


async def test_kills_outside_the_period_are_excluded(database: Database) -> None:
    before = SOON - timedelta(hours=24, seconds=1)
    await add_kill(database, await running_run(database), {Phase.CONFIRMED: 5}, begun=before)
    await add_kill(database, await running_run(database), {Phase.CONFIRMED: 5}, begun=SOON)

    assert (await stats_of(database)).kills.count == 0
    assert (await stats_of(database, Period.WEEK)).kills.count == 1


async def test_a_refused_reader_of_statistics_is_audited(database: Database) -> None:
    with pytest.raises(Forbidden):
        await stats_of(database, by=NOBODY)

    async with database.sessions() as session:
        lines = await audit.recent(session, 5)
    assert [(line.actor.name, line.action, line.allowed) for line in lines] == [
        ("nora", "view", False)
    ]
