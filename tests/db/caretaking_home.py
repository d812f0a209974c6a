"""A home with workspaces of ended runs, and a clock that a test turns."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from core.domain.actor import Actor, Origin, Role
from core.domain.runs.run import Run, StopReason
from core.domain.workspaces.policy import CleanUpPolicy
from core.domain.workspaces.record import WorkspaceRow
from core.runner.caretaking.caretaker import Caretaker
from core.runner.execution.ledgers.ledger import Ledger
from core.services.context import ServiceContext
from core.services.fleet.workspaces import WorkspaceService
from core.store.database.engine import Database
from core.store.fleet import workspaces
from core.store.runs import run_queries, runs
from core.store.sessions import sessions
from core.workspace.cleaning.cleaner import WorkspaceCleaner
from core.workspace.workspaces import Workspace, Workspaces
from tests.database import NOW, stored_run
from tests.unit import workspace_states as states
from tests.unit.cleaned_workspaces import new_origin
from tests.unit.repositories import allowing

WORKER = "here-aa-1:deadbeef"
DISK = "here-aa"
BOSS = Actor(role=Role.OPERATOR, origin=Origin.API, name="boss")
EVERYTHING = CleanUpPolicy(max_age=timedelta(days=14), min_free_bytes=0)


@dataclass
class Home:
    """A home with workspaces of ended runs, and a clock that the test turns."""

    database: Database
    folder: Path
    policy: CleanUpPolicy = EVERYTHING
    at: datetime = NOW
    workspaces: Workspaces = field(init=False)
    origin: Path = field(init=False)

    def __post_init__(self) -> None:
        self.origin = new_origin(self.folder)
        self.workspaces = Workspaces(
            self.folder / "home", git_timeout=timedelta(seconds=30), policy=allowing(self.folder)
        )

    @property
    def context(self) -> ServiceContext:
        return ServiceContext(self.database, lambda: self.at)

    @property
    def service(self) -> WorkspaceService:
        return WorkspaceService(self.context)

    def caretaker(self, worker: str = WORKER) -> Caretaker:
        cleaner = WorkspaceCleaner(self.workspaces, self.policy.disposable)
        return Caretaker(Ledger(self.context, worker, "here#boot"), cleaner, self.policy)

    async def ended(self, *acts: states.Act, node: str = "here-aa-1") -> tuple[Run, Workspace]:
        """A run that has ended, with what its agent left in the workspace."""
        run = await stored_run(self.database, git_repo=str(self.origin))
        workspace = await self.workspaces.prepare(
            workspace_id=f"ws_{run.session_id.hex[:12]}",
            source=str(self.origin),
            branch=None,
            run_branch="signalbox/implement/run",
        )
        for act in acts:
            act(workspace.path, self.origin)
        async with self.database.sessions.begin() as session:
            await runs.begin(session, run.run_id, attempt=1, worker_id=f"{node}:aa", now=self.at)
            await runs.change(
                session, run.run_id, now=self.at, workspace_id=workspace.id,
                workspace_path=str(workspace.path),
            )  # fmt: skip
            await sessions.change(
                session, run.session_id, workspace_id=workspace.id, workspace_node=node
            )
            run = await runs.finish(
                session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=self.at
            )
        return run, workspace

    async def row(self, workspace: Workspace) -> WorkspaceRow:
        async with self.database.sessions() as session:
            return (await workspaces.of_disk(session, DISK))[workspace.id]

    async def read(self, run: Run) -> Run:
        async with self.database.sessions() as session:
            return await run_queries.get(session, run.run_id)

    async def clean_up(self, later: timedelta = timedelta(days=20)) -> Caretaker:
        self.at += later
        caretaker = self.caretaker()
        await caretaker.start()
        await caretaker.clean_up()
        return caretaker
