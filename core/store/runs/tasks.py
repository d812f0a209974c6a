"""The tasks that runs work on, also through continuations, and their numbers among such runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.run import Run
from core.store.tables.runs import RunRow

# How the `request_key` of a run begins that continues another one; the other run's id follows.
CONTINUATION_KEY = "continue:"
# Lists show the first words of a task.
_TASK_CHARS = 500


@dataclass(frozen=True, kw_only=True)
class TaskPlace:
    """A run's place among the runs that work on one task.

    Attributes:
        leg: Its number among them, from 1.
        about: The first words of the task, which the first of them was started with.
    """

    leg: int
    about: str


def begins_no_task(run: Run) -> bool:
    """Whether a run goes on with the task of the run before it."""
    return (run.request_key or "").startswith(CONTINUATION_KEY)


def about_of_legs(legs: Sequence[Run]) -> dict[UUID, str]:
    """The task of each leg that goes on with one; of one session, oldest first."""
    about: dict[UUID, str] = {}
    before: Run | None = None
    for leg in legs:
        if before is not None and begins_no_task(leg):
            about[leg.id] = about.get(before.id, before.task_input)
        before = leg
    return about


async def of_run(session: AsyncSession, run: Run) -> TaskPlace:
    """The place of one run; nothing is read for one that begins a task."""
    own = TaskPlace(leg=1, about=run.task_input[:_TASK_CHARS])
    if not begins_no_task(run):
        return own
    return (await of_sessions(session, {run.session_id})).get(run.id, own)


async def of_sessions(
    session: AsyncSession, session_ids: Collection[UUID]
) -> dict[UUID, TaskPlace]:
    """The places of all runs of these sessions, by the ids of their rows.

    A start in a session with earlier runs begins a new task; a continuation does not.
    """
    rows = await session.execute(
        select(
            RunRow.id,
            RunRow.session_id,
            RunRow.request_key,
            func.left(RunRow.task_input, _TASK_CHARS).label("words"),
        )
        .where(RunRow.session_id.in_(list(session_ids)))
        .order_by(
            RunRow.session_id, RunRow.created_at, RunRow.parent_run_id.is_not(None), RunRow.id
        )
    )
    places: dict[UUID, TaskPlace] = {}
    latest: dict[UUID, TaskPlace] = {}
    for row in rows:
        before = latest.get(row.session_id)
        continues = (row.request_key or "").startswith(CONTINUATION_KEY)
        place = (
            TaskPlace(leg=before.leg + 1, about=before.about)
            if continues and before is not None
            else TaskPlace(leg=1, about=row.words)
        )
        places[row.id] = latest[row.session_id] = place
    return places
