"""The feed of changes, read in an order that stays stable when transactions commit late.

The database assigns numbers before the commit.  A reader that used only the numbers would skip
a transaction that commits late.  So changes are ordered by transaction, and read only up to the
horizon: the oldest transaction that is still in progress.  No change can be added before it.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.feed import Change, ChangeKind, Position
from core.store.database.direct import DirectReads

# The NOTIFY channel that gets a notification at the commit of every change.
CHANNEL = "signalbox_changes"

# The epoch detects another history of the same rows.  The identifier of the cluster changes when
# a dump is restored elsewhere.  The timeline changes after a point-in-time restore, and when a
# standby takes over.
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
# Rows of a restored dump can have transaction ids that this cluster has not reached yet: they are
# left out.
READ = """
    SELECT transaction::text, number, at, kind, subject, what,
        transaction < pg_snapshot_xmin(pg_current_snapshot()) AS is_settled
    FROM changes
    WHERE (transaction, number) > ($1::text::xid8, $2)
        AND transaction < pg_snapshot_xmax(pg_current_snapshot())
        AND ($3::text[] IS NULL OR kind = ANY($3::text[]))
        AND ($4::text[] IS NULL OR subject = ANY($4::text[]))
    -- Qualified: a bare `transaction` is the text above, of which "100" comes before "99".
    ORDER BY changes.transaction, changes.number
    LIMIT $5
"""
# The newest expired row stays: it marks the position up to which the others were deleted.
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
    """The positions between which the feed can be read now.

    Attributes:
        horizon: All changes before this position are settled and can be read.
        deleted_before: Changes before this position may be deleted; `None` if none was deleted.
    """

    horizon: Position
    deleted_before: Position | None


@dataclass(frozen=True, kw_only=True)
class FeedPage:
    """One page of the feed.

    Attributes:
        changes: Settled changes, in the order of the feed.
        has_unsettled: Whether more committed changes wait for an older transaction to end.
    """

    changes: Sequence[Change]
    has_unsettled: bool


async def bounds(session: AsyncSession, *, retention: timedelta) -> FeedBounds:
    """The bounds of the feed.

    `delete_older` always leaves one expired row.  So if the oldest row has not expired, no row
    was ever deleted.

    Args:
        session: An open database session.
        retention: The age at which a change expires.
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
    reads: DirectReads,
    position: Position,
    *,
    limit: int,
    kinds: Collection[ChangeKind] | None = None,
    subjects: Collection[str] | None = None,
) -> FeedPage:
    """The next settled changes after a position, in the order of the feed.

    Args:
        reads: Of the database.
        position: The position to read after.
        limit: The largest number of changes to read.
        kinds: Only these kinds; `None` means all.
        subjects: Only these subjects; `None` means all.
    """
    rows = await reads.fetch(
        READ,
        str(position.transaction),
        position.number,
        None if kinds is None else sorted(kinds),
        None if subjects is None else sorted(subjects),
        limit,
    )
    changes: list[Change] = []
    for row in rows:
        if not row["is_settled"]:
            return FeedPage(changes=changes, has_unsettled=True)
        changes.append(
            Change(
                position=Position(
                    epoch=position.epoch,
                    transaction=int(row["transaction"]),
                    number=row["number"],
                ),
                at=row["at"],
                kind=ChangeKind(row["kind"]),
                subject=row["subject"],
                what=row["what"],
            )
        )
    return FeedPage(changes=changes, has_unsettled=False)


async def record(session: AsyncSession, kind: ChangeKind, subject: str, what: str) -> None:
    """Add a change that no trigger records; subscribers get it after the commit."""
    await session.execute(
        text("INSERT INTO changes (kind, subject, what) VALUES (:kind, :subject, :what)"),
        {"kind": kind, "subject": subject, "what": what},
    )
    await session.execute(select(func.pg_notify(CHANNEL, "")))


async def delete_older(session: AsyncSession, *, age: timedelta) -> int:
    """Delete the changes older than `age`, except the newest of them; returns the number."""
    result = await session.execute(_DELETE, {"age": age})
    return int(result.rowcount)  # type: ignore[attr-defined]
