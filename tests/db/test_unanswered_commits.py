"""Progress whose commit is not answered is stored once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.results.attempt_result import AttemptResult
from core.domain.runs.event import AgentText, EventKind
from core.domain.runs.run import Run, StopReason
from core.runner.execution.attempt import Attempt
from core.runner.execution.ledgers.ledger import Ledger
from core.services.context import ServiceContext
from core.store import events
from core.store.database.direct import DirectReads
from core.store.database.engine import Database, DatabaseUnavailable
from tests.database import NOW
from tests.inbox_harness import WORKER, InboxHarness
from tests.limits import limit


@dataclass
class UnansweredStatements(DirectReads):
    """Statements whose answers do not arrive: they are lost, or late.

    Attributes:
        has_committed: Set after the first statement.
    """

    are_late: bool = False
    has_committed: asyncio.Event = field(default_factory=asyncio.Event)

    async def write_row(self, statement: str, *arguments: object) -> asyncpg.Record | None:
        await super().write_row(statement, *arguments)
        await self.lose_answer()
        return None

    async def lose_answer(self) -> None:
        """Never answer, or break the connection."""
        self.has_committed.set()
        if self.are_late:
            await asyncio.Event().wait()
        raise DatabaseUnavailable("connection was closed in the middle of operation")


@dataclass(frozen=True)
class UnansweredCommits(ServiceContext):
    """A database whose answers to commits do not arrive either."""

    statements: UnansweredStatements

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        async with super().transaction() as session:
            yield session
        await self.statements.lose_answer()


def add_events(attempt: Attempt) -> None:
    attempt.progress.add_record(EventKind.WORKSPACE_READY, NOW, commit="c0ffee", size=1.0)
    attempt.progress.add_event(AgentText(text="Half a \udce4nd \0"), at=NOW)


async def write_unanswered(attempt: Attempt, database: Database, *, are_late: bool) -> None:
    statements = UnansweredStatements(database.engine, are_late=are_late)
    unanswered = UnansweredCommits(
        replace(database, reads=statements), lambda: NOW, statements=statements
    )
    ledger = Ledger(unanswered, WORKER, "here")
    writing = asyncio.create_task(ledger.write_progress(attempt), name="unanswered write")
    async with limit(10):
        await statements.has_committed.wait()
    if are_late:
        writing.cancel()
    with pytest.raises(asyncio.CancelledError if are_late else DatabaseUnavailable):
        await writing
    await statements.close()


async def kinds(database: Database, run: Run) -> list[EventKind]:
    async with database.sessions() as session:
        return [one.kind for one in await events.of_run(session, run.id)]


@pytest.mark.parametrize("are_late", [False, True], ids=["lost answer", "cancelled"])
async def test_progress_whose_commit_is_not_answered_is_stored_once(
    database: Database, are_late: bool
) -> None:
    inbox = InboxHarness(database)
    attempt = await inbox.begun()
    add_events(attempt)
    await write_unanswered(attempt, database, are_late=are_late)
    # The same once more is another event.
    add_events(attempt)

    await Ledger(inbox.context, WORKER, "here").write_progress(attempt)

    both = [EventKind.WORKSPACE_READY, EventKind.AGENT_TEXT]
    assert await kinds(database, attempt.run) == [EventKind.RUN_STARTED, *both, *both]


async def test_progress_whose_last_commit_is_not_answered_is_stored_once_with_the_end(
    database: Database,
) -> None:
    inbox = InboxHarness(database)
    attempt = await inbox.begun()
    add_events(attempt)
    # Two writes in a row, of which the second finds what the first has stored.
    await write_unanswered(attempt, database, are_late=True)
    await write_unanswered(attempt, database, are_late=False)

    await Ledger(inbox.context, WORKER, "here").finish(
        attempt, AttemptResult(stop_reason=StopReason.SUCCESS, result=None, error=None)
    )

    assert await kinds(database, attempt.run) == [
        EventKind.RUN_STARTED,
        EventKind.WORKSPACE_READY,
        EventKind.AGENT_TEXT,
        EventKind.RUN_ENDED,
    ]
