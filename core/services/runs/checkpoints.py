"""The deletion of old checkpoints."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.work.checkpoint_policy import CheckpointPolicy
from core.services.context import ServiceContext
from core.store.sessions.checkpoints import checkpoints, expiry

log = logging.getLogger(__name__)

# So many sessions are looked at in one query.
_BATCH = 200


@dataclass(frozen=True)
class CheckpointExpiry:
    """Deletes the checkpoints of sessions at rest that need not be kept any more."""

    context: ServiceContext
    policy: CheckpointPolicy

    async def delete_expired(self) -> int:
        """Delete the old checkpoints of all sessions without a live run; return their number.

        The workers delete those of live ones.  The private references in the workspaces follow
        with the session's next checkpoint there.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now, total, after = self.context.clock(), 0, None
        while True:
            async with self.context.transaction() as session:
                found = list(
                    await expiry.sessions_with_old(
                        session, before=now - self.policy.keep_all, limit=_BATCH, after=after
                    )
                )
            for session_id in found:
                async with self.context.transaction() as session:
                    total += len(
                        await thin_session(session, session_id, policy=self.policy, now=now)
                    )
            if len(found) < _BATCH:
                break
            after = found[-1]
        if total:
            log.info(
                "deleted %s old checkpoints",
                total,
                extra={"event": "old_checkpoints.deleted", "count": total},
            )
        return total


async def thin_session(
    session: AsyncSession, session_id: UUID, *, policy: CheckpointPolicy, now: datetime
) -> frozenset[UUID]:
    """Delete the checkpoints of a session that need not be kept, with their bundles.

    Returns:
        The ids of the deleted ones.
    """
    found = await checkpoints.of_session(session, session_id)
    if not policy.find_expired(found, now=now):
        return frozenset()
    protected = await expiry.restarted_from(session, session_id)
    protected |= await expiry.forked_on(session, session_id)
    expired = policy.find_expired(found, now=now, protected=protected)
    return await expiry.delete_all(session, expired)
