"""Progress posts: taken when they are due, and shown in the threads of their runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.posts.progress import figures_of
from core.services.context import ServiceContext
from core.store import steps
from core.store.alerts import progress_posts, subscriptions
from core.store.runs.compare_and_set import bump_version

# More than these wait for the next call, so that no transaction holds many rows.
_AT_A_TIME = 100


@dataclass(frozen=True)
class ProgressService:
    """Takes the progress of runs that post it."""

    context: ServiceContext

    async def take_due(self) -> int:
        """Take the figures of all posts that are due; returns how many threads have changed.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        taken = 0
        async with self.context.transaction() as session:
            await self._add_wanted(session)
            due = await progress_posts.due(session, now, limit=_AT_A_TIME)
            running = [run.id for _, run in due if run.started_at is not None and run.is_live]
            steps_by_run = await steps.of_runs(session, running) if running else {}
            for post, run in due:
                if not run.is_live:
                    await progress_posts.save(session, replace(post, due_at=None))
                    continue
                later = replace(post, due_at=post.next_due(now))
                if run.started_at is None:
                    await progress_posts.save(session, later)
                    continue
                figures = figures_of(run, steps_by_run.get(run.id, ()), post)
                changed = replace(
                    later, taken_at=now, count=post.count + 1, figures=figures.to_json()
                )
                await progress_posts.save(session, changed)
                await bump_version(session, run.id, now=now)
                taken += 1
        return taken

    async def _add_wanted(self, session: AsyncSession) -> None:
        """Add the posts of runs whose channel wants them."""
        if not await progress_posts.wishes(session):
            return
        now = self.context.clock()
        for subscription in await subscriptions.active(session):
            if subscription.progress_every is not None and not subscription.is_muted(now):
                await progress_posts.add_for(session, subscription, now=now)
