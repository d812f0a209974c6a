"""Kills that were interrupted by the death of their worker, finished by any other worker.

Only a check of all processes on an attempt's machine can prove that the attempt is gone.  A kill
is confirmed when the newest attempt of its run is proven gone, by the worker that executed it or
by a later worker on that machine.  Until then it is `unconfirmed`, the run counts as live, and
every worker checks again periodically.  Earlier attempts were given up when their worker was
lost; the record names their machines if they have not been checked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
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
from core.runner.execution.attempt_result import reassignment_failed
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.log_fields import log_fields
from core.runner.recovery.clean_up import Cleaner
from core.store import terminations
from core.store.fleet import attempts
from core.store.runs import run_queries

log = logging.getLogger(__name__)

# Enough for a machine to start again.  After that the run is given up, so that its session is
# free; the kill itself stays unconfirmed until a worker runs on that machine.
UNCONFIRMED_PATIENCE = timedelta(minutes=10)
# Between two tries to end surviving processes; each takes a few seconds of processor time.
_FIRST_PAUSE = timedelta(seconds=5)
_MAX_PAUSE = timedelta(minutes=1)


@dataclass
class InterruptedKills:
    """Finishes kills that no worker executes any more.

    Attributes:
        patience: How long a run whose machine is unreachable stays live.
        remote_grace: How long workers on the run's own machine may take to finish the kill,
            before it counts as unconfirmed.
    """

    ledger: Ledger
    cleaner: Cleaner
    patience: timedelta = UNCONFIRMED_PATIENCE
    remote_grace: timedelta = timedelta(seconds=10)
    _pauses: dict[UUID, tuple[float, timedelta]] = field(default_factory=dict)

    async def finish_interrupted_kills(self) -> None:
        """Try once to finish all open kills of runs that are pending or have ended.

        Kills of running runs belong to the run's worker, or to the rescue if that is lost.
        """
        async with self.ledger.context.transaction() as session:
            unfinished = await terminations.unfinished(session)
        for termination in unfinished:
            try:
                await self._finish(termination)
            except Conflict as error:
                log.info(
                    "a kill was finished elsewhere: %s",
                    error,
                    extra={"event": "kill.already_finished", "run_uuid": termination.run_id},
                )
            except Unavailable:
                raise
            except Exception:
                # One failure must neither prevent the other kills nor end this worker.
                self._pause(termination)
                log.exception(
                    "the kill of %s cannot be finished yet",
                    termination.run_id,
                    extra={"event": "kill.finish_failed", "run_uuid": termination.run_id},
                )

    async def _finish(self, termination: Termination) -> None:
        async with self.ledger.context.transaction() as session:
            run = await run_queries.get_by_uuid(session, termination.run_id)
        if run.status is RunStatus.RUNNING:
            return
        try:
            await self.finish_kill(run)
        except (Conflict, Unavailable):
            raise
        except Exception:
            pending_for = self.ledger.context.clock() - termination.requested_at
            if run.is_live and pending_for > self.patience:
                await self._end_run(run, reassignment_failed(run).user_message)
            raise

    async def finish_kill(self, run: Run, *, is_job_held: bool = False) -> Run:
        """Advance a kill as far as possible from this machine; safe to repeat.

        Only for a run that no worker executes: its worker died, it is pending, or it has ended.

        Args:
            run: A run with an open kill.
            is_job_held: Whether the caller executes the run's job and so finishes it itself.

        Returns:
            The changed run; it is killed if all of its attempts are proven gone.
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
        # A pid is valid only on its host, and only until the machine boots again.
        agents = [one.agent for one in local_records if one.host == self.ledger.host]
        return await end_tree(run_marker=run.run_id, root=agents[-1] if agents else None)

    async def _confirm(
        self,
        run: Run,
        termination: Termination | None,
        local_records: Sequence[AttemptRecord],
        proof: Proof,
    ) -> Run:
        cleanup = await self._clean_up(run, local_records) if local_records else {}
        has_work = bool(local_records) and run.is_live and run.workspace_id is not None
        if termination is not None:
            self._pauses.pop(termination.id, None)
            await self.ledger.kills.record_phase(
                run, termination, Phase.CONFIRMED, proof, cleanup=cleanup
            )
        await self.ledger.kills.finish_killed(run, has_work=has_work)
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
            # The kill was confirmed before, which is final.
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
        """End a run whose machine stays unreachable, so that its session is free.

        The kill stays open.
        """
        return await self._end_run(
            run,
            f"A kill was requested, but its worker's machine ({_machines(remote_records)}) has "
            "been unreachable since, so nobody could check whether it is dead. Check that machine; "
            "once a worker runs on it again, what is left of the run is ended and the kill is "
            "confirmed here. What the agent did until then is kept: continue the run to go on.",
        )

    async def _end_run(self, run: Run, message: str) -> Run:
        if run.job_id is not None:
            async with self.ledger.context.transaction() as session:
                await jobs.finish_abandoned(session, run.job_id)
        return await self.ledger.end_anyhow(run, StopReason.WORKER_LOST, message)

    async def _clean_up(self, run: Run, local_records: Sequence[AttemptRecord]) -> dict[str, Any]:
        """Remove what the agents left here; a failure does not prevent the end of the kill."""
        local_attempts = [one.attempt for one in local_records]
        try:
            if run.is_live:
                return await self.cleaner.clean_up_after_kill(run, local_attempts)
            # Another run may use the workspace already.
            return {"state_dirs": await self.cleaner.remove_state_dirs(run, local_attempts)}
        except Exception:
            log.exception(
                "%s: what its agent left was not removed",
                run.run_id,
                extra=log_fields("kill.clean_up_failed", run),
            )
            return {}

    def _is_paused(self, termination: Termination) -> bool:
        until, _ = self._pauses.get(termination.id, (0.0, _FIRST_PAUSE))
        return time.monotonic() < until

    def _pause(self, termination: Termination) -> None:
        _, pause = self._pauses.get(termination.id, (0.0, _FIRST_PAUSE))
        until = time.monotonic() + pause.total_seconds()
        self._pauses[termination.id] = until, min(2 * pause, _MAX_PAUSE)


def _machines(attempts: Sequence[AttemptRecord]) -> str:
    """The machines of these attempts, by the names that people know."""
    return ", ".join(sorted({machine_name(one.host) for one in attempts}))
