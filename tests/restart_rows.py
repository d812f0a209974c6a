"""Rows of runs that ended, to be restarted, and a service that restarts them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from core.agent.definitions.catalog import Catalog, load_catalog
from core.domain.actor import Actor, Origin, Role
from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.request import Place, StartResult
from core.domain.runs.restarts.preview import ProblemKind, RestartPreview
from core.domain.runs.restarts.request import RestartRequest
from core.domain.runs.run import Run, StopReason
from core.domain.runs.step import Step, StepStatus
from core.domain.runs.work.diff import CommitInfo, DiffStat
from core.services.context import ServiceContext
from core.services.runs.restarts.service import RestartService
from core.store import steps
from core.store.database.engine import Database
from core.store.runs import runs
from core.store.sessions.transcripts import Transcripts
from tests.database import NOW, running_run
from tests.db.test_store_checkpoints import of, put
from tests.ledger_rows import spent

OPERATOR = Actor(role=Role.OPERATOR, origin=Origin.SLACK, name="op")
PLACE = Place(team_id="T1", channel_id="C1")
REPOSITORY = "https://github.com/acme/api"
ENTRY = uuid4()


@dataclass
class FakeProbe:
    """A repository that answers as the test wants."""

    is_of_worker: bool = True
    unreachable: str | None = None
    gone: set[str] = field(default_factory=set)
    changes: DiffStat | None = None

    async def problem(self, source: str) -> str | None:
        return self.unreachable

    async def lacks(self, source: str, commit: str) -> bool:
        return commit in self.gone

    async def changes_since(
        self, node: str, workspace_id: str, checkpoint: Checkpoint
    ) -> DiffStat | None:
        return self.changes


class TickingClock:
    """Each look is a moment later."""

    def __init__(self) -> None:
        self.now = NOW + timedelta(minutes=10)

    def __call__(self) -> Any:
        self.now += timedelta(milliseconds=1)
        return self.now


CLOCK = TickingClock()


def service(
    database: Database, probe: FakeProbe | None = None, catalog: Catalog | None = None
) -> RestartService:
    return RestartService(
        ServiceContext(database, CLOCK), catalog or load_catalog(), probe or FakeProbe()
    )


async def ended(database: Database, **fields: Any) -> Run:
    """A run that was killed at the third of its steps."""
    run = await running_run(database, cost_usd=Decimal("0.30"), **fields)
    await spent(database, run, "0.30")
    await Transcripts(database).append(
        {"project_key": "p", "session_id": str(run.session_id)},
        [
            {"type": "user", "uuid": str(run.id), "sessionId": str(run.session_id)},
            {"type": "assistant", "uuid": str(ENTRY), "sessionId": str(run.session_id)},
            {"type": "cost-state", "sessionId": str(run.session_id)},
            {"type": "assistant", "uuid": str(uuid4()), "sessionId": str(run.session_id)},
        ],
    )
    async with database.sessions.begin() as session:
        await steps.replace(
            session,
            run.id,
            [
                _step(1, StepStatus.COMPLETED, minute=1),
                _step(2, StepStatus.COMPLETED, minute=3),
                _step(3, StepStatus.IN_PROGRESS, minute=4),
                Step(step_id=4, name="Step 4"),
            ],
        )
        return await runs.finish(
            session,
            run.run_id,
            attempt=1,
            stop_reason=StopReason.KILLED,
            now=NOW + timedelta(minutes=5),
            diff=DiffStat(
                commits=(
                    CommitInfo(sha="e" * 40, subject="Later"),
                    CommitInfo(sha="b" * 40, subject="Before"),
                )
            ),
        )


def _step(number: int, status: StepStatus, *, minute: int) -> Step:
    at = NOW + timedelta(minutes=minute)
    is_done = status is StepStatus.COMPLETED
    return Step(
        step_id=number,
        name=f"Step {number}",
        status=status,
        started_at=at - timedelta(seconds=30),
        completed_at=at if is_done else None,
    )


async def with_checkpoint(database: Database, run: Run, **changes: Any) -> Checkpoint:
    """A checkpoint after the first step."""
    taken = of(
        run, taken_at=NOW + timedelta(minutes=2), message_uuid=ENTRY, cost_usd=Decimal("0.10")
    )
    bundle = None if changes.get("not_stored") else b""
    stored = await put(database, replace(taken, **changes), bundle)
    assert stored is not None
    return stored


def request(run: Run, **fields: Any) -> RestartRequest:
    return RestartRequest(**{"target": run.run_id, "request_key": uuid4().hex, **fields})


async def restart(database: Database, run: Run, **fields: Any) -> StartResult:
    return await service(database).restart(request(run, **fields), by=OPERATOR, place=PLACE)


async def preview(database: Database, run: Run, **fields: Any) -> RestartPreview:
    return await service(database).preview(request(run, **fields), by=OPERATOR)


def kinds(found: RestartPreview) -> set[ProblemKind]:
    return {problem.kind for problem in found.problems}
