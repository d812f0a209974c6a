"""Progress posts of runs: which are due, and what they tell."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Interval, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.channels.subscription import Subscription
from core.domain.alerts.posts.progress import ProgressPost
from core.domain.runs.run import LIVE_STATUSES, Run
from core.store.alerts.digests import runs_that_pass
from core.store.runs.columns import to_run
from core.store.runs.compare_and_set import time_literal
from core.store.tables.alerts.subscriptions import ProgressPostRow, SubscriptionRow
from core.store.tables.runs import RunRow


async def add(session: AsyncSession, post: ProgressPost) -> None:
    """Have the progress of a run posted; nothing if it is posted already."""
    await session.execute(
        insert(ProgressPostRow)
        .values(run_id=post.run_id, every=post.every, due_at=post.due_at)
        .on_conflict_do_nothing()
    )


async def wishes(session: AsyncSession) -> bool:
    """Whether any channel wants the progress of its runs."""
    found = await session.scalar(
        select(literal(1))
        .where(SubscriptionRow.ended_at.is_(None), SubscriptionRow.progress_every.is_not(None))
        .limit(1)
    )
    return found is not None


async def add_for(session: AsyncSession, subscription: Subscription, *, now: datetime) -> None:
    """Have the progress of all live runs posted that a subscription wants it of."""
    every = literal(subscription.progress_every, Interval())
    begun = func.coalesce(RunRow.started_at, time_literal(now))
    wanted = select(RunRow.id, every, func.greatest(begun + every, time_literal(now))).where(
        RunRow.status.in_(sorted(LIVE_STATUSES)),
        RunRow.slack_team_id == subscription.team_id,
        RunRow.slack_channel_id == subscription.channel_id,
        ~select(ProgressPostRow.run_id).where(ProgressPostRow.run_id == RunRow.id).exists(),
        *runs_that_pass(subscription.filter),
    )
    await session.execute(
        insert(ProgressPostRow)
        .from_select(["run_id", "every", "due_at"], wanted)
        .on_conflict_do_nothing()
    )


async def due(
    session: AsyncSession, now: datetime, *, limit: int
) -> Sequence[tuple[ProgressPost, Run]]:
    """The posts that are due, locked, with their runs; those that others take are left out."""
    rows = await session.execute(
        select(ProgressPostRow, RunRow)
        .join(RunRow, RunRow.id == ProgressPostRow.run_id)
        .where(ProgressPostRow.due_at <= now)
        .order_by(ProgressPostRow.due_at, ProgressPostRow.run_id)
        .limit(limit)
        .with_for_update(of=ProgressPostRow, skip_locked=True)
    )
    return [(post.to_post(), to_run(run)) for post, run in rows]


async def save(session: AsyncSession, post: ProgressPost) -> None:
    """Write a post that has changed; the caller has locked its row."""
    await session.execute(
        update(ProgressPostRow)
        .where(ProgressPostRow.run_id == post.run_id)
        .values(
            due_at=post.due_at,
            taken_at=post.taken_at,
            count=post.count,
            figures=dict(post.figures),
        )
        .execution_options(synchronize_session=False)
    )


async def of_runs(session: AsyncSession, run_ids: Collection[UUID]) -> dict[UUID, ProgressPost]:
    """The posts of these runs, by run; runs without one are missing."""
    rows = await session.scalars(
        select(ProgressPostRow).where(ProgressPostRow.run_id.in_(list(run_ids)))
    )
    return {row.run_id: row.to_post() for row in rows}


async def interval_of(session: AsyncSession, run_id: UUID) -> timedelta | None:
    """How often the progress of a run is posted; `None` if it is not."""
    found: timedelta | None = await session.scalar(
        select(ProgressPostRow.every).where(ProgressPostRow.run_id == run_id)
    )
    return found
