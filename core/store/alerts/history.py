"""What happened to alerts, in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.history import AlertEventRecord
from core.store.tables.alerts.episodes import AlertEventRow


async def append(session: AsyncSession, events: Sequence[AlertEventRecord]) -> None:
    """Add events, in this order."""
    if events:
        await session.execute(
            insert(AlertEventRow).values(
                [
                    {
                        "alert_id": event.alert_id,
                        "at": event.at,
                        "what": event.what.value,
                        "by": event.by,
                        "data": dict(event.data),
                    }
                    for event in events
                ]
            )
        )


async def of_alerts(
    session: AsyncSession, alert_ids: Collection[UUID]
) -> Mapping[UUID, Sequence[AlertEventRecord]]:
    """The events of these alerts, oldest first."""
    found: dict[UUID, list[AlertEventRecord]] = defaultdict(list)
    rows = await session.scalars(
        select(AlertEventRow)
        .where(AlertEventRow.alert_id.in_(list(alert_ids)))
        .order_by(AlertEventRow.id)
    )
    for row in rows:
        found[row.alert_id].append(row.to_record())
    return found
