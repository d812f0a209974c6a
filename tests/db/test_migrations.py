from __future__ import annotations

import asyncio
import re
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from alembic.script import ScriptDirectory

from core.domain.actor import SYSTEM, Role
from core.domain.audit import AuditEntry
from core.domain.drawables import (
    SlackMessageState,
)
from core.domain.feed import ChangeKind
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import CostSource, RunStatus, StopReason, WaitingOn
from core.domain.runs.session import MessageRole, MessageType
from core.domain.runs.step import Step, StepStatus
from core.domain.token import ApiToken
from core.store import audit, events, steps, terminations, tokens, users
from core.store.database import migrate, schema
from core.store.database.advisory_locks import AdvisoryLock
from core.store.database.engine import Database, open_database
from core.store.database.schema import SchemaState
from core.store.runs import run_queries
from core.store.sessions.transcripts import Transcripts
from core.store.slack import deliveries
from tests.database import NOW, running_run
from tests.limits import limit

# All objects of a schema, except Alembic's own table.
_LEFT = """
    SELECT relname::text FROM pg_class
    WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        AND relname !~ '^(pg_toast|alembic_version)'
    UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^(pg_|information|public)'
    UNION ALL SELECT typname::text FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typname !~ 'alembic_version'
"""
_SEED_COLUMNS = """
    id run_id workflow_name agent_type ai_model task_input session_id session_name git_repo
    git_branch initial_commit_hash final_commit_hash git_diff_added_lines git_diff_removed_lines
    git_diff_files_changed git_diff_stats status result error_message created_at completed_at
    duration_seconds workspace_id workspace_persistent workspace_cleaned_up workspace_path
    cost_estimate input_tokens output_tokens total_tokens user_id metadata
"""


async def fill(database: Database) -> None:
    """Insert rows into the tables that could make a downgrade fail."""
    run = await running_run(database)
    async with database.sessions.begin() as session:
        await events.append(session, run.id, 1, [EventRecord(kind=EventKind.RUN_STARTED, at=NOW)])
        await steps.replace(session, run.id, [Step(step_id=1, name="Write tests")])
        await terminations.open_or_join(
            session,
            Termination(id=uuid4(), run_id=run.id, phase=Phase.REQUESTED, requested_at=NOW),
        )
        await audit.record(session, AuditEntry(at=NOW, actor=SYSTEM, action="x", allowed=True))
        await deliveries.receive(session, "k", {}, now=NOW)
        owner = await users.add(session, "ci", now=NOW)
        token = ApiToken(id=uuid4(), name="ci", created_at=NOW, role=Role.RUNNER, user_id=owner.id)
        await tokens.add(session, token, digest="d" * 64)
    await Transcripts(database).append(
        {"project_key": "p", "session_id": str(run.session_id)}, [{"type": "user"}]
    )


# In SQL of that revision, because the models have changed since.
_FIRST_ROWS = """
    INSERT INTO sessions (id, agent_name, created_at) VALUES (:session, 'implement', now());
    INSERT INTO workflow_runs (id, run_id, workflow_name, task_input, session_id, status)
        VALUES (:run, 'run_0123456789ab', 'implement', 'Do it', :session, 'running');
    INSERT INTO run_events (run_id, attempt, kind, at) VALUES (:run, 1, 'run_started', now());
    INSERT INTO terminations (id, run_id, phase, requested_at, requested_from, force)
        VALUES (:run, :run, 'requested', now(), 'slack', false)
"""


async def fill_first_revision(database: Database) -> None:
    """Insert rows into the tables of the first revision."""
    ids = {"session": f"'{uuid4()}'", "run": f"'{uuid4()}'"}
    async with database.engine.begin() as connection:
        for statement in _FIRST_ROWS.split(";"):
            await connection.exec_driver_sql(
                statement.replace(":session", ids["session"]).replace(":run", ids["run"])
            )


