"""The workspace of an attempt: here already, carried from another node, or made anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.attempt import node_of
from core.domain.runs.carried_work import CarriedWork
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run
from core.runner.execution.attempt import Attempt
from core.runner.execution.ledger import Ledger
from core.runner.resilience import retry_while_unavailable
from core.store import events
from core.store.runs import run_queries
from core.store.sessions import carried_work, sessions
from core.workspace.workspaces import Workspace, Workspaces

_MAX_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class EarlierWork:
    """Where a session's work was last.

    Attributes:
        node: Whose disk holds it; `None` if nobody noted it.
        work: What was carried of it.
        is_gone: Whether it should be on this disk, and is not.
        is_cut_short: Whether its worker died, so that the last of it was not carried.
        lacks: Whether something of it could not be carried.
    """

    node: str | None
    work: CarriedWork | None
    is_gone: bool
    is_cut_short: bool
    has_gaps: bool


async def ensure_workspace(
    attempt: Attempt, branch: str | None, *, ledger: Ledger, workspaces: Workspaces
) -> Workspace:
    """Find or make the workspace that an attempt works in.

    What is on this disk is used if the session worked here last, else what was carried.

    Args:
        attempt: What was restored, and what is missing, is noted in its account.
        branch: Where a workspace that has to be made begins.
        ledger: The rows.
        workspaces: Those of this node.
    """
    run = attempt.run
    workspace_id = run.workspace_id or f"ws_{run.session_id.hex[:12]}"
    existing = await workspaces.reopen(workspace_id)
    earlier_work = None
    if not attempt.is_first:
        node = await retry_while_unavailable(lambda: _last_node(ledger, run))
        is_elsewhere = node is not None and disk_id_of_node(node) != disk_id_of_node(
            node_of(ledger.worker_id)
        )
        if existing is None or is_elsewhere:
            earlier_work = await retry_while_unavailable(
                lambda: _find_earlier_work(ledger, run, node, is_gone=not is_elsewhere)
            )
    if earlier_work is not None and earlier_work.work is not None:
        restored = await workspaces.restore(
            workspace_id=workspace_id, source=run.git_repo, bundle=earlier_work.work.bundle
        )
        _note_restored(
            attempt, ledger, earlier_work, workspace_id,
            commit=earlier_work.work.bundle.head_commit,
            uncommitted=earlier_work.work.bundle.saved_commit is not None,
            kept=restored.superseded_ref,
            left_empty=list(restored.left_empty[:_MAX_NAMED]),
        )  # fmt: skip
        return restored.workspace
    if existing is None:
        existing = await workspaces.prepare(
            workspace_id=workspace_id,
            source=run.git_repo,
            branch=branch,
            run_branch=f"signalbox/{run.workflow_name}/{run.run_id}",
        )
    if earlier_work is not None and (
        earlier_work.is_cut_short or earlier_work.has_gaps or earlier_work.is_gone
    ):
        _note_restored(attempt, ledger, earlier_work, workspace_id, commit=None, uncommitted=False)
    return existing


def disk_id_of_node(node: str) -> str:
    """What the nodes of one home share: hostname and disk, without the node's number."""
    return node.rpartition("-")[0] or node


def _note_restored(
    attempt: Attempt, ledger: Ledger, earlier_work: EarlierWork, workspace_id: str, **data: Any
) -> None:
    attempt.progress.add_record(
        EventKind.WORK_RESTORED,
        ledger.context.clock(),
        from_node=earlier_work.node,
        workspace=workspace_id,
        incomplete=earlier_work.is_cut_short or earlier_work.has_gaps,
        cut_short=earlier_work.is_cut_short,
        gone=earlier_work.is_gone,
        **data,
    )


async def _last_node(ledger: Ledger, run: Run) -> str | None:
    async with ledger.context.transaction() as session:
        return (await sessions.get(session, run.session_id)).workspace_node


async def _find_earlier_work(
    ledger: Ledger, run: Run, node: str | None, *, is_gone: bool
) -> EarlierWork | None:
    async with ledger.context.transaction() as session:
        legs = await run_queries.legs_of_session(session, run.session_id)
        earlier_runs = [
            earlier_run for earlier_run in legs if earlier_run.created_at < run.created_at
        ]
        if not any(earlier_run.workspace_path for earlier_run in (*earlier_runs, run)):
            return None
        last_carry, is_cut_short = await _last_carry_event(session, [*earlier_runs, run])
        return EarlierWork(
            node=node,
            work=await carried_work.latest(session, run.session_id),
            is_gone=is_gone,
            is_cut_short=is_cut_short,
            has_gaps=last_carry is not None
            and ("failed" in last_carry.data or "too_large" in last_carry.data),
        )


async def _last_carry_event(
    session: AsyncSession, legs: Sequence[Run]
) -> tuple[EventRecord | None, bool]:
    """What was last noted of carrying, and whether the last work was not carried to its end.

    An attempt that has a workspace notes at its end what it carried, be it nothing.
    """
    kinds = (EventKind.WORKSPACE_READY, EventKind.WORK_CARRIED)
    for earlier_run in reversed(legs):
        carry_events = await events.of_run(session, earlier_run.id, kinds=kinds)
        if carry_events:
            last = carry_events[-1]
            is_ready = last.kind is EventKind.WORKSPACE_READY
            return (None if is_ready else last), is_ready
    return None, False
