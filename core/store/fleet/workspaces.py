"""Workspaces as workers report them, and requests to remove them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, case, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.run import Run
from core.domain.workspaces.record import RemovalWhy, WorkspaceRow, WorkspaceState
from core.domain.workspaces.stay import Stay
from core.store.runs.columns import to_run
from core.store.tables.homes.workspaces import WorkspaceTableRow as Table
from core.store.tables.runs import RunRow

_ON_DISK = (WorkspaceState.PRESENT, WorkspaceState.REMOVING)


async def report(
    session: AsyncSession,
    disk_id: str,
    workspace_id: str,
    *,
    session_id: UUID | None,
    repo: str | None,
    used_at: datetime,
    now: datetime,
    is_held: bool = False,
) -> None:
    """Report that a workspace is on a disk.  What is known of it otherwise stays.

    Args:
        session: An open session.
        disk_id: The disk.
        workspace_id: The workspace.
        session_id: The session whose runs worked in it; `None` if none is known.
        repo: Its repository.
        used_at: When a run last worked in it.
        now: A moment before it was seen there: what was removed since stays removed.
        is_held: Whether a run works in it, so that nobody is removing it.
    """
    is_going = (Table.state == WorkspaceState.REMOVING) | (Table.removed_at >= now)
    stays = literal(is_held) | ~func.coalesce(is_going, False)
    values = {"session_id": session_id, "repo": repo, "used_at": used_at, "reported_at": now}
    await session.execute(
        insert(Table)
        .values(disk_id=disk_id, workspace_id=workspace_id, state=WorkspaceState.PRESENT, **values)
        .on_conflict_do_update(
            index_elements=[Table.disk_id, Table.workspace_id],
            set_={
                **values,
                "state": case((stays, WorkspaceState.PRESENT.value), else_=Table.state),
                "used_at": func.greatest(Table.used_at, used_at),
                # After a run has worked in it, nobody knows yet.
                "stay_reason": case((Table.used_at < used_at, None), else_=Table.stay_reason),
                "is_removable": Table.is_removable & (Table.used_at >= used_at),
                "removed_at": case((stays, None), else_=Table.removed_at),
                "removal_why": case((stays, None), else_=Table.removal_why),
                "reclaimed_bytes": case((stays, None), else_=Table.reclaimed_bytes),
            },
        )
    )


async def of_disk(session: AsyncSession, disk_id: str) -> dict[str, WorkspaceRow]:
    """The workspaces of a disk by id, those that went too."""
    return {row.workspace_id: row for row in await _list(session, Table.disk_id == disk_id)}


async def list_present(session: AsyncSession, *, removed_since: datetime) -> list[WorkspaceRow]:
    """The workspaces of all disks, and those removed since then; the largest first."""
    return await _list(session, or_(Table.state.in_(_ON_DISK), Table.removed_at >= removed_since))


async def with_id(session: AsyncSession, workspace_id: str) -> list[WorkspaceRow]:
    """The workspaces with this id, one for each disk that had one."""
    return await _list(session, Table.workspace_id == workspace_id)


async def requested_of(session: AsyncSession, disk_id: str) -> list[WorkspaceRow]:
    """The workspaces of a disk whose removal a person asked for, without an answer yet."""
    return await _list(session, Table.disk_id == disk_id, Table.requested_at.is_not(None))


async def set_bytes(session: AsyncSession, disk_id: str, workspace_id: str, size: int) -> None:
    """Write what a workspace takes."""
    await _change(session, disk_id, workspace_id, bytes=size)


async def set_stay(
    session: AsyncSession,
    disk_id: str,
    workspace_id: str,
    stay: Stay,
    *,
    is_removable: bool,
    now: datetime,
) -> None:
    """Write why a workspace stays; this answers a request to remove it."""
    await _change(
        session,
        disk_id,
        workspace_id,
        # Also after a removal that was cut short before the folder went.
        state=WorkspaceState.PRESENT,
        stay_reason=stay.reason.value,
        stay_names=list(stay.names),
        stay_count=stay.count,
        is_removable=is_removable,
        examined_at=now,
        requested_at=None,
        requested_by=None,
    )


async def set_removing(
    session: AsyncSession, disk_id: str, workspace_id: str, why: RemovalWhy
) -> None:
    """Write that a workspace is removed from now on."""
    await _change(
        session, disk_id, workspace_id, state=WorkspaceState.REMOVING, removal_why=why.value
    )


async def set_removed(
    session: AsyncSession, disk_id: str, workspace_id: str, *, size: int | None, now: datetime
) -> None:
    """Write that a workspace is gone, and how much that has reclaimed."""
    await _change(
        session,
        disk_id,
        workspace_id,
        state=WorkspaceState.REMOVED,
        stay_reason=None,
        stay_names=[],
        stay_count=0,
        is_removable=False,
        removed_at=now,
        reclaimed_bytes=size,
        requested_at=None,
        requested_by=None,
    )


async def set_missing(session: AsyncSession, disk_id: str, workspace_ids: Collection[str]) -> None:
    """Write that workspaces went in another way."""
    for workspace_id in workspace_ids:
        await _change(
            session,
            disk_id,
            workspace_id,
            state=WorkspaceState.MISSING,
            is_removable=False,
            requested_at=None,
        )


async def request(
    session: AsyncSession, disk_id: str, workspace_id: str, *, by: str, now: datetime
) -> None:
    """Ask the workers of a disk to remove a workspace."""
    await _change(session, disk_id, workspace_id, requested_at=now, requested_by=by)


async def set_cleaned_up(
    session: AsyncSession, session_id: UUID, workspace_id: str, *, disk_id: str, is_gone: bool
) -> None:
    """Write into the runs that worked in a workspace whether it was removed."""
    await session.execute(
        update(RunRow)
        .where(
            RunRow.session_id == session_id,
            RunRow.workspace_id == workspace_id,
            RunRow.worker_id.startswith(f"{disk_id}-", autoescape=True),
            RunRow.workspace_cleaned_up.is_(not is_gone),
        )
        .values(workspace_cleaned_up=is_gone)
        .execution_options(synchronize_session=False)
    )


async def delete_gone(session: AsyncSession, *, before: datetime) -> int:
    """Delete the rows of workspaces that went before then.

    Returns:
        The number of deleted rows.
    """
    deleted = await session.scalars(
        delete(Table)
        .where(
            Table.state.in_((WorkspaceState.REMOVED, WorkspaceState.MISSING)),
            func.coalesce(Table.removed_at, Table.reported_at) < before,
        )
        .returning(Table.workspace_id)
        .execution_options(synchronize_session=False)
    )
    return len(deleted.all())


async def runs_in(session: AsyncSession, workspace_id: str) -> list[Run]:
    """The runs of the session that has a workspace of this name, oldest first.

    A workspace that a session has left for a copy (`ws_…-2`) is found by its runs.
    """
    found = await session.scalar(
        select(RunRow.session_id)
        .where(RunRow.workspace_id == workspace_id)
        .order_by(RunRow.created_at.desc())
        .limit(1)
    )
    if found is None:
        return []
    rows: Sequence[RunRow] = (
        await session.scalars(
            select(RunRow)
            .where(RunRow.session_id == found)
            .order_by(RunRow.created_at, RunRow.parent_run_id.is_not(None), RunRow.id)
        )
    ).all()
    return [to_run(row) for row in rows]


async def _list(session: AsyncSession, *conditions: ColumnElement[bool]) -> list[WorkspaceRow]:
    rows = await session.scalars(
        select(Table)
        .where(*conditions)
        .order_by(Table.bytes.desc().nulls_last(), Table.workspace_id, Table.disk_id)
    )
    return [row.to_workspace() for row in rows]


async def _change(
    session: AsyncSession, disk_id: str, workspace_id: str, **columns: object
) -> None:
    await session.execute(
        update(Table)
        .where(Table.disk_id == disk_id, Table.workspace_id == workspace_id)
        .values(**columns)
        .execution_options(synchronize_session=False)
    )
