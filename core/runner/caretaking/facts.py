"""What the database knows about a workspace: its session's runs, and where the session is now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.attempt import disk_id_of_node, node_of
from core.domain.runs.run import LIVE_STATUSES, Run
from core.domain.workspaces.stay import Stay, StayReason
from core.store.fleet import workspaces
from core.store.sessions import sessions

# After its end, a run's worker stores its work within 30 s, or gives up.
_STORE_LIMIT = timedelta(seconds=45)


@dataclass(frozen=True, kw_only=True)
class WorkspaceFacts:
    """The session of a workspace.

    Attributes:
        legs: Its runs, oldest first; at least one.
        is_newest: Whether the session's work is in this workspace, not in a copy elsewhere.
    """

    session_id: UUID
    legs: Sequence[Run]
    is_newest: bool
    repo: str | None

    @property
    def last(self) -> Run:
        """The session's newest run."""
        return self.legs[-1]

    @property
    def used_at(self) -> datetime:
        """When a run last worked in it, or may have."""
        return max(leg.completed_at or leg.started_at or leg.created_at for leg in self.legs)

    def busy(self, now: datetime) -> Stay | None:
        """Why it is needed now; `None` if it is not.

        A run that waits in the queue needs it, too.
        """
        for leg in reversed(self.legs):
            if leg.status in LIVE_STATUSES:
                return Stay.of(StayReason.LIVE_RUN, [leg.run_id])
            is_fresh = leg.completed_at is not None and now - leg.completed_at < _STORE_LIMIT
            if leg.work_due_at is not None or is_fresh:
                return Stay.of(StayReason.WORK_PENDING, [leg.run_id])
        return None


async def read_facts(
    session: AsyncSession, workspace_id: str, *, disk_id: str
) -> WorkspaceFacts | None:
    """Read them; `None` if no session of this database has a workspace of this name."""
    legs = await workspaces.runs_in(session, workspace_id)
    if not legs:
        return None
    conversation = await sessions.get(session, legs[0].session_id)
    node = conversation.workspace_node
    if node is None and legs[-1].worker_id is not None:
        node = node_of(legs[-1].worker_id)
    is_here = node is not None and disk_id_of_node(node) == disk_id
    newest_id = conversation.workspace_id or legs[-1].workspace_id
    return WorkspaceFacts(
        session_id=conversation.id,
        legs=legs,
        is_newest=is_here and newest_id == workspace_id,
        repo=legs[-1].git_repo,
    )
