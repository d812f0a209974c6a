"""A worker's inbox without agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import select, text

from core.agent.definitions.catalog import load_catalog
from core.domain.actor import Actor, Origin, Role
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run
from core.domain.workflow import WorkflowDefinition
from core.runner.execution.attempt import Attempt
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.progress import Progress
from core.runner.worker.inbox import Inbox
from core.runner.worker.lease import Lease
from core.services.context import ServiceContext
from core.services.runs.runs import RunService
from core.store.database.engine import Database
from core.store.tables.fleet import WorkerMessageRow
from tests.database import NOW, stored_run
from tests.limits import limit

WORKER = "here-1:deadbeef"
CATALOG = load_catalog()
BOSS = Actor(role=Role.OPERATOR, origin=Origin.SLACK, name="boss")


@dataclass
class InboxHarness:
    """A worker's inbox and lease, without agents."""

    database: Database
    worker_id: str = WORKER
    lease: Lease = field(default_factory=Lease)

    def __post_init__(self) -> None:
        self.context = ServiceContext(self.database, lambda: NOW)
        self.inbox = Inbox(self.context, self.worker_id, self.lease)

    async def begun(self) -> Attempt:
        """An attempt that this worker has taken, and does not hold yet."""
        run = await stored_run(self.database)
        begun = await Ledger(self.context, self.worker_id, "here").begin(run.run_id, 1)
        assert begun is not None
        return Attempt(
            run=begun,
            definition=WorkflowDefinition(name="implement", description="", prompt=""),
            progress=Progress(model=None),
        )

    async def kill(self, run: Run, *, force: bool = False) -> None:
        """Ask for its end, as a person does."""
        await RunService(self.context, CATALOG).kill(
            KillRequest(target=run.run_id, force=force), by=BOSS
        )

    async def rows(self) -> list[tuple[str, str, str | None]]:
        """Addressee, kind and outcome of each message, oldest first."""
        async with self.database.sessions() as session:
            found = await session.scalars(select(WorkerMessageRow).order_by(WorkerMessageRow.id))
            return [(one.worker_id, one.kind, one.outcome) for one in found]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The inbox at work."""
        task = asyncio.create_task(self.inbox.run(), name="inbox under test")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


async def wait_until(holds: Callable[[], bool]) -> None:
    async with limit(20):
        while not holds():  # noqa: ASYNC110 - a flag of another task, which tells nobody
            await asyncio.sleep(0.01)


async def wait_for_rows(harness: InboxHarness, wanted: list[tuple[str, str, str | None]]) -> None:
    async with limit(20):
        while await harness.rows() != wanted:  # noqa: ASYNC110 - nobody tells of a mark
            await asyncio.sleep(0.01)


async def connected(database: Database) -> None:
    """Wait until the inbox listens, and has read what was there before."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'signalbox-listen' AND query = 'SELECT 1'"
    )
    async with limit(20):
        while True:
            async with database.sessions() as session:
                if await session.scalar(query):
                    return
            await asyncio.sleep(0.01)
