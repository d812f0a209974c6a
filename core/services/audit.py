"""The audit log, for those who may read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.actor import Action, Actor
from core.domain.audit import StoredAuditEntry
from core.services.context import ServiceContext, require_permission
from core.services.runs.targets import find_run
from core.store import audit


@dataclass(frozen=True)
class AuditService:
    """Reads the audit log."""

    context: ServiceContext

    async def page(
        self, *, by: Actor, before_id: int | None, run: str | None, limit: int
    ) -> Sequence[StoredAuditEntry]:
        """Entries with an id below `before_id`, newest first.

        Args:
            by: The person who asks.
            before_id: The id of the last entry that is known; `None` begins with the newest.
            run: Only entries about this run: its id, or a unique prefix of it.
            limit: The most entries.

        Raises:
            RunNotFound: If no run has that id.
            NotAllowed: If the person is no admin.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.ADMINISTER)
            found = None if run is None else (await find_run(session, run, by)).id
            return await audit.page(session, before_id=before_id, run_id=found, limit=limit)
