"""The workspaces of the fleet: what they take, why they stay, and requests to remove them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor
from core.domain.fleet.attempt import disk_id_of_node
from core.domain.fleet.workers import SILENT_AFTER
from core.domain.workspaces.record import (
    AmbiguousWorkspace,
    ListedWorkspace,
    NobodyCleans,
    WorkspaceNotFound,
    WorkspaceRow,
    WorkspaceState,
    WorkspaceStays,
    WorkspacesView,
)
from core.domain.workspaces.stay import Stay, StayReason
from core.services.context import ServiceContext, audit_entry, require_permission
from core.store import audit
from core.store.fleet import home_disks, workers, workspaces
from core.store.runs import run_queries, tasks
from core.store.sessions import sessions

# A removed workspace stays in the list for so long, so that people can see what was reclaimed.
REMOVED_SHOWN_FOR = timedelta(days=1)


@dataclass(frozen=True)
class WorkspaceService:
    """Reads what workers have reported of workspaces, and asks them to remove some."""

    context: ServiceContext

    async def view(self, *, by: Actor) -> WorkspacesView:
        """All workspaces, the largest first, and those that went recently.

        Raises:
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            rows = await workspaces.list_present(session, removed_since=now - REMOVED_SHOWN_FOR)
            disks = await home_disks.list_all(session)
            machines = {disk.disk_id: disk.machine for disk in disks}
            listed = [
                await _listed(session, row, machine=machines.get(row.disk_id)) for row in rows
            ]
        return WorkspacesView(at=now, workspaces=tuple(listed), disks=tuple(disks))

    async def clean(
        self, workspace_id: str, *, disk_id: str | None = None, by: Actor
    ) -> ListedWorkspace:
        """Ask the workers of its disk to remove a workspace.

        They look at it anew: what could not be restored stays.

        Returns:
            The workspace, with the request; `find` says what became of it.

        Raises:
            NotAllowed: If the person may not remove workspaces.
            WorkspaceNotFound: If no disk has it.
            AmbiguousWorkspace: If several have one, and none is named.
            WorkspaceStays: If a run works in it or waits for it.
            NobodyCleans: If no worker of its disk is up.
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        async with self.context.transaction() as session:
            require_permission(by, Action.CLEAN)
            row = await _find(session, workspace_id, disk_id)
            listed = await _listed(session, row, machine=None)
            if listed.live_run is not None:
                raise WorkspaceStays(workspace_id, Stay.of(StayReason.LIVE_RUN, [listed.live_run]))
            up = await workers.accepting_jobs(session, since=now - SILENT_AFTER)
            if all(disk_id_of_node(one.node) != row.disk_id for one in up):
                raise NobodyCleans(workspace_id)
            await workspaces.request(session, row.disk_id, workspace_id, by=by.name, now=now)
            await audit.record(
                session,
                audit_entry(by, Action.CLEAN, now, workspace=workspace_id, disk=row.disk_id),
            )
            return await _listed(
                session, await _find(session, workspace_id, row.disk_id), machine=None
            )

    async def find(
        self, workspace_id: str, *, disk_id: str | None = None, by: Actor
    ) -> ListedWorkspace:
        """One workspace, there or gone.

        Raises:
            NotAllowed: If the person may not view runs.
            WorkspaceNotFound: If no disk has had it.
            AmbiguousWorkspace: If several have one, and none is named.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            found = await workspaces.with_id(session, workspace_id)
            row = _one_of(found, workspace_id, disk_id)
            return await _listed(session, row, machine=None)

    async def request_clean_ups(self) -> int:
        """Ask the workers of every disk for a clean-up; the clock does.

        Returns:
            The number of disks.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            return await home_disks.request_passes(session, now=self.context.clock())


async def _find(session: AsyncSession, workspace_id: str, disk_id: str | None) -> WorkspaceRow:
    there = [
        row
        for row in await workspaces.with_id(session, workspace_id)
        if row.state in (WorkspaceState.PRESENT, WorkspaceState.REMOVING)
    ]
    return _one_of(there, workspace_id, disk_id)


def _one_of(rows: list[WorkspaceRow], workspace_id: str, disk_id: str | None) -> WorkspaceRow:
    found = [row for row in rows if disk_id in (None, row.disk_id)]
    if not found:
        raise WorkspaceNotFound(workspace_id)
    if len(found) > 1:
        raise AmbiguousWorkspace(workspace_id, tuple(row.disk_id for row in found))
    return found[0]


async def _listed(
    session: AsyncSession, row: WorkspaceRow, *, machine: str | None
) -> ListedWorkspace:
    if row.session_id is None:
        return ListedWorkspace(row=row, machine=machine)
    conversation = await sessions.get(session, row.session_id)
    live = await run_queries.live_of_session(session, row.session_id)
    places = (await tasks.of_sessions(session, [row.session_id])).values()
    return ListedWorkspace(
        row=row,
        title=next((place.about for place in reversed([*places])), ""),
        session_name=conversation.name,
        live_run=None if live is None else live.run_id,
        machine=machine,
    )
