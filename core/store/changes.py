"""The feed of changes, read in an order that no late commit can upset.

Numbers are drawn before the commit, so a reader that went by numbers alone would pass over a
transaction that commits late.  Changes are ordered by transaction instead, and read only up to
the horizon: the oldest transaction that is still under way.  Below it nothing can be added.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.feed import Change, ChangeKind, Position

# On which a hint is sent at the commit of every change.
CHANNEL = "signalbox_changes"

# A dump that is restored elsewhere keeps its rows: the identifier of the cluster tells.  A
# restore to a point in time, and a standby that takes over, begin another timeline.
_BOUNDS = text("""
    SELECT
        (SELECT system_identifier FROM pg_control_system())::text || ' '
            || (SELECT timeline_id FROM pg_control_checkpoint())::text || ' '
            || (SELECT oid FROM pg_database WHERE datname = current_database())::text AS epoch,
        pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,
        oldest.transaction::text AS transaction, oldest.number,
        oldest.at < now() - CAST(:retention AS interval) AS is_expired
    FROM (VALUES (1)) AS one
    LEFT JOIN LATERAL (
        SELECT transaction, number, at FROM changes ORDER BY transaction, number LIMIT 1
    ) AS oldest ON true
""")
# Rows of a restored dump can carry transactions that are still to come here: they are left out.
_READ = text("""
    SELECT transaction::text, number, at, kind, subject, what,
        transaction < pg_snapshot_xmin(pg_current_snapshot()) AS is_settled
    FROM changes
    WHERE (transaction, number) > (CAST(CAST(:transaction AS text) AS xid8), :number)
        AND transaction < pg_snapshot_xmax(pg_current_snapshot())
        AND (CAST(:kinds AS text[]) IS NULL OR kind = ANY(CAST(:kinds AS text[])))
        AND (CAST(:subjects AS text[]) IS NULL OR subject = ANY(CAST(:subjects AS text[])))
    ORDER BY transaction, number
    LIMIT :limit
""")
# The newest of the old rows stays: it shows up to where the others were deleted.
_DELETE = text("""
    DELETE FROM changes
    WHERE (transaction, number) < (
            SELECT transaction, number FROM changes
            WHERE at < now() - CAST(:age AS interval)
                AND transaction < pg_snapshot_xmin(pg_current_snapshot())
            ORDER BY transaction DESC, number DESC LIMIT 1
        )
        OR (
            at < now() - CAST(:age AS interval)
            AND transaction >= pg_snapshot_xmax(pg_current_snapshot())
        )
""")


@dataclass(frozen=True, kw_only=True)
class FeedBounds:
    """From where and up to where the feed can be read now.

    Attributes:
        horizon: Everything before it is committed and can be read.
        deleted_before: Older changes may have been deleted; `None` if none was.
    """

    horizon: Position
    deleted_before: Position | None


@dataclass(frozen=True, kw_only=True)
class FeedPage:
    """Some changes, and whether committed ones wait for an older transaction to end."""

    changes: Sequence[Change]
    has_unsettled: bool


async def bounds(session: AsyncSession, *, retention: timedelta) -> FeedBounds:
    """The feed's bounds.

    `delete_older` leaves one row that is past the retention.  So as long as the oldest one is
    younger, none was ever deleted.
    """
    row = (await session.execute(_BOUNDS, {"retention": retention})).one()
    epoch = f"{zlib.crc32(row.epoch.encode()):08x}"
    deleted_before = (
        Position(epoch=epoch, transaction=int(row.transaction), number=row.number)
        if row.is_expired
        else None
    )
    horizon = Position(epoch=epoch, transaction=int(row.horizon), number=0)
    return FeedBounds(horizon=horizon, deleted_before=deleted_before)


async def read_after(
    session: AsyncSession,
    position: Position,
    *,
    limit: int,
    kinds: Collection[ChangeKind] | None = None,
    subjects: Collection[str] | None = None,
) -> FeedPage:
    """The next changes after a position, in the feed's order; `None` stands for all."""
    rows = await session.execute(
        _READ,
        {
            "transaction": str(position.transaction),
            "number": position.number,
            "kinds": None if kinds is None else sorted(kinds),
            "subjects": None if subjects is None else sorted(subjects),
            "limit": limit,
        },
    )
    changes: list[Change] = []
    for row in rows:
        if not row.is_settled:
            return FeedPage(changes=changes, has_unsettled=True)
        changes.append(
            Change(
                position=Position(
                    epoch=position.epoch, transaction=int(row.transaction), number=row.number
                ),
                at=row.at,
                kind=ChangeKind(row.kind),
                subject=row.subject,
                what=row.what,
            )
        )
    return FeedPage(changes=changes, has_unsettled=False)


async def record(session: AsyncSession, kind: ChangeKind, subject: str, what: str) -> None:
    """Add a change that no trigger records; subscribers get it when it is committed."""
    await session.execute(
        text("INSERT INTO changes (kind, subject, what) VALUES (:kind, :subject, :what)"),
        {"kind": kind, "subject": subject, "what": what},
    )
    await session.execute(select(func.pg_notify(CHANNEL, "")))


async def delete_older(session: AsyncSession, *, age: timedelta) -> int:
    """Delete changes that are older, but for the newest of them; answers how many."""
    result = await session.execute(_DELETE, {"age": age})
    return int(result.rowcount)  # type: ignore[attr-defined]
