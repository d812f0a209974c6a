"""The workspace of a leg: here already, carried from another node, or made anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.attempt import node_of
from core.domain.runs.carried_work import CarriedWork
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run
from core.runner.execution.attempt import Leg
from core.runner.execution.ledger import Ledger
from core.runner.shielded import until_written
from core.store import events
from core.store.runs import runs
from core.store.sessions import carried_work, sessions
from core.workspace.workspaces import Workspace, Workspaces

_MAX_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class Before:
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
    lacks: bool


async def take_place(
    leg: Leg, branch: str | None, *, ledger: Ledger, workspaces: Workspaces
) -> Workspace:
    """Find or make the workspace that a leg goes on in.

    What is on this disk is used if the session worked here last, else what was carried.

    Args:
        leg: The leg; what was restored, and what is missing, is noted in its account.
        branch: Where a workspace that has to be made begins.
        ledger: The rows.
        workspaces: Those of this node.
    """
    run = leg.run
    workspace_id = run.workspace_id or f"ws_{run.session_id.hex[:12]}"
    present = await workspaces.reopen(workspace_id)
    before = None
    if not leg.is_first:
        node = await until_written(lambda: _last_node(ledger, run))
        is_elsewhere = node is not None and disk_of(node) != disk_of(node_of(ledger.worker_id))
        if present is None or is_elsewhere:
            before = await until_written(
                lambda: _look_back(ledger, run, node, is_gone=not is_elsewhere)
            )
    if before is not None and before.work is not None:
        restored = await workspaces.restore(
            workspace_id=workspace_id, source=run.git_repo, bundle=before.work.bundle
        )
        _note(
            leg, ledger, before, workspace_id,
            commit=before.work.bundle.head_commit,
            uncommitted=before.work.bundle.saved_commit is not None,
            kept=restored.kept,
            left_empty=list(restored.left_empty[:_MAX_NAMED]),
        )  # fmt: skip
        return restored.workspace
    if present is None:
        present = await workspaces.prepare(
            workspace_id=workspace_id,
            source=run.git_repo,
            branch=branch,
            run_branch=f"signalbox/{run.workflow_name}/{run.run_id}",
        )
    if before is not None and (before.is_cut_short or before.lacks or before.is_gone):
        _note(leg, ledger, before, workspace_id, commit=None, uncommitted=False)
    return present


def disk_of(node: str) -> str:
    """What the nodes of one home share: hostname and disk, without the node's number."""
    return node.rpartition("-")[0] or node


def _note(leg: Leg, ledger: Ledger, before: Before, workspace_id: str, **data: Any) -> None:
    leg.progress.note(
        EventKind.WORK_RESTORED,
        ledger.work.clock(),
        from_node=before.node,
        workspace=workspace_id,
        incomplete=before.is_cut_short or before.lacks,
        cut_short=before.is_cut_short,
        gone=before.is_gone,
        **data,
    )


async def _last_node(ledger: Ledger, run: Run) -> str | None:
    async with ledger.work.transaction() as session:
        return (await sessions.get(session, run.session_id)).workspace_node


async def _look_back(ledger: Ledger, run: Run, node: str | None, *, is_gone: bool) -> Before | None:
    async with ledger.work.transaction() as session:
        legs = await runs.legs_of_session(session, run.session_id)
        earlier = [leg for leg in legs if leg.created_at < run.created_at]
        if not any(leg.workspace_path for leg in (*earlier, run)):
            return None
        told, is_cut_short = await _end_of_work(session, [*earlier, run])
        return Before(
            node=node,
            work=await carried_work.latest(session, run.session_id),
            is_gone=is_gone,
            is_cut_short=is_cut_short,
            lacks=told is not None and ("failed" in told.data or "too_large" in told.data),
        )


async def _end_of_work(
    session: AsyncSession, legs: Sequence[Run]
) -> tuple[EventRecord | None, bool]:
    """What was last noted of carrying, and whether the last work was not carried to its end.

    An attempt that has a workspace notes at its end what it carried, be it nothing.
    """
    kinds = (EventKind.WORKSPACE_READY, EventKind.WORK_CARRIED)
    for leg in reversed(legs):
        happened = await events.of_run(session, leg.id, kinds=kinds)
        if happened:
            last = happened[-1]
            is_ready = last.kind is EventKind.WORKSPACE_READY
            return (None if is_ready else last), is_ready
    return None, False
