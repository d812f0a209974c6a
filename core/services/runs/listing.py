"""Lists of runs, page by page."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.agent.definitions.catalog import Catalog
from core.domain.actor import Action, Actor
from core.domain.paging import COUNT_LIMIT, Page, PageKey
from core.domain.runs.search import RunSearch
from core.domain.runs.snapshot import RunSnapshot
from core.services.context import ServiceContext, require_permission
from core.services.runs import snapshots
from core.store.runs import listing


@dataclass(frozen=True)
class RunListService:
    """Reads pages of the list of runs."""

    context: ServiceContext
    catalog: Catalog

    async def page(
        self, search: RunSearch, *, by: Actor, after: PageKey | None, limit: int
    ) -> Page[RunSnapshot]:
        """The runs that match, newest first, from a place in the list on.

        Raises:
            UnknownWorkflow: If the search names an unknown workflow.
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        if search.workflow is not None:
            search = replace(search, workflow=self.catalog.get(search.workflow).name)
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            found = await listing.page(
                session, search, user_id=by.user_id, after=after, limit=limit + 1
            )
            total = await listing.count(
                session, search, user_id=by.user_id, at_most=COUNT_LIMIT + 1
            )
            shown = found[:limit]
            last = shown[-1] if len(found) > limit else None
            return Page(
                items=await snapshots.of_paged_runs(session, shown),
                next=None if last is None else PageKey(at=last.created_at, id=last.id),
                total=min(total, COUNT_LIMIT),
                is_total_exact=total <= COUNT_LIMIT,
            )
