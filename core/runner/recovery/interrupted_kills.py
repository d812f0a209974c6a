"""Kills whose worker died in them, finished by whoever finds them.

Proof is a look at all processes of the machine on which they were.  So a kill is confirmed
when the newest attempt of its run is proven gone: by the worker that executed it, or by one
that runs on that machine later.  Until then it is `unconfirmed`, the run lives on as far as
anybody knows, and every worker looks at it again and again.  Attempts before the newest were
given up when their worker was lost; where nobody has looked yet, the record says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from core.agent.process.ladder import end_tree
from core.domain.errors import Conflict, Unavailable
from core.domain.fleet.attempt import AttemptRecord, machine_name
from core.domain.kills.termination import IllegalPhase, Phase, Proof, Termination
from core.domain.runs.run import Run, RunStatus, StopReason
from core.queue import jobs
from core.runner.execution.ledger import Ledger
from core.runner.log_fields import log_fields
from core.runner.recovery.clean_up import Cleaner
from core.store import terminations
from core.store.fleet import attempts
from core.store.runs import run_queries
from core.workspace.errors import WorkspaceError
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# Time for a machine to start again.  After it the run is given up, so that its session is
# free; the kill itself stays unconfirmed until a worker runs on that machine.
UNCONFIRMED_PATIENCE = timedelta(minutes=10)
# Between two tries to end what survived one; each takes a few seconds of a processor.
_FIRST_PAUSE = timedelta(seconds=5)
_MAX_PAUSE = timedelta(minutes=1)


@dataclass
class InterruptedKills:
    """What one worker does about kills that nobody executes any more.

    Attributes:
        patience: How long a run is kept whose machine is unreachable.
        remote_grace: How long the workers of the other machine have to finish it first.
    """

    ledger: Ledger
    workspaces: Workspaces
    cleaner: Cleaner
    patience: timedelta = UNCONFIRMED_PATIENCE
    remote_grace: timedelta = timedelta(seconds=10)
    _pauses: dict[UUID, tuple[float, timedelta]] = field(default_factory=dict)

    async def finish_interrupted_kills(self) -> None:
        """Look once for kills whose run waits, or has ended without the proof.

        Those of running runs are their workers', or their rescuers'.
        """
        async with self.ledger.context.transaction() as session:
            unfinished = await terminations.unfinished(session)
        for termination in unfinished:
            try:
                async with self.ledger.context.transaction() as session:
                    run = await run_queries.get_by_uuid(session, termination.run_id)
                if run.status is not RunStatus.RUNNING:
                    await self.finish_kill(run)
            except Conflict as error:
                log.info(
                    "a kill was finished elsewhere: %s",
                    error,
                    extra={"event": "kill.already_finished", "run_uuid": termination.run_id},
                )
            except Unavailable:
                raise
            except Exception:
                # One that cannot be finished must keep no other from it, nor end this worker.
                log.exception(
                    "the kill of %s cannot be finished yet",
                    termination.run_id,
                    extra={"event": "kill.finish_failed", "run_uuid": termination.run_id},
                )

    async def finish_kill(self, run: Run, *, is_job_held: bool = False) -> Run:
        """Bring a kill as far as it can be brought from here; safe to call again.

        For a run that nobody executes: its worker died, it waits, or it has ended.

        Args:
            run: With a kill under way.
            is_job_held: Whether the caller executes the run's job, which so needs no settling.

        Returns:
            The run as it now stands: killed if all of it is proven gone.
        """
        termination = await self.ledger.kills.open_termination(run)
        if termination is not None and self._is_paused(termination):
            return run
        async with self.ledger.context.transaction() as session:
            records = await attempts.of_run(session, run.id)
        local_records = [one for one in records if self.ledger.kills.is_local_attempt(one)]
        remote_records = [
            one for one in records[-1:] if one not in local_records and one.gone_at is None
        ]
        proof = await self._end_processes(run, local_records)
        if proof.is_confirmed and local_records:
            await self.ledger.kills.record_run_gone(run)
        if proof.is_confirmed and not remote_records:
            if run.job_id is not None and run.is_live and not is_job_held:
                async with self.ledger.context.transaction() as session:
                    await jobs.finish_abandoned(session, run.job_id)
            return await self._confirm(run, termination, local_records, proof)
        return await self._record_unconfirmed(run, termination, remote_records, proof)

    async def _end_processes(self, run: Run, local_records: Sequence[AttemptRecord]) -> Proof:
        if not local_records or all(one.gone_at is not None for one in local_records):
            return Proof()
        # Elsewhere, or before the machine was booted, its number was another process's.
        agents = [one.agent for one in local_records if one.host == self.ledger.host]
        return await end_tree(run_marker=run.run_id, root=agents[-1] if agents else None)

    async def _confirm(
        self,
        run: Run,
        termination: Termination | None,
        local_records: Sequence[AttemptRecord],
        proof: Proof,
    ) -> Run:
        saved: Mapping[str, Any] = {}
        cleanup: dict[str, Any] = {}
        if local_records and run.is_live:
            cleanup = await self.cleaner.clean_up_after_kill(
                run, [one.attempt for one in local_records]
            )
            saved = await self._save(run)
        elif local_records:
            # Another run may work in its workspace by now.
            cleanup = {
                "state_dirs": await self.cleaner.remove_state_dirs(
                    run, [one.attempt for one in local_records]
                )
            }
        if termination is not None:
            self._pauses.pop(termination.id, None)
            await self.ledger.kills.record_phase(
                run, termination, Phase.CONFIRMED, proof, work_saved=saved, cleanup=cleanup
            )
        await self.ledger.kills.finish_killed(run)
        log.warning(
            "%s: its kill is confirmed", run.run_id, extra=log_fields("kill.confirmed", run)
        )
        return await self.ledger.read_run(run.run_id)

    async def _record_unconfirmed(
        self,
        run: Run,
        termination: Termination | None,
        remote_records: Sequence[AttemptRecord],
        proof: Proof,
    ) -> Run:
        if termination is None:
            # Its last word was that all is gone; it cannot be taken back.
            return run
        now = self.ledger.context.clock()
        since = max(termination.requested_at, run.completed_at or termination.requested_at)
        if proof.is_confirmed and now - since < self.remote_grace:
            return run
        if not proof.is_confirmed:
            self._pause(termination)
        if Phase.UNCONFIRMED not in termination.phases:
            log.error(
                "%s: its kill is unconfirmed: %s processes survive here, not checked: %s",
                run.run_id,
                len(proof.survivors),
                _machines(remote_records) or "no other machine",
                extra=log_fields("kill.left_unconfirmed", run, count=len(proof.survivors)),
            )
        if termination.phase is not Phase.UNCONFIRMED:
            try:
                await self.ledger.kills.record_phase(run, termination, Phase.UNCONFIRMED, proof)
            except IllegalPhase as error:
                log.info(
                    "%s: phase not recorded: %s",
                    run.run_id,
                    error,
                    extra=log_fields("kill_phase.superseded", run, phase=Phase.UNCONFIRMED.value),
                )
                return await self.ledger.read_run(run.run_id)
        pending_for = now - termination.requested_at
        if run.is_live and remote_records and pending_for > self.patience:
            return await self._give_up_run(run, remote_records)
        return run

    async def _give_up_run(self, run: Run, remote_records: Sequence[AttemptRecord]) -> Run:
        """Free the session of a run whose machine does not come back; the kill stays open."""
        if run.job_id is not None:
            async with self.ledger.context.transaction() as session:
                await jobs.finish_abandoned(session, run.job_id)
        return await self.ledger.fail(
            run,
            StopReason.WORKER_LOST,
            f"It was to be killed, but its worker's machine ({_machines(remote_records)}) has "
            "not been "
            "heard of since, so nobody could look whether it is dead. Look at that machine; once a "
            "worker runs on it again, what is left of the run is ended and the kill is "
            "confirmed here. What the agent did until then is kept: continue the run to go on.",
        )

    async def _save(self, run: Run) -> Mapping[str, Any]:
        """Keep the work tree, as the worker that died would have done."""
        if run.workspace_id is None:
            return {}
        try:
            workspace = await self.workspaces.reopen(run.workspace_id)
            if workspace is None:
                return {}
            return await self.workspaces.save(workspace, f"{run.run_id}/{run.attempt}")
        except WorkspaceError as error:
            log.warning(
                "%s: work tree not saved: %s",
                run.run_id,
                error,
                extra=log_fields("work_tree.save_failed", run),
            )
            return {"kept_in": run.workspace_path}

    def _is_paused(self, termination: Termination) -> bool:
        until, _ = self._pauses.get(termination.id, (0.0, _FIRST_PAUSE))
        return time.monotonic() < until

    def _pause(self, termination: Termination) -> None:
        _, pause = self._pauses.get(termination.id, (0.0, _FIRST_PAUSE))
        until = time.monotonic() + pause.total_seconds()
        self._pauses[termination.id] = until, min(2 * pause, _MAX_PAUSE)


def _machines(attempts: Sequence[AttemptRecord]) -> str:
    """Where they were, as people know it."""
    return ", ".join(sorted({machine_name(one.host) for one in attempts}))
