"""Terminations: at most one open for each run, with phases advanced by compare-and-set.

A kill is shown with its run: opening and advancing raise the run's version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, cast, func, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB, distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.kills.termination import (
    CriticalWait,
    IllegalPhase,
    Phase,
    ProcessIdentity,
    ProofMethod,
    Termination,
    TerminationNotFound,
    phase_sources_of,
)
from core.store.database import measuring
from core.store.runs.compare_and_set import bump_version, time_literal
from core.store.tables.terminations import FINAL_PHASES, IS_OPEN, TerminationRow


async def open_or_join(session: AsyncSession, termination: Termination) -> Termination:
    """Open a termination, or return the run's open one.

    If the new request has `force`, the open termination gets it, too.
    """
    await bump_version(session, termination.run_id, now=termination.requested_at)
    statement = insert(TerminationRow).values(
        id=termination.id,
        run_id=termination.run_id,
        phase=termination.phase,
        requested_at=termination.requested_at,
        requested_by=termination.requested_by,
        requested_by_name=termination.requested_by_name,
        requested_from=termination.requested_from,
        reason=termination.reason,
        force=termination.force,
        phases={termination.phase.value: 0},
        processes_seen=termination.processes_seen,
        survivors=[_survivor(process) for process in termination.survivors],
        work_saved=dict(termination.work_saved),
    )
    rows = await session.scalars(
        statement.on_conflict_do_update(
            index_elements=["run_id"],
            index_where=IS_OPEN,
            set_={"force": or_(TerminationRow.force, statement.excluded.force)},
        ).returning(TerminationRow)
    )
    return rows.one().to_termination()


async def advance(
    session: AsyncSession,
    termination_id: UUID,
    phase: Phase,
    *,
    now: datetime,
    processes_seen: int | None = None,
    survivors: Iterable[ProcessIdentity] | None = None,
    proof_by: ProofMethod | None = None,
    work_saved: Mapping[str, Any] | None = None,
    cleanup: Mapping[str, Any] | None = None,
) -> Termination:
    """Move a termination to a phase, if its present one allows it.

    Check and change are one statement, so two callers cannot both win.  The time since the
    request is recorded in milliseconds; if a retried kill enters a phase again, the first time
    stays.

    Args:
        session: An open session.
        termination_id: The termination.
        phase: The phase to move to.
        now: The present time.
        processes_seen: The number of processes seen; a smaller one than before has no effect.
        survivors: Replaces the survivors; `None` keeps them.
        proof_by: What shows that nothing is left; `None` keeps what is recorded.
        work_saved: Keys to add or replace; `None` changes nothing.
        cleanup: Keys to add or replace; `None` changes nothing.

    Raises:
        TerminationNotFound: If there is none with this id.
        IllegalPhase: If the phase does not follow the present one.
    """
    await _touch_run(session, termination_id, now=now)
    elapsed = func.extract("epoch", time_literal(now) - TerminationRow.requested_at) * 1000
    columns: dict[str, Any] = {
        "phase": phase,
        "phases": func.jsonb_build_object(
            phase.value, cast(func.greatest(elapsed, 0), BigInteger), type_=JSONB
        ).concat(TerminationRow.phases),
    }
    if processes_seen is not None:
        columns["processes_seen"] = func.greatest(TerminationRow.processes_seen, processes_seen)
    if survivors is not None:
        columns["survivors"] = [_survivor(process) for process in survivors]
    if proof_by is not None:
        columns["proof_by"] = proof_by
    if work_saved is not None:
        columns["work_saved"] = TerminationRow.work_saved.concat(dict(work_saved))
    if cleanup is not None:
        columns["cleanup"] = TerminationRow.cleanup.concat(dict(cleanup))
    if phase in FINAL_PHASES:
        columns["completed_at"] = now
    row: TerminationRow | None = await session.scalar(
        update(TerminationRow)
        .where(
            TerminationRow.id == termination_id,
            TerminationRow.phase.in_(sorted(phase_sources_of(phase))),
        )
        .values(**columns)
        .returning(TerminationRow)
        .execution_options(synchronize_session=False)
    )
    if row is None:
        present = await _find(session, TerminationRow.id == termination_id)
        if present is None:
            raise TerminationNotFound(termination_id)
        raise IllegalPhase(termination_id, present.phase, phase)
    advanced = row.to_termination()
    measuring.note_kill(session, advanced)
    return advanced


async def add_critical_waits(
    session: AsyncSession, termination_id: UUID, waits: Iterable[CriticalWait], *, now: datetime
) -> Termination:
    """Add critical calls for which a kill has waited; its phase stays.

    Raises:
        TerminationNotFound: If there is none with this id.
    """
    await _touch_run(session, termination_id, now=now)
    added = [asdict(wait) for wait in waits]
    rows = await session.scalars(
        update(TerminationRow)
        .where(TerminationRow.id == termination_id)
        .values(waited_for=TerminationRow.waited_for.concat(added))
        .returning(TerminationRow)
        .execution_options(synchronize_session=False)
    )
    return rows.one().to_termination()


async def add_outcome(
    session: AsyncSession,
    run: UUID,
    *,
    work_saved: Mapping[str, Any] | None = None,
    cleanup: Mapping[str, Any] | None = None,
) -> None:
    """Add keys to what a run's newest termination saved and removed; nothing without one.

    The caller raises the version of the run, if people are to see it at once.
    """
    columns: dict[str, Any] = {}
    if work_saved is not None:
        columns["work_saved"] = TerminationRow.work_saved.concat(dict(work_saved))
    if cleanup is not None:
        columns["cleanup"] = TerminationRow.cleanup.concat(dict(cleanup))
    newest = (
        select(TerminationRow.id)
        .where(TerminationRow.run_id == run)
        .order_by(TerminationRow.requested_at.desc())
        .limit(1)
    )
    await session.execute(
        update(TerminationRow)
        .where(TerminationRow.id == newest.scalar_subquery())
        .values(**columns)
        .execution_options(synchronize_session=False)
    )


async def latest_of_run(session: AsyncSession, run: UUID) -> Termination | None:
    """Return a run's newest termination; `None` if no kill was ever requested."""
    return (await of_runs(session, [run])).get(run)


