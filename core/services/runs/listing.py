"""Lists of runs, page by page."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.definitions.catalog import Catalog
from core.domain.actor import Action, Actor
from core.domain.paging import COUNT_LIMIT, Page, PageKey
from core.domain.runs.search import RunSearch
from core.domain.runs.snapshot import RunSnapshot
from core.services.context import ServiceContext, require_permission
from core.services.runs import snapshots
from core.store import users
from core.store.runs import listing

# People of one name.
_MAX_OWNERS = 20


@dataclass(frozen=True)
class RunListService:
    """Reads pages of the list of runs."""

    context: ServiceContext
    catalog: Catalog

    async def page(
        self,
        search: RunSearch,
        *,
        by: Actor,
        after: PageKey | None,
        limit: int,
        explains_waiting: bool = False,
    ) -> Page[RunSnapshot]:
        """The runs that match, newest first, from a place in the list on.

        A search for a text can find a page with few runs or none that is not the last one: it
        looks through a limited number of runs at a time.

        Args:
            search: What the runs must match.
            by: Who asks.
            after: The place; `None` for the beginning.
            limit: The most runs of the page.
            explains_waiting: Whether it is read what holds back the runs that wait to start.

        Raises:
            UnknownWorkflow: If the search names an unknown workflow.
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        if search.workflow is not None:
            search = replace(search, workflow=self.catalog.get(search.workflow).name)
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            whose = await _whose(session, search, by)
            found = await listing.page(session, search, whose=whose, after=after, limit=limit + 1)
            total = await listing.count(session, search, whose=whose, at_most=COUNT_LIMIT + 1)
            shown = found[:limit]
            last = PageKey(at=shown[-1].created_at, id=shown[-1].id) if len(found) > limit else None
            is_total_exact = total <= COUNT_LIMIT
            if search.text is not None:
                end = await listing.window_end(session, search, whose=whose, after=None)
                is_total_exact = end is None
                if last is None:
                    last = (
                        end
                        if after is None
                        else await listing.window_end(session, search, whose=whose, after=after)
                    )
            snapshots_of = snapshots.of_queued_page if explains_waiting else snapshots.of_paged_runs
            return Page(
                items=await snapshots_of(session, shown),
                next=last,
                total=min(total, COUNT_LIMIT),
                is_total_exact=is_total_exact,
            )


async def _whose(session: AsyncSession, search: RunSearch, by: Actor) -> listing.Whose:
    named = (
        []
        if search.owner is None
        else await users.ids_of_name(session, search.owner, limit=_MAX_OWNERS)
    )
    return listing.Whose(asker=by.user_id, owners=named)
