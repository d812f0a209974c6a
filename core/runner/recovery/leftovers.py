"""What died workers left: processes of runs that are over, and directories of theirs."""

from __future__ import annotations

import asyncio
import logging

from core.agent.process.ladder import runs_here, sweep
from core.domain.errors import NotFound
from core.domain.fleet.attempt import machine_of, may_see
from core.domain.kills.termination import Proof
from core.domain.runs.event import EventKind, EventRecord
from core.runner.execution.ledger import Ledger
from core.runner.recovery.clean_up import Clearing
from core.store import events
from core.store.fleet import attempts
from core.store.runs import runs
from core.workspace.scratch import clear_abandoned

log = logging.getLogger(__name__)


async def clear_leftovers(ledger: Ledger, clearing: Clearing, *, site: str) -> None:
    """End every process of a run that is not live on this machine, and remove what is left.

    Other workers of this machine may start runs meanwhile: what is here is seen first, and
    who lives is asked after.
    """
    here = await asyncio.to_thread(runs_here, site=site)
    kept = await asyncio.to_thread(clearing.attempts_here)
    async with ledger.work.transaction() as session:
        live = await attempts.live(session)
    # A container on this machine may be seen from here; what runs in it is its worker's.
    in_sight = {one.run_id for one in live if may_see(ledger.host, one.host)}
    ended = await sweep(in_sight, site=site, among=here)
    for run_id, proof in ended.items():
        await _report(ledger, run_id, proof)
    # A home may be shared between machines.
    over = kept - {(one.run_id, one.attempt) for one in live}
    survived = {run_id for run_id, proof in ended.items() if not proof.is_confirmed}
    removed = await clearing.remove(one for one in over if one[0] not in survived)
    if removed:
        log.info("removed what %s attempts left: %s", len(removed), ", ".join(sorted(removed)))
    abandoned = await asyncio.to_thread(clear_abandoned, clearing.home)
    if abandoned:
        log.info("removed what was half made: %s", ", ".join(sorted(abandoned)))


async def _report(ledger: Ledger, run_id: str, proof: Proof) -> None:
    log.warning(
        "ended %s left-over processes of %s, %s survive",
        len(proof.seen),
        run_id,
        len(proof.survivors),
    )
    now = ledger.work.clock()
    try:
        async with ledger.work.transaction() as session:
            run = await runs.get(session, run_id)
            await events.append(
                session,
                run.id,
                run.attempt,
                [
                    EventRecord(
                        kind=EventKind.LEFTOVERS_ENDED,
                        at=now,
                        data={
                            "host": machine_of(ledger.host),
                            "worker": ledger.worker_id,
                            "ended": [one.name for one in proof.seen],
                            "survivors": len(proof.survivors),
                        },
                    )
                ],
            )
            over = [
                one.attempt
                for one in await attempts.of_run(session, run.id)
                if ledger.is_here(one) and one.ended_at is not None
            ]
            if proof.is_confirmed and over:
                await ledger.note_gone(session, run, up_to=max(over))
            await runs.change(session, run.run_id, now=now)
    except NotFound:
        log.warning("%s is no run of this database", run_id)
