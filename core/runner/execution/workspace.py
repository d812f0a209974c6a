"""The workspace of an attempt: present already, restored from carried work, or new."""

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
from core.workspace.errors import DamagedRepository
from core.workspace.workspaces import Workspace, Workspaces

_MAX_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class EarlierWork:
    """The earlier work of a session that is not in a workspace here.

    Attributes:
        node: The node whose disk has the workspace; `None` if unknown.
        work: The newest carried work.
        is_gone: Whether the workspace should be on this disk but is missing.
        is_damaged: Whether it is on this disk, but without a usable repository.
        is_cut_short: Whether the worker died, so that its last work was not carried.
        has_gaps: Whether some of the work could not be carried.
    """

    node: str | None
    work: CarriedWork | None
    is_gone: bool
    is_damaged: bool
    is_cut_short: bool
    has_gaps: bool


async def ensure_workspace(
    attempt: Attempt, branch: str | None, *, ledger: Ledger, workspaces: Workspaces
) -> Workspace:
    """Find or create the workspace of an attempt.

    A workspace on this disk is used if the session worked here last, otherwise the carried work.

    Args:
        attempt: The attempt; its events record what was restored and what is missing.
        branch: The branch that a new workspace starts from.
        ledger: For reads from the database.
        workspaces: The workspaces of this node.

    Raises:
        RepositoryNotAllowed: If the run's repository may not be cloned, even if it is here already.
        WorkspaceError: If the workspace cannot be created.
    """
    run = attempt.run
    # The settings may have changed since the run was requested, or those of the bot may differ.
    workspaces.require_allowed(run.git_repo)
    watch = attempt.opened.git
    workspace_id = run.workspace_id or f"ws_{run.session_id.hex[:12]}"
    existing, is_damaged, earlier_work = None, False, None
    try:
        existing = await workspaces.reopen(workspace_id, watch=watch)
    except DamagedRepository:
        is_damaged = True
    if not attempt.is_first:
        node = await retry_while_unavailable(lambda: _last_node(ledger, run))
        is_elsewhere = node is not None and disk_id_of_node(node) != disk_id_of_node(
            node_of(ledger.worker_id)
        )
        if existing is None or is_elsewhere:
            earlier_work = await retry_while_unavailable(
                lambda: _find_earlier_work(
                    ledger,
                    run,
                    node,
                    is_gone=not is_elsewhere and not is_damaged,
                    is_damaged=is_damaged and not is_elsewhere,
                )
            )
    if earlier_work is not None and earlier_work.work is not None:
        restored = await workspaces.restore(
            workspace_id=workspace_id,
            source=run.git_repo,
            bundle=earlier_work.work.bundle,
            watch=watch,
        )
        _note_restored(
            attempt, ledger, earlier_work, workspace_id, restored.workspace,
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
            watch=watch,
        )
    if earlier_work is not None and (
        earlier_work.is_cut_short
        or earlier_work.has_gaps
        or earlier_work.is_gone
        or earlier_work.is_damaged
    ):
        _note_restored(
            attempt, ledger, earlier_work, workspace_id, existing, commit=None, uncommitted=False
        )
    return existing


def disk_id_of_node(node: str) -> str:
    """The disk id, which all nodes of one home share: the name without the node's number."""
    return node.rpartition("-")[0] or node


def _note_restored(
    attempt: Attempt,
    ledger: Ledger,
    earlier_work: EarlierWork,
    workspace_id: str,
    restored: Workspace,
    **data: Any,
) -> None:
    attempt.progress.add_record(
        EventKind.WORK_RESTORED,
        ledger.context.clock(),
        from_node=earlier_work.node,
        workspace=workspace_id,
        incomplete=earlier_work.is_cut_short or earlier_work.has_gaps,
        cut_short=earlier_work.is_cut_short,
        gone=earlier_work.is_gone,
        damaged=earlier_work.is_damaged,
        rebuilt=restored.id,
        **data,
    )


async def _last_node(ledger: Ledger, run: Run) -> str | None:
    async with ledger.context.transaction() as session:
        return (await sessions.get(session, run.session_id)).workspace_node


async def _find_earlier_work(
    ledger: Ledger, run: Run, node: str | None, *, is_gone: bool, is_damaged: bool
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
