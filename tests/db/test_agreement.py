"""`signalbox doctor` proves that rows, ledger, history and transcripts agree, or says where not."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from bot.cli.data_checks import data_results
from bot.words.agreement import PLACES
from core.domain.agreement import Source
from core.domain.runs.run import CostSource, Run, StopReason, Usage
from core.domain.sessions.ledger import EntrySource, LedgerEntry
from core.runner.agreement import AgreementCheck
from core.runner.execution.attempt import prompt_uuid_of
from core.services.analytics import AnalyticsService
from core.services.context import ServiceContext
from core.store import ledger
from core.store.database.engine import Database
from core.store.runs import runs
from core.store.sessions.transcripts import Transcripts
from tests.database import NOW, running_run

USAGE = Usage(input_tokens=10, output_tokens=100)


async def ended_run(database: Database, **final: Any) -> Run:
    """An ended run of which everything agrees, with one answer in its transcript."""
    run = await running_run(database)
    prompt = {"type": "user", "uuid": str(prompt_uuid_of(run, 1))}
    message = {
        "id": "msg_1",
        "model": "claude-sonnet-4-6",
        "usage": {"input_tokens": 10, "output_tokens": 100},
    }
    answer = {"type": "assistant", "uuid": "answer-1", "message": message}
    key = {"project_key": "p", "session_id": str(run.session_id)}
    await Transcripts(database).append(key, [prompt, answer])
    entry = LedgerEntry(
        run_id=run.id,
        session_id=run.session_id,
        attempt=1,
        source=EntrySource.ESTIMATED,
        cost_usd=Decimal("0.25"),
        usage=USAGE,
        turns=1,
        recorded_at=NOW,
    )
    values = {
        "turns": 1,
        "usage": USAGE,
        "cost_usd": Decimal("0.25"),
        "cost_source": CostSource.ESTIMATED,
        **final,
    }
    async with database.sessions.begin() as session:
        await ledger.put(session, entry)
        return await runs.finish(
            session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW, **values
        )


async def compute(database: Database) -> None:
    await AnalyticsService(ServiceContext(database, lambda: NOW)).compute_changed_days()


async def change(database: Database, statement: str) -> None:
    """Change rows behind the program's back: without triggers."""
    async with database.sessions.begin() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text(statement))


async def said(database: Database) -> list[str]:
    return [result.line for result in await data_results(database)]


async def test_what_agrees_is_one_line(database: Database) -> None:
    await ended_run(database)
    await compute(database)

    lines = await said(database)

    compared = "1 run, 1 transcript and 1 day of the history"
    assert lines == [f"✓ rows, ledger, history and transcripts agree: {compared}"]


async def test_an_empty_database_agrees(database: Database) -> None:
    found = await AgreementCheck(database).run()

    assert (found.runs, found.days, found.disagreements) == (0, 0, [])


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "UPDATE ledger_entries SET cost_usd = 1",
            "cost 0.2500000 in its row, 1.0000000 in the ledger",
        ),
        ("UPDATE ledger_entries SET turns = 4", "turns 1 in its row, 4 in the ledger"),
        (
            "UPDATE ledger_entries SET source = 'reported'",
            "source of the cost estimated in its row, reported in the ledger",
        ),
        (
            "UPDATE ledger_entries SET output_tokens = 7",
            "tokens 10/100/0/0 in its row, 10/7/0/0 in the ledger",
        ),
    ],
)
async def test_a_row_that_differs_from_the_ledger_is_named(
    database: Database, statement: str, words: str
) -> None:
    run = await ended_run(database)
    await change(database, statement)

    assert await said(database) == [f"✗ {run.run_id}: {words}."]


async def test_an_answer_that_was_not_counted_is_named(database: Database) -> None:
    run = await ended_run(database, turns=0, usage=Usage())
    await change(
        database, "UPDATE ledger_entries SET turns = 0, input_tokens = 0, output_tokens = 0"
    )

    assert await said(database) == [
        f"✗ {run.run_id}: turns 0 in its row, 1 in its transcript.",
        f"✗ {run.run_id}: tokens 0/0/0/0 in its row, 10/100/0/0 in its transcript.",
    ]


async def test_a_day_that_differs_from_its_runs_is_named(database: Database) -> None:
    await ended_run(database)
    await compute(database)
    await change(database, "UPDATE analytics_days SET tool_calls = 9 WHERE grain = 3")

    assert await said(database) == [
        f"✗ {NOW.date()}: tool calls 9 in the history, 0 in its runs.",
    ]


async def test_a_day_that_has_changed_is_not_compared_before_it_is_computed(
    database: Database,
) -> None:
    await ended_run(database)
    await compute(database)
    await ended_run(database)

    found = await AgreementCheck(database).run()

    assert (found.runs, found.days, found.disagreements) == (2, 0, [])


async def test_many_disagreements_are_counted(database: Database) -> None:
    for _ in range(12):
        await ended_run(database)
    await change(database, "UPDATE ledger_entries SET turns = 4")

    lines = await said(database)

    assert len(lines) == 11
    assert lines[-1] == "✗ 2 more numbers do not agree."


async def test_events_without_a_run_are_counted(database: Database) -> None:
    await change(
        database,
        "INSERT INTO run_events (run_id, attempt, kind, at)"
        f" VALUES (gen_random_uuid(), 1, 'x', '{NOW}')",
    )

    assert "✗ 1 event of runs that do not exist." in await said(database)


async def test_rows_without_a_month_are_a_warning(database: Database) -> None:
    await ended_run(database)
    early = NOW - timedelta(days=2000)
    await change(
        database,
        "INSERT INTO audit_log (at, action, allowed, actor_role, actor_origin, actor_name)"
        f" VALUES ('{early}', 'x', true, 1, 'slack', 'ann')",
    )

    assert any(
        line.startswith("! 1 row of audit_log without a partition") for line in await said(database)
    )


def test_every_place_has_its_words() -> None:
    assert set(PLACES) == set(Source)
