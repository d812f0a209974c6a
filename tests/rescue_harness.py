"""A rescue of runs whose worker is silent, with a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from core.domain.fleet.attempt import STALLED_AFTER
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.recovery.lost_worker import RECHECK_AFTER
from core.runner.recovery.rescue import Rescue
from core.services.context import ServiceContext
from core.store import events
from core.store.database.engine import Database
from core.store.fleet import attempts
from tests.database import NOW, stored_run
from tests.rescuer import rescuer


@dataclass
class RescueHarness:
    """A rescue service on its own machine, with a clock that the test moves."""

    database: Database
    now: datetime = NOW
    rescue: Rescue = field(init=False)

    def __post_init__(self) -> None:
        work = ServiceContext(self.database, lambda: self.now)
        self.ledger = Ledger(work, "there-1:0badcafe", "there")
        self.rescue = rescuer(self.ledger)

    async def start_run(self, worker: str = "here-1:deadbeef", **fields: object) -> Run:
        """A run that another worker executes."""
        run = await stored_run(self.database, **fields)
        return await self.begin(run, worker)

    async def begin(self, run: Run, worker: str = "here-1:deadbeef") -> Run:
        """The run after that worker began it."""
        begun = await Ledger(self.ledger.context, worker, "here").begin(run.run_id, run.attempt)
        assert begun is not None
        return begun

    async def beat(self, worker: str = "here-1:deadbeef") -> frozenset[tuple[object, int]]:
        """Send a heartbeat of a worker."""
        async with self.database.sessions.begin() as session:
            return await attempts.renew_heartbeats(session, worker, now=self.now)

    async def check_twice(self) -> list[Run]:
        """Make both checks of the rescue, the second one after the required time."""
        self.now += STALLED_AFTER + timedelta(seconds=1)
        assert await self.rescue.rescue_lost_runs() == []
        self.now += RECHECK_AFTER
        return await self.rescue.rescue_lost_runs()

    async def event_data(self, run: Run, kind: EventKind) -> list[dict[str, object]]:
        """Data of the run's events of this kind."""
        async with self.database.sessions() as session:
            return [dict(one.data) for one in await events.of_run(session, run.id, kinds=(kind,))]


@pytest.fixture
def rescue_harness(database: Database) -> RescueHarness:
    return RescueHarness(database)


def record(node: str = "here-1", **fields: object) -> WorkerRecord:
    """A worker that is up, as it tells of itself."""
    values: dict[str, object] = {
        "worker_id": f"{node}:{uuid4().hex[:8]}",
        "node": node,
        "host": "here",
        "slots": 2,
        "state": WorkerState.UP,
        "started_at": NOW,
        "heartbeat_at": NOW,
        "program_version": "1",
    }
    return WorkerRecord(**(values | fields))  # type: ignore[arg-type]