async def remaining_objects(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return [row[0] for row in await connection.fetch(_LEFT)]
    finally:
        await connection.close(timeout=5)


async def test_a_migrated_database_is_current(database: Database) -> None:
    assert await schema.schema_state(database) is SchemaState.CURRENT


async def test_an_empty_or_older_database_is_not_current(empty_dsn: str) -> None:
    async with open_database(empty_dsn) as database:
        assert await schema.schema_state(database) is SchemaState.BEHIND
        await asyncio.to_thread(migrate.upgrade, empty_dsn, "0001")
        assert await schema.schema_state(database) is SchemaState.BEHIND


def test_the_revisions_and_the_newest_are_those_that_alembic_finds() -> None:
    script = ScriptDirectory.from_config(migrate.config())

    assert schema.revisions() == {revision.revision for revision in script.walk_revisions()}
    assert [schema.newest_revision()] == script.get_heads()


async def test_a_start_brings_an_empty_database_up_to_date(empty_dsn: str) -> None:
    async with open_database(empty_dsn) as database:
        await schema.upgrade_if_behind(database)

        assert await schema.schema_state(database) is SchemaState.CURRENT


async def test_a_start_says_why_a_database_cannot_be_brought_up_to_date(empty_dsn: str) -> None:
    async with open_database(empty_dsn) as database:
        async with database.engine.begin() as connection:
            await connection.exec_driver_sql("CREATE TABLE users (id int)")

        with pytest.raises(schema.MigrationFailed, match=r'relation "users" already exists'):
            await schema.upgrade_if_behind(database)


async def test_every_revision_goes_up_and_down_on_data(empty_dsn: str) -> None:
    newest_first = ScriptDirectory.from_config(migrate.config()).walk_revisions()
    for revision in reversed(list(newest_first)):
        await asyncio.to_thread(migrate.upgrade, empty_dsn, revision.revision)
        await asyncio.to_thread(migrate.downgrade, empty_dsn, "-1")
        await asyncio.to_thread(migrate.upgrade, empty_dsn, revision.revision)
        if revision.is_base:
            async with open_database(empty_dsn) as database:
                await fill_first_revision(database)

    async with open_database(empty_dsn) as database:
        assert await schema.schema_state(database) is SchemaState.CURRENT
        async with database.sessions() as session:
            (stored,) = await run_queries.running(session)
            assert len(await events.of_run(session, stored.id)) == 1
    await asyncio.to_thread(migrate.downgrade, empty_dsn, "base")
    assert await remaining_objects(empty_dsn) == []
    await asyncio.to_thread(migrate.upgrade, empty_dsn)
    async with open_database(empty_dsn) as database:
        await fill(database)


# A run that ended and is drawn, one that ended and is not, a live one, and one whose thread took
# no more messages.  In SQL, as it was then.
_DRAWN_BEFORE = """
    INSERT INTO users (id, name, slack_team_id, slack_user_id, created_at, updated_at)
        VALUES ({user}, 'Ada', 'T1', 'U1', now(), now());
    INSERT INTO sessions (id, agent_name, created_at)
        SELECT md5(n::text)::uuid, 'implement', now() FROM generate_series(1, 4) n;
    INSERT INTO workflow_runs (run_id, workflow_name, task_input, session_id, status, user_id,
            version, is_drawn, slack_team_id, slack_channel_id, thread_key)
        SELECT 'run_' || n, 'implement', 'Do it', md5(n::text)::uuid,
            CASE n WHEN 3 THEN 'running' ELSE 'completed' END, {user}, 7, n IN (1, 4), 'T1', 'C1',
            'run_' || n
        FROM generate_series(1, 4) n;
    INSERT INTO slack_messages (id, thread_key, slot, channel_id, state, version, updated_at)
        SELECT gen_random_uuid(), 'run_' || n, 'card', 'C1', 'shown',
            CASE n WHEN 2 THEN 5 ELSE 7 END, now()
        FROM generate_series(1, 4) n;
    INSERT INTO slack_messages (id, thread_key, slot, channel_id, state, version, updated_at)
        VALUES (gen_random_uuid(), 'run_4', 'dm:run_4', 'D1', 'shown', 0, now());
    INSERT INTO slack_uncertain_writes (thread_key, slot, kind, due_at)
        VALUES ('run_4', 'dm:run_4', 'posted_twice', now()), ('run_3', 'card', 'overwritten', now())
"""
_DRAWABLES = """
    SELECT kind, key, channel_id, user_id, desired_version, drawn_version, is_live, is_open
    FROM drawables ORDER BY kind, key
"""
_BEFORE_DRAWABLES, _DRAWABLES_REVISION = "0007", "0008"


async def rows_of(dsn: str, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close(timeout=5)


async def test_what_was_drawn_is_known_after_the_revision_and_before_it(empty_dsn: str) -> None:
    await asyncio.to_thread(migrate.upgrade, empty_dsn, _BEFORE_DRAWABLES)
    async with open_database(empty_dsn) as database, database.engine.begin() as connection:
        user = f"'{uuid4()}'"
        for statement in _DRAWN_BEFORE.split(";"):
            await connection.exec_driver_sql(statement.replace("{user}", user))
    messages = "SELECT thread_key, slot, state, version FROM slack_messages ORDER BY 1, 2"
    uncertain = "SELECT thread_key, slot, kind FROM slack_uncertain_writes ORDER BY 1, 2"
    flags = "SELECT run_id, is_drawn FROM workflow_runs ORDER BY 1"
    before = [await rows_of(empty_dsn, query) for query in (messages, uncertain, flags)]

    await asyncio.to_thread(migrate.upgrade, empty_dsn, _DRAWABLES_REVISION)
    found = await rows_of(empty_dsn, _DRAWABLES)
    notices = await rows_of(
        empty_dsn,
        "SELECT thread_key, slot FROM slack_messages WHERE drawable_kind = 'owner_notice'"
        " UNION ALL SELECT thread_key, slot FROM slack_uncertain_writes"
        " WHERE drawable_kind = 'owner_notice'",
    )
    await asyncio.to_thread(migrate.downgrade, empty_dsn, _BEFORE_DRAWABLES)
    after = [await rows_of(empty_dsn, query) for query in (messages, uncertain, flags)]

    assert found == [
        ("owner_notice", "run_4", None, "U1", 1, 1, False, False),
        ("thread", "run_1", "C1", None, 7, 7, False, False),
        ("thread", "run_2", "C1", None, 7, 5, False, True),
        ("thread", "run_3", "C1", None, 7, 7, True, True),
        ("thread", "run_4", "C1", None, 7, 7, False, False),
    ]
    assert notices == [("run_4", "notice")] * 2
    assert after == before


# What an agent program reported before its numbers were checked.
_COSTS = """
    INSERT INTO sessions (id, agent_name, created_at)
        SELECT md5(n::text)::uuid, 'implement', now() FROM generate_series(1, 5) n;
    INSERT INTO workflow_runs (run_id, workflow_name, task_input, session_id, status,
            cost_estimate, cost_source)
        SELECT 'run_' || n, 'implement', 'Do it', md5(n::text)::uuid, 'completed',
            (ARRAY['NaN', '-1000000', '0', '1.5', NULL])[n]::numeric, 'reported'
        FROM generate_series(1, 5) n;
    INSERT INTO workflow_steps (run_id, step_id, name, status, cost_usd)
        SELECT id, 1, 'Look', 'completed', cost_estimate FROM workflow_runs
"""
_RUN_COSTS = "SELECT run_id, cost_estimate::float8, cost_source FROM workflow_runs ORDER BY 1"
_STEP_COSTS = "SELECT cost_usd::float8 FROM workflow_steps JOIN workflow_runs"
_STEP_COSTS += " ON workflow_runs.id = workflow_steps.run_id ORDER BY workflow_runs.run_id"
_BEFORE_COSTS, _COSTS_REVISION = "0009", "0010"


async def test_an_impossible_cost_is_unknown_after_the_revision_and_cannot_be_stored(
    empty_dsn: str,
) -> None:
    await asyncio.to_thread(migrate.upgrade, empty_dsn, _BEFORE_COSTS)
    async with open_database(empty_dsn) as database, database.engine.begin() as connection:
        for statement in _COSTS.split(";"):
            await connection.exec_driver_sql(statement)

    await asyncio.to_thread(migrate.upgrade, empty_dsn, _COSTS_REVISION)

    assert await rows_of(empty_dsn, _RUN_COSTS) == [
        ("run_1", None, None),
        ("run_2", None, None),
        ("run_3", 0, "reported"),
        ("run_4", 1.5, "reported"),
        ("run_5", None, "reported"),
    ]
    assert await rows_of(empty_dsn, _STEP_COSTS) == [(None,), (None,), (0,), (1.5,), (None,)]
    for cost in ("'NaN'", "-0.0000001"):
        for column in ("workflow_runs SET cost_estimate", "workflow_steps SET cost_usd"):
            with pytest.raises(asyncpg.CheckViolationError):
                await rows_of(empty_dsn, f"UPDATE {column} = {cost}")
    await asyncio.to_thread(migrate.downgrade, empty_dsn, _BEFORE_COSTS)
    assert await rows_of(empty_dsn, "UPDATE workflow_runs SET cost_estimate = 'NaN'") == []


# Completed runs: clean, with failing tests and an open step, with work that is not committed, and
# without any evidence; and one that was killed.
_ENDED = """
    INSERT INTO sessions (id, agent_name, created_at)
        SELECT md5(n::text)::uuid, 'implement', now() FROM generate_series(1, 5) n;
    INSERT INTO workflow_runs (run_id, workflow_name, task_input, session_id, status,
            metadata, git_diff_stats)
        SELECT 'run_' || n, 'implement', 'Do it', md5(n::text)::uuid,
            CASE n WHEN 5 THEN 'killed' ELSE 'completed' END,
            (ARRAY['{"tests": {"failed": 0}}', '{"tests": {"failed": 2}}', '{}', '{}', '{}'])[n]
                ::jsonb,
            (ARRAY[
                '{"commits": [{"sha": "1"}], "files": [{"committed": true}]}',
                '{"commits": [{"sha": "1"}], "files": [{"committed": true}]}',
                '{"commits": [], "files": [{"committed": false}]}', '{}', '{}'
            ])[n]::jsonb
        FROM generate_series(1, 5) n;
    INSERT INTO workflow_steps (run_id, step_id, name, status, completed_at)
        SELECT id, s, 'Look', CASE s WHEN 1 THEN 'completed' ELSE 'skipped' END,
            CASE WHEN s = 2 AND run_id = 'run_2' THEN NULL ELSE now() END
        FROM workflow_runs, generate_series(1, 2) s
"""
_OUTCOMES = "SELECT run_id, outcome, outcome_reasons FROM workflow_runs ORDER BY 1"
_BEFORE_OUTCOMES, _OUTCOMES_REVISION = "0010", "0011"


async def test_completed_runs_are_judged_by_their_rows(empty_dsn: str) -> None:
    await asyncio.to_thread(migrate.upgrade, empty_dsn, _BEFORE_OUTCOMES)
    async with open_database(empty_dsn) as database, database.engine.begin() as connection:
        for statement in _ENDED.split(";"):
            await connection.exec_driver_sql(statement)

    await asyncio.to_thread(migrate.upgrade, empty_dsn, _OUTCOMES_REVISION)

    assert await rows_of(empty_dsn, _OUTCOMES) == [
        ("run_1", "clean", "[]"),
        ("run_2", "attention", '["tests_failed", "steps_left"]'),
        ("run_3", "attention", '["nothing_committed", "uncommitted_changes"]'),
        ("run_4", "clean", "[]"),
        ("run_5", None, "[]"),
    ]
    for wrong in ("outcome = 'attention'", "outcome_reasons = '[1]'", "outcome = NULL"):
        run = "run_2" if wrong.endswith("NULL") else "run_1"
        with pytest.raises(asyncpg.CheckViolationError):
            await rows_of(empty_dsn, f"UPDATE workflow_runs SET {wrong} WHERE run_id = '{run}'")
    await asyncio.to_thread(migrate.downgrade, empty_dsn, _BEFORE_OUTCOMES)


async def test_concurrent_starts_migrate_one_after_another(empty_dsn: str) -> None:
    other = await asyncpg.connect(empty_dsn, timeout=10)
    try:
        await other.execute("SELECT pg_advisory_lock($1)", AdvisoryLock.MIGRATION)
        upgrades = [
            asyncio.create_task(asyncio.to_thread(migrate.upgrade, empty_dsn)) for _ in "ab"
        ]
        async with limit(20):
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while not await other.fetchval(waiting):  # noqa: ASYNC110 - only Postgres knows
                await asyncio.sleep(0.005)
        assert await other.fetchval("SELECT to_regclass('users')") is None
    finally:
        await other.close(timeout=5)

    await asyncio.gather(*upgrades)

    async with open_database(empty_dsn) as database:
        assert await schema.schema_state(database) is SchemaState.CURRENT


async def test_the_required_columns_exist(database: Database) -> None:
    async with database.engine.connect() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'workflow_runs'"
        )
        assert set(_SEED_COLUMNS.split()) <= set(rows.scalars())


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        ("valid_status", RunStatus),
        ("valid_stop_reason", StopReason),
        ("valid_waiting_on", WaitingOn),
        ("valid_cost_source", CostSource),
        ("valid_outcome", Outcome),
        ("valid_step_status", StepStatus),
        ("valid_phase", Phase),
        ("valid_role", MessageRole),
        ("valid_message_type", MessageType),
        ("valid_slack_message_state", SlackMessageState),
        ("valid_change_kind", ChangeKind),
    ],
)
async def test_the_schema_allows_every_value_of_the_domains_enums(
    database: Database, constraint: str, words: type[StrEnum]
) -> None:
    async with database.engine.connect() as connection:
        rows = await connection.exec_driver_sql(
            f"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = '{constraint}'"
        )
        found = re.findall(r"'(\w+)'", rows.scalar_one())
    assert sorted(found) == sorted(words)


async def test_released_revisions_are_found_without_the_checkout() -> None:
    script = ScriptDirectory.from_config(migrate.config())

    assert [revision.revision for revision in script.walk_revisions()][-1] == "0001"
    assert Path(script.dir).name == "migrations"
