"""The audit log, for those who may read it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.domain.actor import Action, Actor
from core.domain.audit import AuditPage, AuditSearch
from core.services.context import ServiceContext, require_permission
from core.services.runs.targets import find_run
from core.store import audit
from core.store.runs import run_queries


@dataclass(frozen=True)
class AuditService:
    """Reads the audit log."""

    context: ServiceContext

    async def page(
        self, search: AuditSearch, *, by: Actor, before_id: int | None, limit: int
    ) -> AuditPage:
        """Entries with an id below `before_id` that match, newest first.

        Raises:
            RunNotFound: If no run has the id of the search.
            NotAllowed: If the person is no admin.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.ADMINISTER)
            run = search.run
            run_id = None if run is None else (await find_run(session, run, by)).id
            found = await audit.page(
                session, search, run_id=run_id, before_id=before_id, limit=limit
            )
            about = {one.entry.run_id for one in found.entries if one.entry.run_id is not None}
            return replace(found, run_ids=await run_queries.ids_of(session, about))
