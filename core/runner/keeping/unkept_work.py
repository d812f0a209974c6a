"""Work of ended runs that their worker did not finish keeping: it died, or was shut down.

A run's `work_due_at` says by when its worker is done.  After that, a worker with the run's
workspace on its disk takes over; if none comes, the work stays unmeasured, and the run says so.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.domain.errors import Unavailable
from core.domain.fleet.attempt import disk_id_of_node, node_of
from core.domain.runs.run import Run, RunStatus
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.keeping.keeper import KEEP_LIMIT, KeptWork, WorkKeeper, record_kept
from core.runner.log_fields import log_fields
from core.store.runs import run_queries, runs
from core.store.sessions import sessions
from core.workspace.errors import WorkspaceError
from core.workspace.workspaces import Workspace, Workspaces

log = logging.getLogger(__name__)

# Enough for a machine to start again.
_PATIENCE = timedelta(minutes=10)
_WENT_ON = (
    "The worker stopped before it had measured this run's work, and the session has gone on since: "
    "what is not committed counts for the run that continued it."
)
_NOBODY_CAME = (
    "The worker stopped before it had measured this run's work, and its machine has not come back. "
    "The files are still there."
)


@dataclass(frozen=True)
class UnkeptWork:
    """Finishes keeping the work of ended runs, on one worker."""

    ledger: Ledger
    workspaces: Workspaces

    async def keep_due_work(self, *, of_predecessors: bool = False) -> None:
        """Take over once all work that is due and on this disk, one run after the other.

        Args:
            of_predecessors: Whether the work of earlier workers of this node is due, since they
                are certainly dead.
        """
        async with self.ledger.context.transaction() as session:
            pending = await run_queries.with_pending_work(session)
        for run in pending:
            try:
                await self._take_over(run, of_predecessors=of_predecessors)
            except Unavailable:
                raise
            except Exception:
                # One failure must neither prevent the others nor end this worker.
                log.exception(
                    "%s: its work is not kept yet",
                    run.run_id,
                    extra=log_fields("work.takeover_failed", run),
                )

    async def _take_over(self, run: Run, *, of_predecessors: bool) -> None:
        now = self.ledger.context.clock()
        if run.work_due_at is None or not (
            run.work_due_at <= now or (of_predecessors and self._is_of_predecessor(run))
        ):
            return
        workspace = await self._workspace_of(run)
        if workspace is None:
            if now - run.work_due_at > _PATIENCE:
                await self._record(run, KeptWork(saved={}, unknown=_NOBODY_CAME))
            return
        if not await self._claim(run, now):
            return
        kept = await WorkKeeper(self.workspaces).keep(
            run, workspace, always_commits=run.status is RunStatus.KILLED
        )
        await self._record(run, kept)

    def _is_of_predecessor(self, run: Run) -> bool:
        own, other = self.ledger.worker_id, run.worker_id
        return other is not None and other != own and node_of(other) == node_of(own)

    async def _workspace_of(self, run: Run) -> Workspace | None:
        """The workspace, if it is on this disk; of another disk there may be an older copy."""
        async with self.ledger.context.transaction() as session:
            node = (await sessions.get(session, run.session_id)).workspace_node
        if node is None and run.worker_id is not None:
            node = node_of(run.worker_id)
        own = disk_id_of_node(node_of(self.ledger.worker_id))
        if run.workspace_id is None or node is None or disk_id_of_node(node) != own:
            return None
        try:
            return await self.workspaces.reopen(run.workspace_id)
        except WorkspaceError as error:
            await self._record(run, KeptWork(saved={}, unknown=error.user_message))
            return None

    async def _claim(self, run: Run, now: datetime) -> bool:
        async with self.ledger.context.transaction() as session:
            legs = await run_queries.legs_of_session(session, run.session_id)
            has_gone_on = any(
                leg.created_at > run.created_at and leg.started_at is not None for leg in legs
            )
            due_at = run.work_due_at
            is_claimed = due_at is not None and await runs.claim_work(
                session, run.run_id, due_at=due_at, until=now + KEEP_LIMIT, now=now
            )
        if is_claimed and has_gone_on:
            await self._record(run, KeptWork(saved={}, unknown=_WENT_ON))
            return False
        return is_claimed

    async def _record(self, run: Run, kept: KeptWork) -> None:
        is_recorded = await record_kept(self.ledger.context, run, kept)
        log.info(
            "%s: its work is %s",
            run.run_id,
            "kept" if kept.is_saved else "not kept",
            extra=log_fields("work.taken_over", run, is_recorded=is_recorded),
        )
