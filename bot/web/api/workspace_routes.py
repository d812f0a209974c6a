"""Routes of workspaces: which there are, why they stay, and requests to remove one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol
from uuid import UUID

from pydantic import Field

from bot.web.route import Answer, AnyRoute, Call, Method, NoParameters, Parameters, Route
from bot.words.markup import PLAIN
from bot.words.workspaces import stay_words
from core.domain.actor import Action, Actor, Role
from core.domain.workspaces.record import (
    HomeDisk,
    ListedWorkspace,
    RemovalWhy,
    WorkspaceState,
    WorkspacesView,
)
from core.domain.workspaces.stay import StayReason

_TAG = "Console"

WorkspaceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
DiskId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[!-~]+$")]


class WorkspacePath(Parameters):
    """A workspace's id."""

    workspace_id: WorkspaceId


class DiskQuery(Parameters):
    """On which disk, if several have a workspace with this id."""

    disk: DiskId | None = None


class WorkspaceAnswer(Answer):
    """A workspace on a worker's disk.

    Attributes:
        size_bytes: What it takes; `null` until it was measured.
        stays: Why it stays, in words; `null` if it went, or if nobody has looked yet.
        stay_reason: The same as a word for programs.
        stay_names: The first files, branches and so on that keep it.
        stay_count: How many there are in all.
        removable: Whether it could go, and only waits for its time.
        requested_at: When its removal was asked for, until that is answered.
    """

    workspace_id: str
    disk: str
    machine: str | None
    session_id: UUID | None
    session_name: str | None
    task: str
    repo: str | None
    state: WorkspaceState
    size_bytes: int | None
    used_at: datetime
    live_run: str | None
    stays: str | None
    stay_reason: StayReason | None
    stay_names: list[str]
    stay_count: int
    removable: bool
    examined_at: datetime | None
    requested_at: datetime | None
    removed_at: datetime | None
    removal_reason: RemovalWhy | None
    reclaimed_bytes: int | None


class DiskAnswer(Answer):
    """The disk of a home.

    Attributes:
        used_bytes: What its workspaces and mirrors take.
        removable_bytes: What could go at once if room were needed.
        max_bytes: What its workspaces and mirrors may take; `null` without a quota.
        missing_bytes: How much is missing for a run to start there.
        last_removed: How many workspaces the last clean-up removed.
    """

    disk: str
    machine: str
    total_bytes: int
    free_bytes: int
    used_bytes: int
    removable_bytes: int
    min_free_bytes: int
    max_bytes: int | None
    missing_bytes: int
    reported_at: datetime
    last_clean_up_at: datetime | None
    last_removed: int
    last_reclaimed_bytes: int


class WorkspaceList(Answer):
    """All workspaces, the largest first, and those that were removed in the last day."""

    at: datetime
    workspaces: list[WorkspaceAnswer]
    disks: list[DiskAnswer]


class WorkspaceReader(Protocol):
    """Reads workspaces, and asks for their removal; see `WorkspaceService`."""

    async def view(self, *, by: Actor) -> WorkspacesView:
        """All workspaces."""
        ...

    async def find(
        self, workspace_id: str, *, disk_id: str | None = None, by: Actor
    ) -> ListedWorkspace:
        """One workspace, there or gone."""
        ...

    async def clean(
        self, workspace_id: str, *, disk_id: str | None = None, by: Actor
    ) -> ListedWorkspace:
        """Ask for the removal of a workspace."""
        ...


@dataclass(frozen=True)
class WorkspaceRoutes:
    """Answers what is about workspaces."""

    workspaces: WorkspaceReader

    async def list_workspaces(
        self, call: Call[NoParameters, NoParameters, NoParameters]
    ) -> WorkspaceList:
        """All workspaces and disks."""
        view = await self.workspaces.view(by=call.actor)
        return WorkspaceList(
            at=view.at,
            workspaces=[_workspace(one) for one in view.workspaces],
            disks=[_disk(one) for one in view.disks],
        )

    async def get_workspace(
        self, call: Call[WorkspacePath, DiskQuery, NoParameters]
    ) -> WorkspaceAnswer:
        """One workspace."""
        found = await self.workspaces.find(
            call.path.workspace_id, disk_id=call.query.disk, by=call.actor
        )
        return _workspace(found)

    async def clean(self, call: Call[WorkspacePath, DiskQuery, NoParameters]) -> WorkspaceAnswer:
        """Ask for the removal of a workspace."""
        asked = await self.workspaces.clean(
            call.path.workspace_id, disk_id=call.query.disk, by=call.actor
        )
        return _workspace(asked)

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            Route(
                method=Method.GET,
                path="/workspaces",
                name="list_workspaces",
                summary="The workspaces on workers' disks, and why they stay",
                tag=_TAG,
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=NoParameters,
                query=NoParameters,
                body=NoParameters,
                answer=WorkspaceList,
                handler=self.list_workspaces,
            ),
            Route(
                method=Method.GET,
                path="/workspaces/{workspace_id}",
                name="get_workspace",
                summary="One workspace, there or gone",
                tag=_TAG,
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=WorkspacePath,
                query=DiskQuery,
                body=NoParameters,
                answer=WorkspaceAnswer,
                handler=self.get_workspace,
            ),
            Route(
                method=Method.POST,
                path="/workspaces/{workspace_id}/clean",
                name="clean_workspace",
                summary="Ask for the removal of a workspace",
                tag=_TAG,
                role=Role.OPERATOR,
                action=Action.CLEAN,
                path_parameters=WorkspacePath,
                query=DiskQuery,
                body=NoParameters,
                answer=WorkspaceAnswer,
                handler=self.clean,
                description="A worker of its disk looks at it within seconds, and removes it only "
                "if everything in it can be restored; otherwise it stays, with its reason. Read "
                "the workspace until `requested_at` is null. While a run needs it, this is "
                "refused at once (`workspace_stays`), and so it is if no worker of its disk is up "
                "(`nobody_cleans`).",
            ),
        ]


def _workspace(listed: ListedWorkspace) -> WorkspaceAnswer:
    row, stay = listed.row, listed.row.stay
    return WorkspaceAnswer(
        workspace_id=row.workspace_id,
        disk=row.disk_id,
        machine=listed.machine,
        session_id=row.session_id,
        session_name=listed.session_name,
        task=listed.title,
        repo=row.repo,
        state=row.state,
        size_bytes=row.bytes,
        used_at=row.used_at,
        live_run=listed.live_run,
        stays=None if stay is None else stay_words(stay, PLAIN),
        stay_reason=None if stay is None else stay.reason,
        stay_names=[] if stay is None else list(stay.names),
        stay_count=0 if stay is None else stay.count,
        removable=row.is_removable,
        examined_at=row.examined_at,
        requested_at=row.requested_at,
        removed_at=row.removed_at,
        removal_reason=row.removal_why,
        reclaimed_bytes=row.reclaimed_bytes,
    )


def _disk(disk: HomeDisk) -> DiskAnswer:
    return DiskAnswer(
        disk=disk.disk_id,
        machine=disk.machine,
        total_bytes=disk.room.total_bytes,
        free_bytes=disk.room.free_bytes,
        used_bytes=disk.room.used_bytes,
        removable_bytes=disk.removable_bytes,
        min_free_bytes=disk.min_free_bytes,
        max_bytes=disk.max_bytes,
        missing_bytes=disk.missing_bytes,
        reported_at=disk.reported_at,
        last_clean_up_at=disk.pass_ended_at,
        last_removed=disk.pass_removed,
        last_reclaimed_bytes=disk.pass_reclaimed_bytes,
    )
