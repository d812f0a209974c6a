"""What one evaluation costs: every statement uses an index, and what has ended costs nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, text

from core.domain.alerts.kinds import AlertKind
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.activity.awaited import AwaitedKind
from core.domain.runs.run import StopReason
from core.services.alerts.evaluation import AlertEvaluation
from core.store import terminations
from core.store.database.engine import Database
from core.store.sessions import sessions
from tests.alerts.world import RUNNER, AlertWorld
from tests.database import NOW, new_session, stored_run

OLD_RUNS = """
    INSERT INTO workflow_runs (id, run_id, workflow_name, task_input, status, created_at,
        updated_at, started_at, completed_at, session_id, stop_reason, cost_estimate, thread_key,
        outcome, is_end_evaluated)
    SELECT gen_random_uuid(), 'run_' || lpad(to_hex(n), 12, '0'), 'workflow ' || n % 4, 'work',
        'completed', at, at, at, at, :session, 'success', 0.5, 'run_' || lpad(to_hex(n), 12, '0'),
        'clean', true
    FROM (SELECT n, CAST(:now AS timestamptz) - interval '1 hour' - n * interval '10 minutes' AS at
          FROM generate_series(CAST(:first AS int), CAST(:last AS int)) n) old
"""
OLD_DAYS = """
    INSERT INTO run_days (day, workflow_name, ended, judged, failures, costed, cost_usd)
    SELECT CAST(CAST(:now AS timestamptz) AS date) - day, 'workflow ' || workflow, 30, 30, 1, 30, 15
    FROM generate_series(1, 900) day, generate_series(0, 3) workflow
"""
OLD = """
    INSERT INTO terminations (id, run_id, phase, requested_at, requested_from, force, completed_at)
    SELECT gen_random_uuid(), id, 'confirmed', created_at, 'slack', false, created_at
    FROM workflow_runs WHERE is_end_evaluated;

    INSERT INTO workflow_processes (id, run_id, attempt, worker_id, host, started_at, heartbeat_at,
        ended_at, gone_at)
    SELECT gen_random_uuid(), id, 1, 'w1:1', 'w1', created_at, created_at, created_at, created_at
    FROM workflow_runs WHERE is_end_evaluated;

    CREATE TEMPORARY TABLE old ON COMMIT DROP AS
    SELECT gen_random_uuid() AS id, gen_random_uuid() AS group_id, n,
        CAST(:now AS timestamptz) - interval '2 hours' - n * interval '5 minutes' AS at
    FROM generate_series(1, 10000) n;

    INSERT INTO alerts (id, kind, subject_type, subject_id, state, severity, opened_at,
        observed_at, fired_at, resolved_at, resolution)
    SELECT id, 'failed', 'run', 'run_' || n, 'resolved', 2, at, at, at, at, 'closed' FROM old;

    INSERT INTO alert_groups (id, team_id, channel_id, type, kind, opened_at)
    SELECT group_id, 'T1', 'C' || n % 20, 'alerts', 'failed', at FROM old;

    INSERT INTO alert_deliveries (alert_id, team_id, channel_id, handling, group_id, created_at)
    SELECT id, 'T1', 'C' || n % 20, 'shown', group_id, at FROM old;

    INSERT INTO alert_events (alert_id, at, what) SELECT id, at, 'fired' FROM old;

    INSERT INTO drawables (kind, key, team_id, desired_version, drawn_version, is_live)
    SELECT 'alert', CAST(group_id AS text), 'T1', 5, 5, false FROM old
