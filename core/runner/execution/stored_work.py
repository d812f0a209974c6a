"""The earlier work of a session whose workspace is not here, and what is stored of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run
from core.domain.runs.work.carried_work import CarriedWork
from core.runner.execution.ledgers.ledger import Ledger
from core.store import events
from core.store.runs import run_queries
from core.store.sessions import carried_work
from core.store.sessions.checkpoints import checkpoints


@dataclass(frozen=True, kw_only=True)
class StoredCheckpoint:
    """A checkpoint with the bundles that make it complete, in the order to unpack them."""

    checkpoint: Checkpoint
    bundles: Sequence[bytes]


@dataclass(frozen=True, kw_only=True)
class EarlierWork:
    """The earlier work of a session that is not in a workspace here.

    Attributes:
        node: The node whose disk has the workspace; `None` if unknown.
        work: The newest carried work.
        checkpoint: The newest stored checkpoint, if the last attempt was cut short and has left it
            after the carried work.
        is_gone: Whether the workspace should be on this disk but is missing.
        is_damaged: Whether it is on this disk, but without a usable repository.
        is_cut_short: Whether the worker died, so that its last work was not carried.
        has_gaps: Whether some of the work could not be carried.
    """

    node: str | None
    work: CarriedWork | None
    checkpoint: StoredCheckpoint | None
    is_gone: bool
    is_damaged: bool
    is_cut_short: bool
    has_gaps: bool


async def find_earlier_work(
    ledger: Ledger, run: Run, node: str | None, *, is_gone: bool, is_damaged: bool
) -> EarlierWork | None:
    """Find what a session did before a run, for a workspace that is not here.

    Args:
        ledger: For reads from the database.
        run: The run whose attempt begins.
        node: The node whose disk has the workspace; `None` if unknown.
        is_gone: Whether the workspace should be on this disk but is missing.
        is_damaged: Whether it is on this disk, but without a usable repository.

    Returns:
        The work; `None` if no run of the session had a workspace.
    """
    async with ledger.context.transaction() as session:
        found = await run_queries.legs_of_session(session, run.session_id)
        legs = [*(leg for leg in found if leg.created_at < run.created_at), run]
        if not any(leg.workspace_path for leg in legs):
            return None
        last_carry, is_cut_short = await _last_carry_event(session, legs)
        work = await carried_work.latest(session, run.session_id)
        return EarlierWork(
            node=node,
            work=work,
            checkpoint=await _newer_checkpoint(session, legs, work) if is_cut_short else None,
            # If its clean-up removed it, that is no loss.
            is_gone=is_gone and not any(leg.workspace_cleaned_up for leg in legs),
            is_damaged=is_damaged,
            is_cut_short=is_cut_short,
            has_gaps=last_carry is not None
            and ("failed" in last_carry.data or "too_large" in last_carry.data),
        )


async def _last_carry_event(
    session: AsyncSession, legs: Sequence[Run]
) -> tuple[EventRecord | None, bool]:
    """The newest event about carried work, and whether the last attempt recorded none.

    An attempt with a workspace records at its end what it carried, even if that is nothing.  If
    the event is missing, the attempt was cut short.
    """
    kinds = (EventKind.WORKSPACE_READY, EventKind.WORK_CARRIED)
    for earlier_run in reversed(legs):
        carry_events = await events.of_run(session, earlier_run.id, kinds=kinds)
        if carry_events:
            last = carry_events[-1]
            is_ready = last.kind is EventKind.WORKSPACE_READY
            return (None if is_ready else last), is_ready
    return None, False


async def _newer_checkpoint(
    session: AsyncSession, legs: Sequence[Run], work: CarriedWork | None
) -> StoredCheckpoint | None:
    """The newest checkpoint that any machine can restore, if it is newer than the carried work."""
    order = {leg.id: number for number, leg in enumerate(legs)}

    def age(run: UUID, attempt: int, at: datetime) -> tuple[int, int, datetime]:
        # The clocks of two workers differ; within an attempt there is one.
        return order.get(run, -1), attempt, at

    carried = None if work is None else age(work.run_id, work.attempt, work.created_at)
    for checkpoint in reversed(await checkpoints.of_session(session, legs[-1].session_id)):
        taken = age(checkpoint.run_id, checkpoint.attempt, checkpoint.taken_at)
        if carried is not None and taken <= carried:
            return None
        if not checkpoint.is_restorable_anywhere:
            continue
        bundles = await checkpoints.bundles_for(session, checkpoint.id)
        if bundles is not None:
            return StoredCheckpoint(checkpoint=checkpoint, bundles=bundles)
    return None
