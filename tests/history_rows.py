"""Ended runs of past days, for tests of the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID, uuid4

from sqlalchemy import insert, update

from core.domain.actor import Origin
from core.domain.kills.termination import Phase
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import StopReason
from core.domain.sessions.ledger import EntrySource, LedgerEntry
from core.store import ledger
from core.store.database.engine import Database
from core.store.runs import runs
from core.store.sessions import sessions
from core.store.tables.runs import RunRow
from core.store.tables.terminations import TerminationRow
from tests.database import NOW, new_run, new_session


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """A run that ended.

    Attributes:
        cost: In US dollars; `None` if it is unknown.
        kill_ms: From the request of its kill to the proof, if it was killed.
    """

    day: date
    workflow: str = "implement"
    repository: str | None = None
    person: UUID | None = None
    reason: StopReason = StopReason.SUCCESS
    outcome: Outcome | None = Outcome.CLEAN
    seconds: int = 60
    cost: str | None = "1.00"
    source: EntrySource = EntrySource.REPORTED
    kill_ms: int | None = None


async def store_past_runs(database: Database, past: Sequence[PastRun]) -> None:
    """Store runs as if they had been."""
    async with database.sessions.begin() as session:
        for one in past:
            identity, session_id = uuid4(), uuid4()
            ended = datetime.combine(one.day, time(12), UTC)
            await sessions.add(session, new_session(id=session_id))
            await runs.add(session, new_run(session_id, id=identity, user_id=one.person))
            outcome = one.outcome if one.reason is StopReason.SUCCESS else None
            await session.execute(
                update(RunRow)
                .where(RunRow.id == identity)
                .values(
                    workflow_name=one.workflow,
                    git_repo=one.repository,
                    created_at=ended - timedelta(seconds=one.seconds),
                    started_at=ended - timedelta(seconds=one.seconds),
                    completed_at=ended,
                    status=one.reason.final_status.value,
                    stop_reason=one.reason.value,
                    outcome=None if outcome is None else outcome.value,
                    outcome_reasons=["tests_failed"] if outcome is Outcome.ATTENTION else [],
                    duration_seconds=one.seconds,
                )
            )
            entry = LedgerEntry(
                run_id=identity,
                session_id=session_id,
                attempt=1,
                source=EntrySource.UNKNOWN if one.cost is None else one.source,
                cost_usd=None if one.cost is None else Decimal(one.cost),
                usage=None,
                turns=3,
                recorded_at=NOW,
            )
            await ledger.put(session, entry)
            if one.kill_ms is not None:
                await session.execute(
                    insert(TerminationRow).values(
                        id=uuid4(),
                        run_id=identity,
                        phase=Phase.CONFIRMED.value,
                        requested_at=ended,
                        requested_from=Origin.SLACK,
                        force=False,
                        phases={Phase.REQUESTED.value: 0, Phase.CONFIRMED.value: one.kill_ms},
                    )
                )


_REASONS = {
    StopReason.SUCCESS: 80,
    StopReason.AGENT_ERROR: 8,
    StopReason.MAX_TURNS: 5,
    StopReason.KILLED: 7,
}
_WORKFLOWS = {"implement": 6, "fix": 3, "review": 2, "document": 1}


def some_past_runs(
    last: date, days: int, people: Sequence[UUID], *, a_day: int = 6, seed: int = 1
) -> list[PastRun]:
    """Runs of each of some days: a few fail, a few are killed, and one day is expensive."""
    random = Random(seed)
    found = []
    for number in range(days):
        day = last - timedelta(days=number)
        factor = 8 if number == days // 8 else 1
        for _ in range(random.randrange(1, 2 * a_day)):
            reason = random.choices(list(_REASONS), list(_REASONS.values()))[0]
            found.append(
                PastRun(
                    day=day,
                    workflow=random.choices(
                        ["implement", "fix", "review", "document"], [6, 3, 2, 1]
                    )[0],
                    repository=random.choice(
                        [None, "https://github.com/acme/api", "https://github.com/acme/web"]
                    ),
                    person=random.choice([None, *people]),
                    reason=reason,
                    outcome=random.choices([Outcome.CLEAN, Outcome.ATTENTION], [5, 1])[0],
                    seconds=round(random.lognormvariate(5.5, 0.8)),
                    cost=f"{random.lognormvariate(0, 0.7) * factor:.4f}",
                    source=random.choices([EntrySource.REPORTED, EntrySource.ESTIMATED], [9, 1])[0],
                    kill_ms=random.randrange(400, 4000) if reason is StopReason.KILLED else None,
                )
            )
    return found
