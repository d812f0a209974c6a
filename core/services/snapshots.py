"""Runs read with everything a view needs, in few queries for many runs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.attempt import machine_name
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.snapshot import RunSnapshot
from core.services import admission
from core.store import events, steps, terminations, users
from core.store.fleet import attempts, pending
from core.store.runs import run_queries

# Events that a person who follows a run wants a line about.
NOTICE_KINDS = (
    EventKind.API_RETRY,
    EventKind.RATE_LIMIT,
    EventKind.RUN_REQUEUED,
    EventKind.RUN_STARTED,
    EventKind.WORKER_LOST,
    EventKind.WORK_CARRIED,
    EventKind.WORK_RESTORED,
)
_MAX_NOTICES = 200


async def of_runs(session: AsyncSession, wanted: Sequence[Run]) -> list[RunSnapshot]:
    """Snapshots of these runs, in their order, without notices."""
    ids = [run.id for run in wanted]
    steps_by_run = await steps.of_runs(session, ids)
    terminations_by_run = await terminations.of_runs(session, ids)
    owners = {
        user_id: await users.get(session, user_id)
        for user_id in {run.user_id for run in wanted if run.user_id is not None}
    }
    waiting = [run for run in wanted if run.status is RunStatus.PENDING]
    positions = (
        await pending.positions(session, run_ids=[run.run_id for run in waiting]) if waiting else {}
    )
    holds = await admission.current_holds(session, waiting)
    has_available_worker = not waiting or await admission.has_available_worker(session)
    return [
        RunSnapshot(
            run=run,
            owner=owners.get(run.user_id) if run.user_id else None,
            steps=tuple(steps_by_run.get(run.id, ())),
            termination=terminations_by_run.get(run.id),
            queue_position=positions[run.run_id][0] if run.run_id in positions else None,
            hold=holds.get(run.run_id),
            has_available_worker=has_available_worker,
            kill_machine=await _kill_machine(session, terminations_by_run.get(run.id)),
        )
        for run in wanted
    ]


async def _kill_machine(session: AsyncSession, kill: Termination | None) -> str | None:
    """The machine to look at, for a kill that something has survived."""
    if kill is None or kill.phase is Phase.CONFIRMED or Phase.UNCONFIRMED not in kill.phases:
        return None
    records = await attempts.of_run(session, kill.run_id)
    return machine_name(records[-1].host) if records else None


async def of_session_runs(session: AsyncSession, legs: Sequence[Run]) -> list[RunSnapshot]:
    """Full snapshots of the legs of one session, oldest first: totals and notices too."""
    full_snapshots: list[RunSnapshot] = []
    ids = {run.id: run.run_id for run in legs}
    totals = {
        session_id: await run_queries.total_of_session(session, session_id)
        for session_id in {run.session_id for run in legs}
    }
    for number, snapshot in enumerate(await of_runs(session, legs), start=1):
        run = snapshot.run
        full_snapshots.append(
            RunSnapshot(
                run=run,
                owner=snapshot.owner,
                parent_run_id=ids.get(run.parent_run_id) if run.parent_run_id else None,
                steps=snapshot.steps,
                termination=snapshot.termination,
                total=totals[run.session_id],
                queue_position=snapshot.queue_position,
                hold=snapshot.hold,
                has_available_worker=snapshot.has_available_worker,
                kill_machine=snapshot.kill_machine,
                leg=number,
                notices=tuple(
                    await events.of_run(session, run.id, kinds=NOTICE_KINDS, limit=_MAX_NOTICES)
                ),
            )
        )
    return full_snapshots
