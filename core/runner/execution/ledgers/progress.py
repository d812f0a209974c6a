"""Writes the progress of an attempt, so that nothing of it is stored twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.event import EventRecord
from core.runner.execution.attempt import Attempt
from core.runner.execution.usage.entries import entry_of_progress, record_progress
from core.services.context import ServiceContext
from core.store import events, steps
from core.store.database.engine import translate_errors
from core.store.runs import progress_write, runs
from core.store.runs.compare_and_set import raise_refused
from core.store.runs.progress_write import ProgressWrite


async def write_progress(context: ServiceContext, attempt: Attempt) -> None:
    """Write the new progress of an attempt; after an error the next call writes it again.

    Raises:
        StaleAttempt: If the run was given to another worker meanwhile.
        Unavailable: If the database cannot be reached.
    """
    progress, run = attempt.progress, attempt.run
    records, present_steps = progress.drain(), progress.priced_steps
    known = {step.step_id: step for step in progress.stored_steps or ()}
    step_ids = {step.step_id for step in present_steps}
    has_gone = progress.stored_steps is None or not known.keys() <= step_ids
    given = ProgressWrite(
        run_id=run.run_id,
        attempt=run.attempt,
        changes=progress.columns(),
        steps=[step for step in present_steps if known.get(step.step_id) != step],
        step_ids=step_ids if has_gone else None,
        records=records,
        entry=entry_of_progress(attempt, now=context.clock()),
    )
    try:
        if any(record.may_be_stored for record in records):
            await _write_again(context, attempt, given)
        else:
            await _write(context, given)
    except BaseException:
        progress.restore_records(records)
        raise
    progress.stored_steps = present_steps


async def _write(context: ServiceContext, given: ProgressWrite) -> None:
    """Write by one statement, which costs least."""
    with translate_errors():
        written = await progress_write.write(context.database.reads, given, now=context.clock())
    if written is None:
        async with context.transaction() as session:
            await raise_refused(session, given.run_id, given.attempt, None)


async def _write_again(context: ServiceContext, attempt: Attempt, given: ProgressWrite) -> None:
    """Write what an earlier write, of which nobody knows whether it took effect, may have stored.

    The change of the run's row waits until that write has ended, and the statement after it sees
    what was stored; one statement alone would not.
    """
    async with context.transaction() as session:
        await store_progress(session, attempt, given.records, now=context.clock())


async def store_progress(
    session: AsyncSession, attempt: Attempt, records: Sequence[EventRecord], *, now: datetime
) -> None:
    """Write all progress of an attempt and these events, in a transaction with other changes.

    Raises:
        StaleAttempt: If the run was given to another worker meanwhile.
    """
    run, progress = attempt.run, attempt.progress
    await runs.change(session, run.run_id, now=now, attempt=run.attempt, **progress.columns())
    await record_progress(session, attempt, now=now)
    await steps.replace(session, run.id, progress.priced_steps, stored=progress.stored_steps)
    await events.append(session, run.id, run.attempt, records)
