"""Workspaces and disks as their workers have reported them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from core.domain.errors import Conflict, NotFound
from core.domain.workspaces.policy import CleanUpPolicy, DiskRoom
from core.domain.workspaces.stay import Stay


class WorkspaceState(StrEnum):
    """Whether a workspace is on its disk.

    `REMOVING` is written before it is removed, `REMOVED` afterwards; `MISSING` is one that went
    in another way.
    """

    PRESENT = "present"
    REMOVING = "removing"
    REMOVED = "removed"
    MISSING = "missing"


class RemovalWhy(StrEnum):
    """Why a workspace was removed."""

    DELIVERED = "delivered"
    AGE = "age"
    ROOM = "room"
    REQUEST = "request"


@dataclass(frozen=True, kw_only=True)
class WorkspaceRow:
    """One row of `workspaces`: one workspace on one disk.

    Attributes:
        disk_id: The disk, which all nodes of one home share.
        bytes: What it takes; `None` until it was measured.
        used_at: When a run last worked in it.
        stay: Why it stays; `None` if nobody has looked yet, or if it went.
        is_removable: Whether it could go, and only waits for its time.
        requested_at: When a person asked for its removal, until that is answered.
    """

    disk_id: str
    workspace_id: str
    state: WorkspaceState
    used_at: datetime
    reported_at: datetime
    session_id: UUID | None = None
    repo: str | None = None
    bytes: int | None = None
    stay: Stay | None = None
    is_removable: bool = False
    examined_at: datetime | None = None
    removal_why: RemovalWhy | None = None
    removed_at: datetime | None = None
    reclaimed_bytes: int | None = None
    requested_at: datetime | None = None
    requested_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class HomeDisk:
    """One row of `home_disks`: the disk of one home.

    Attributes:
        room: What is free there, and what its workspaces take.
        removable_bytes: What could go at once if room were needed.
        pass_requested_at: When the clock last asked for a clean-up.
        pass_removed: How many workspaces the last clean-up removed.
    """

    disk_id: str
    node: str
    machine: str
    room: DiskRoom
    removable_bytes: int
    min_free_bytes: int
    reported_at: datetime
    max_bytes: int | None = None
    pass_requested_at: datetime | None = None
    pass_started_at: datetime | None = None
    pass_ended_at: datetime | None = None
    pass_removed: int = 0
    pass_reclaimed_bytes: int = 0

    @property
    def missing_bytes(self) -> int:
        """How much has to go before a run can start there."""
        policy = CleanUpPolicy(max_bytes=self.max_bytes, min_free_bytes=self.min_free_bytes)
        return self.room.missing_bytes(policy)


@dataclass(frozen=True, kw_only=True)
class ListedWorkspace:
    """A workspace with what its session says about it.

    Attributes:
        title: What the session is about, as its first run was told.
        session_name: The name that a person gave the session.
        live_run: The run that works in it or waits for it; `None` if none does.
    """

    row: WorkspaceRow
    title: str = ""
    session_name: str | None = None
    live_run: str | None = None
    machine: str | None = None


@dataclass(frozen=True, kw_only=True)
class WorkspacesView:
    """All workspaces of the fleet at one moment; those that went recently, too."""

    at: datetime
    workspaces: tuple[ListedWorkspace, ...]
    disks: tuple[HomeDisk, ...]


class WorkspaceNotFound(NotFound):
    """No workspace has this id."""

    code = "workspace_not_found"

    def __init__(self, workspace_id: str) -> None:
        super().__init__(
            f"no workspace {workspace_id[:80]!r}",
            user_message=f"There is no workspace `{workspace_id[:80]}`.",
        )
        self.workspace_id = workspace_id


class AmbiguousWorkspace(Conflict):
    """Several disks have a workspace with this id."""

    code = "ambiguous_workspace"

    def __init__(self, workspace_id: str, disks: tuple[str, ...]) -> None:
        super().__init__(
            f"{workspace_id} is on {len(disks)} disks",
            user_message=f"Workspace `{workspace_id}` is on {len(disks)} disks: "
            f"{', '.join(f'`{disk}`' for disk in disks)}. Name the disk too.",
        )
        self.workspace_id = workspace_id
        self.disks = disks


class NobodyCleans(Conflict):
    """No worker of the workspace's disk is up."""

    code = "nobody_cleans"

    def __init__(self, workspace_id: str) -> None:
        super().__init__(
            f"no worker of the disk of {workspace_id} is up",
            user_message=f"No worker of the machine with workspace `{workspace_id}` is up, so "
            "nobody can remove it. Start one there, then ask again.",
        )
        self.workspace_id = workspace_id


class WorkspaceStays(Conflict):
    """A workspace cannot be removed, because a run needs it.

    Attributes:
        stay: Why.
    """

    code = "workspace_stays"

    def __init__(self, workspace_id: str, stay: Stay) -> None:
        named = f" (`{stay.names[0]}`)" if stay.names else ""
        super().__init__(
            f"{workspace_id} stays: {stay.reason}",
            user_message=f"Workspace `{workspace_id}` stays: a run works in it or waits for it"
            f"{named}. Stop that run first, or wait for its end.",
        )
        self.workspace_id = workspace_id
        self.stay = stay
