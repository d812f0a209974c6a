"""The disks of homes, and who cleans them up when."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.workspaces.policy import CleanUpPolicy, DiskRoom
from core.domain.workspaces.record import HomeDisk
from core.store.tables.homes.workspaces import HomeDiskRow


async def report(
    session: AsyncSession,
    disk_id: str,
    *,
    node: str,
    machine: str,
    room: DiskRoom,
    removable_bytes: int,
    policy: CleanUpPolicy,
    now: datetime,
) -> None:
    """Report the room on a disk."""
    values = {
        "node": node,
        "machine": machine,
        "total_bytes": room.total_bytes,
        "free_bytes": room.free_bytes,
        "used_bytes": room.used_bytes,
        "removable_bytes": removable_bytes,
        "min_free_bytes": policy.min_free_bytes,
        "max_bytes": policy.max_bytes,
        "reported_at": now,
    }
    await session.execute(
        insert(HomeDiskRow)
        .values(disk_id=disk_id, **values)
        .on_conflict_do_update(index_elements=[HomeDiskRow.disk_id], set_=values)
    )


async def list_all(session: AsyncSession) -> list[HomeDisk]:
    """All disks that were ever reported."""
    rows = await session.scalars(select(HomeDiskRow).order_by(HomeDiskRow.disk_id))
    return [row.to_disk() for row in rows]


async def delete_unreported(session: AsyncSession, *, before: datetime) -> int:
    """Delete the disks that no worker has reported since then.

    Returns:
        The number of deleted rows.
    """
    deleted = await session.scalars(
        delete(HomeDiskRow)
        .where(HomeDiskRow.reported_at < before)
        .returning(HomeDiskRow.disk_id)
        .execution_options(synchronize_session=False)
    )
    return len(deleted.all())


async def request_passes(session: AsyncSession, *, now: datetime) -> int:
    """Ask the workers of every disk for a clean-up.

    Returns:
        The number of disks.
    """
    asked = await session.scalars(
        update(HomeDiskRow)
        .values(pass_requested_at=now)
        .returning(HomeDiskRow.disk_id)
        .execution_options(synchronize_session=False)
    )
    return len(asked.all())


async def claim_pass(session: AsyncSession, disk_id: str, *, now: datetime) -> bool:
    """Begin the clean-up that was asked for; only one worker of a disk succeeds."""
    claimed = await session.scalar(
        update(HomeDiskRow)
        .where(
            HomeDiskRow.disk_id == disk_id,
            HomeDiskRow.pass_requested_at.is_not(None),
            or_(
                HomeDiskRow.pass_started_at.is_(None),
                HomeDiskRow.pass_started_at < HomeDiskRow.pass_requested_at,
            ),
        )
        .values(pass_started_at=now)
        .returning(HomeDiskRow.disk_id)
        .execution_options(synchronize_session=False)
    )
    return claimed is not None


async def end_pass(
    session: AsyncSession, disk_id: str, *, removed: int, reclaimed_bytes: int, now: datetime
) -> None:
    """Write what a clean-up has done."""
    await session.execute(
        update(HomeDiskRow)
        .where(HomeDiskRow.disk_id == disk_id)
        .values(pass_ended_at=now, pass_removed=removed, pass_reclaimed_bytes=reclaimed_bytes)
        .execution_options(synchronize_session=False)
    )
