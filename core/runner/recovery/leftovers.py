"""Leftovers of dead workers: processes and directories of runs that have ended."""

from __future__ import annotations

import asyncio
import logging

from core.agent.process.orphans import run_ids_on_machine, sweep_orphans
from core.domain.errors import NotFound
from core.domain.fleet.attempt import can_see_processes, machine_name
from core.domain.kills.termination import Proof
from core.domain.runs.event import EventKind, EventRecord
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.recovery.clean_up import Cleaner
from core.store import events
from core.store.fleet import attempts
from core.store.runs import run_queries, runs
from core.workspace.scratch import remove_abandoned

log = logging.getLogger(__name__)


async def clean_up_leftovers(ledger: Ledger, cleaner: Cleaner, *, installation_id: str) -> None:
    """End processes on this machine whose run is not live here, and remove their directories.

    Other workers on this machine may start runs meanwhile.  So this lists the processes first and
    reads the live attempts afterwards: a new run is then always among the live ones.
    """
    running = await asyncio.to_thread(run_ids_on_machine, installation_id=installation_id)
    on_disk = await asyncio.to_thread(cleaner.attempts_on_disk)
    async with ledger.context.transaction() as session:
        live = await attempts.live(session)
    # Processes in containers of this machine may be visible here; their own worker ends them.
    visible = {one.run_id for one in live if can_see_processes(ledger.host, one.host)}
    ended = await sweep_orphans(visible, installation_id=installation_id, candidates=running)
    for run_id, proof in ended.items():
        await _report(ledger, run_id, proof)
    # All live attempts, since several machines may share a home.
    ended_attempts = on_disk - {(one.run_id, one.attempt) for one in live}
    survived = {run_id for run_id, proof in ended.items() if not proof.is_confirmed}
    removed = await cleaner.remove_attempts(one for one in ended_attempts if one[0] not in survived)
    if removed:
        log.info(
            "removed directories of %s ended attempts: %s",
            len(removed),
            ", ".join(sorted(removed)),
            extra={"event": "state_dirs.removed", "count": len(removed)},
        )
    abandoned = await asyncio.to_thread(remove_abandoned, cleaner.home)
    if abandoned:
        log.info(
            "removed unfinished directories: %s",
            ", ".join(sorted(abandoned)),
            extra={"event": "unfinished_dirs.removed", "count": len(abandoned)},
        )


async def _report(ledger: Ledger, run_id: str, proof: Proof) -> None:
    log.warning(
        "ended %s left-over processes of %s, %s survive",
        len(proof.seen),
        run_id,
        len(proof.survivors),
        extra={
            "event": "leftovers.ended",
            "run_id": run_id,
            "count": len(proof.seen),
            "survivors": len(proof.survivors),
        },
    )
    now = ledger.context.clock()
    try:
        async with ledger.context.transaction() as session:
            run = await run_queries.get(session, run_id)
            await events.append(
                session,
                run.id,
                run.attempt,
                [
                    EventRecord(
                        kind=EventKind.LEFTOVERS_ENDED,
                        at=now,
                        data={
                            "host": machine_name(ledger.host),
                            "worker": ledger.worker_id,
                            "ended": [one.name for one in proof.seen],
                            "survivors": len(proof.survivors),
                        },
                    )
                ],
            )
            ended_attempts = [
                one.attempt
                for one in await attempts.of_run(session, run.id)
                if ledger.kills.is_local_attempt(one) and one.ended_at is not None
            ]
            if proof.is_confirmed and ended_attempts:
                await ledger.kills.record_attempts_gone(
                    session, run, max_attempt=max(ended_attempts)
                )
            await runs.change(session, run.run_id, now=now)
    except NotFound:
        log.warning(
            "%s is no run of this database",
            run_id,
            extra={"event": "leftovers.unmatched", "run_id": run_id},
        )