async def of_runs(session: AsyncSession, runs: Iterable[UUID]) -> dict[UUID, Termination]:
    """Return the newest termination of several runs, by run; runs without one are missing."""
    rows = await session.scalars(
        select(TerminationRow)
        .where(TerminationRow.run_id.in_(list(runs)))
        .order_by(TerminationRow.run_id, TerminationRow.requested_at.desc())
        .ext(distinct_on(TerminationRow.run_id))
    )
    return {row.run_id: row.to_termination() for row in rows}


async def all_of_run(session: AsyncSession, run: UUID) -> list[Termination]:
    """List a run's terminations, newest first."""
    rows = await session.scalars(
        select(TerminationRow)
        .where(TerminationRow.run_id == run)
        .order_by(TerminationRow.requested_at.desc(), TerminationRow.id)
    )
    return [row.to_termination() for row in rows]


async def unfinished(session: AsyncSession) -> list[Termination]:
    """List the terminations without a proof, oldest first."""
    rows = await session.scalars(
        select(TerminationRow).where(IS_OPEN).order_by(TerminationRow.requested_at)
    )
    return [row.to_termination() for row in rows]


async def _touch_run(session: AsyncSession, termination_id: UUID, *, now: datetime) -> None:
    run: UUID | None = await session.scalar(
        select(TerminationRow.run_id).where(TerminationRow.id == termination_id)
    )
    if run is None:
        raise TerminationNotFound(termination_id)
    # Lock the run's row first, as a kill does, so that two transactions cannot deadlock.
    await bump_version(session, run, now=now)


async def _find(session: AsyncSession, *conditions: ColumnElement[bool]) -> Termination | None:
    row = await session.scalar(select(TerminationRow).where(*conditions))
    return None if row is None else row.to_termination()


def _survivor(process: ProcessIdentity) -> dict[str, object]:
    return {
        "pid": process.pid,
        "started_ticks": process.started_ticks,
        "name": process.name,
    }
