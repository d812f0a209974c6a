"""The work of a session's earlier run, which may still be kept when the next one begins."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from core.domain.runs.event import EventKind
from core.domain.runs.run import Run, StopReason
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.resilience import retry_while_unavailable
from core.store import events
from core.store.runs import run_queries

_POLL_INTERVAL = timedelta(seconds=0.25)
# After a run has ended and its work is kept, its worker stores it within 30 s, or gives up.
_STORE_LIMIT = timedelta(seconds=35)


async def wait_for_earlier_work(ledger: Ledger, run: Run) -> None:
    """Wait until the work of the session's earlier runs is saved, measured and stored.

    Otherwise an agent would change the files while they are measured for the run before, or find
    an older state on another machine.  A worker that is late with it is taken for dead.
    """
    while await retry_while_unavailable(  # noqa: ASYNC110 - another process ends it
        lambda: _is_work_pending(ledger, run)
    ):
        await asyncio.sleep(_POLL_INTERVAL.total_seconds())


async def _is_work_pending(ledger: Ledger, run: Run) -> bool:
    now = ledger.context.clock()
    async with ledger.context.transaction() as session:
        legs = await run_queries.legs_of_session(session, run.session_id)
        for leg in legs:
            if leg.created_at >= run.created_at:
                continue
            if leg.work_due_at is not None and leg.work_due_at > now:
                return True
            if not _may_be_stored_still(leg, now):
                continue
            kinds = (EventKind.WORKSPACE_READY, EventKind.WORK_CARRIED)
            found = await events.of_run(session, leg.id, kinds=kinds)
            if found and found[-1].kind is EventKind.WORKSPACE_READY:
                return True
    return False


def _may_be_stored_still(leg: Run, now: datetime) -> bool:
    ended = leg.completed_at
    is_orphaned = leg.stop_reason is StopReason.WORKER_LOST
    return ended is not None and not is_orphaned and now - ended < _STORE_LIMIT
