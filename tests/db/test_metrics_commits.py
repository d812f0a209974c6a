"""What a process counts of its transactions: after their commit, and only then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from core.domain.kills.termination import Phase, Termination
from core.domain.retention import RetentionKind
from core.domain.runs.run import Run, RunStatus, StopReason
from core.store import terminations
from core.store.database.engine import Database, open_database
from core.store.runs import runs
from tests.database import NOW, running_run, stored_run

LATER = NOW + timedelta(seconds=90)


@dataclass
class Heard:
    """A meter that keeps what it hears."""

    began: list[Run] = field(default_factory=list)
    ended: list[Run] = field(default_factory=list)
    kills: list[Termination] = field(default_factory=list)
    fails: bool = False

    def run_began(self, run: Run) -> None:
        self.began.append(run)

    def run_ended(self, run: Run) -> None:
        if self.fails:
            raise ZeroDivisionError
        self.ended.append(run)

    def kill_advanced(self, kill: Termination) -> None:
        self.kills.append(kill)

    def alerts_evaluated(self, at: datetime) -> None:
        raise AssertionError

    def expired_removed(self, kind: RetentionKind, *, rows: int, months: int) -> None:
        """Nothing."""


@asynccontextmanager
async def measured(database: Database, heard: Heard) -> AsyncIterator[Database]:
    async with open_database(database.dsn, pool_size=2, meter=heard) as opened:
        yield opened


async def finish(database: Database, run: Run, reason: StopReason = StopReason.SUCCESS) -> Run:
    async with database.sessions.begin() as session:
        return await runs.finish(
            session, run.run_id, attempt=run.attempt, stop_reason=reason, now=LATER
        )


async def test_what_is_committed_is_counted_once(database: Database) -> None:
    heard = Heard()
    run = await stored_run(database)
    async with measured(database, heard) as own:
        async with own.sessions.begin() as session:
            begun = await runs.begin(session, run.run_id, attempt=1, worker_id="w1", now=NOW)
            before_commit = list(heard.began)
        ended = await finish(own, begun)

    assert before_commit == []
    assert heard.began == [begun]
    assert heard.ended == [ended]


async def test_what_is_rolled_back_is_not_counted(database: Database) -> None:
    heard = Heard()
    run = await running_run(database)
    async with measured(database, heard) as own, own.sessions() as session:
        await runs.finish(session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=LATER)
        await session.rollback()

    assert heard == Heard()


async def test_a_savepoint_does_not_count_what_the_transaction_may_still_lose(
    database: Database,
) -> None:
    heard = Heard()
    run = await running_run(database)
    async with measured(database, heard) as own, own.sessions.begin() as session:
        await runs.finish(session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=LATER)
        async with session.begin_nested():
            recounted = await runs.change(session, run.run_id, now=LATER, cost_usd=Decimal("0.5"))
        after_savepoint = list(heard.ended)

    assert after_savepoint == []
    assert heard.ended == [recounted]


async def test_a_kill_is_counted_in_each_phase(database: Database) -> None:
    heard = Heard()
    run = await running_run(database)
    kill = Termination(id=uuid4(), run_id=run.id, phase=Phase.REQUESTED, requested_at=NOW)
    async with measured(database, heard) as own, own.sessions.begin() as session:
        await terminations.open_or_join(session, kill)
        await terminations.advance(session, kill.id, Phase.ACKNOWLEDGED, now=NOW)
        await terminations.advance(
            session, kill.id, Phase.CONFIRMED, now=NOW + timedelta(milliseconds=700)
        )

    assert [one.phase for one in heard.kills] == [Phase.ACKNOWLEDGED, Phase.CONFIRMED]
    assert heard.kills[-1].phases[Phase.CONFIRMED] == 700


async def test_a_defect_of_the_count_does_not_look_like_a_failed_commit(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    run = await running_run(database)
    async with measured(database, Heard(fails=True)) as own:
        ended = await finish(own, run)

    assert ended.status is RunStatus.COMPLETED
    assert [getattr(record, "event", None) for record in caplog.records] == ["measurement.failed"]