"""
# They have a row for each process or channel, whatever has happened before.
SMALL = {"workers", "alert_subscriptions", "slack_health", "users"}


@dataclass
class Cost:
    """What an evaluation cost.

    Attributes:
        buffers: Pages of tables and indexes that were read.
        rows: Rows that the scans of tables gave or threw away.
        scanned: Tables that were read as a whole, with the statement.
    """

    statements: list[str] = field(default_factory=list)
    buffers: int = 0
    rows: int = 0
    scanned: set[tuple[str, str]] = field(default_factory=set)


async def cost_of_evaluation(world: AlertWorld) -> Cost:
    """Evaluate without keeping it, and explain each of its statements in their order."""
    engine = world.database.engine
    executed: list[tuple[str, Any]] = []

    def note(*call: Any) -> None:
        assert call[5] is False, "not one statement for many rows"
        executed.append((call[2], call[3]))

    async with world.database.sessions() as session:
        event.listen(engine.sync_engine, "before_cursor_execute", note)
        try:
            await AlertEvaluation(world.context, world.limits)._judge(session, world.now)
        finally:
            event.remove(engine.sync_engine, "before_cursor_execute", note)
        await session.rollback()
    cost = Cost()
    async with engine.connect() as connection:
        for statement, parameters in executed:
            explained = await connection.exec_driver_sql(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
            )
            found: Any = explained.scalar()
            plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
            cost.statements.append(statement)
            cost.buffers += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            for node in _nodes(plan):
                if "Relation Name" not in node or "Actual Rows" not in node:
                    continue
                thrown_away = node.get("Rows Removed by Filter", 0)
                cost.rows += round((node["Actual Rows"] + thrown_away) * node["Actual Loops"])
                if node["Node Type"] == "Seq Scan":
                    cost.scanned.add((node["Relation Name"], statement))
        await connection.rollback()
    return cost


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


async def _busy_fleet(world: AlertWorld) -> None:
    """Something of each kind is to be told, changed, ended and released."""
    for number in range(4):
        await world.subscribe(f"C{number}", kinds=frozenset(AlertKind))
    await world.worker("w1")
    await world.worker("w2")
    failed = await world.ended_run(StopReason.AGENT_ERROR, workflow_name="workflow 1")
    silent = [await world.start(budget_usd=Decimal(5)) for _ in range(4)]
    for run in silent:
        await world.hear(run, kind=AwaitedKind.MODEL)
    await world.evaluate()
    world.wait(minutes=6)
    await world.worker("w1")
    await world.evaluate()
    await world.alerts.snooze(
        [alert.id for alert in await world.all_alerts()], duration=timedelta(minutes=1), by=RUNNER
    )
    world.wait(minutes=2)
    await world.worker("w1")
    await world.hear(silent[0])
    await world.change(silent[1], cost_usd=Decimal(12))
    await world.start(parent_run_id=failed.id, session_id=failed.session_id)
    await stored_run(world.database, created_at=NOW, updated_at=NOW)
    async with world.database.sessions.begin() as session:
        kill = await terminations.open_or_join(
            session,
            Termination(
                id=uuid4(), run_id=silent[2].id, phase=Phase.REQUESTED, requested_at=world.now
            ),
        )
        await terminations.advance(session, kill.id, Phase.UNCONFIRMED, now=world.now)
    for reason in (StopReason.SUCCESS, StopReason.AGENT_ERROR, StopReason.MAX_TURNS):
        await world.ended_run(reason, workflow_name="workflow 1", cost_usd=Decimal(9))


async def _old(world: AlertWorld, first: int, last: int) -> None:
    async with world.database.sessions.begin() as session:
        conversation = new_session()
        await sessions.add(session, conversation)
        # Their session exists; a check of each row takes longer than the rows do.
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        for begin in range(first, last + 1, 10_000):
            await session.execute(
                text(OLD_RUNS),
                {
                    "now": NOW,
                    "session": conversation.id,
                    "first": begin,
                    "last": min(begin + 9_999, last),
                },
            )


async def _analyze(database: Database) -> None:
    async with database.engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.exec_driver_sql("VACUUM ANALYZE")


@pytest.mark.any_speed
async def test_an_evaluation_reads_only_what_is_live_or_open(database: Database) -> None:
    world = AlertWorld(database)
    await _old(world, 1, 1_000)
    await _busy_fleet(world)
    await _analyze(database)
    few = await cost_of_evaluation(world)

    await _old(world, 1_001, 100_000)
    async with database.sessions.begin() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text(OLD_DAYS), {"now": NOW})
        for statement in OLD.split(";"):
            await session.execute(text(statement.replace(":now", f"'{NOW.isoformat()}'")))
    await _analyze(database)
    many = await cost_of_evaluation(world)

    assert {table for table, _ in many.scanned} <= SMALL, many.scanned
    assert len(many.statements) == len(few.statements) > 30
    # The trees of the indexes are higher, and the totals of a workflow have more days.
    assert many.buffers < few.buffers * 2
    assert many.rows < few.rows + 200, "the days of a month and of 8 weeks"


@pytest.mark.any_speed
async def test_at_rest_an_evaluation_has_few_statements(database: Database) -> None:
    world = AlertWorld(database)
    await _old(world, 1, 1_000)
    for number in range(20):
        await world.subscribe(f"C{number}")
    await world.worker("w1")
    await _analyze(database)

    rest = await cost_of_evaluation(world)

    # Every 10 seconds: less than two a second by far.
    assert len(rest.statements) <= 10, rest.statements
