"""The steps of runs, as the agent last reported them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.step import Step
from core.store.tables.steps import StepRow

_KEY = ("run_id", "step_id")
_FIELDS = (
    "source_id", "name", "active_name", "status", "started_at", "completed_at", "result",
    "tools_used", "tool_calls", "cost_usd", "error",
)  # fmt: skip


async def replace(
    session: AsyncSession, run: UUID, steps: Sequence[Step], *, stored: Sequence[Step] | None = None
) -> None:
    """Replace the steps of a run; unchanged rows are not written.

    Args:
        session: An open database session.
        run: The run.
        steps: Its steps.
        stored: The steps that it has in the database; `None` if that is not known.
    """
    known = {step.step_id: step for step in stored or ()}
    step_ids = [step.step_id for step in steps]
    if stored is None or not known.keys() <= set(step_ids):
        await session.execute(
            delete(StepRow)
            .where(StepRow.run_id == run, StepRow.step_id.not_in(step_ids))
            .execution_options(synchronize_session=False)
        )
    changed = [step for step in steps if known.get(step.step_id) != step]
    if not changed:
        return
    statement = insert(StepRow).values([_values(run, step) for step in changed])
    new = statement.excluded
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=list(_KEY),
            set_={name: new[name] for name in _FIELDS},
            where=or_(*(getattr(StepRow, name).is_distinct_from(new[name]) for name in _FIELDS)),
        )
    )


async def of_run(session: AsyncSession, run: UUID) -> list[Step]:
    """List a run's steps in the order of the plan."""
    return (await of_runs(session, [run])).get(run, [])


async def of_runs(session: AsyncSession, runs: Iterable[UUID]) -> dict[UUID, list[Step]]:
    """Return the steps of several runs, by run; runs without steps are missing."""
    rows = await session.scalars(
        select(StepRow)
        .where(StepRow.run_id.in_(list(runs)))
        .order_by(StepRow.run_id, StepRow.step_id)
    )
    by_run: defaultdict[UUID, list[Step]] = defaultdict(list)
    for row in rows:
        by_run[row.run_id].append(row.to_step())
    return dict(by_run)


def _values(run: UUID, step: Step) -> dict[str, object]:
    fields = {name: getattr(step, name) for name in _FIELDS}
    return fields | {
        "run_id": run,
        "step_id": step.step_id,
        "tools_used": list(step.tools_used),
    }
