"""The last step of an execution: record the end, and remove the attempt's temporary files."""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from core.agent.process.ladder import end_tree
from core.domain.errors import Unavailable
from core.domain.kills.termination import Phase
from core.domain.runs.run import IllegalTransition, Run, StaleAttempt, StopReason
from core.runner.execution.attempt import Attempt, Cause, Changes, Failure, Stopped
from core.runner.execution.attempt_result import attempt_result_of, unrecorded_outcome
from core.runner.execution.carry import Carrier
from core.runner.execution.ending import AttemptEnding
from core.runner.execution.ledger import Ledger
from core.runner.execution.work import state_dir_of
from core.runner.log_fields import log_fields
from core.runner.resilience import UNLIMITED_PATIENCE, retry_while_unavailable
from core.workspace.errors import WorkspaceError
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

_DIFF_LIMIT = timedelta(seconds=60)


@dataclass(frozen=True)
class Settlement:
    """Settles the attempts of one worker.

    Attributes:
        home: The worker's home, which contains the agents' own homes.
    """

    ledger: Ledger
    workspaces: Workspaces
    carrier: Carrier
    home: Path

    async def settle(
        self, attempt: Attempt, failure: Failure | None, stopped: Stopped | None
    ) -> None:
        """Hand the attempt over, or record its end, unless another worker has taken it over.

        Args:
            attempt: The attempt; none of its processes is left.
            failure: Why its work failed, if it did.
            stopped: The result of the stop from outside, if there was one.
        """
        try:
            if attempt.cause is Cause.FENCED:
                return
            if attempt.cause is Cause.HANDOVER and await self._hand_over(attempt, stopped):
                return
            changes = await self._read_changes(attempt)
            if attempt.cause is not Cause.KILL:
                await self.carrier.carry_remaining(attempt, stopped, changes)
            await self._finish(attempt, failure, changes)
            await self._finish_late_kill(attempt.run)
            if attempt.cause is Cause.KILL:
                # Only now, so that the kill does not wait for it.
                await self.carrier.carry_remaining(attempt, stopped, changes)
        except (StaleAttempt, IllegalTransition) as error:
            log.warning(
                "%s: this attempt no longer decides its end: %s",
                attempt.run.run_id,
                error,
                extra=log_fields("attempt.superseded", attempt.run),
            )
        finally:
            state_dir = state_dir_of(self.home, attempt.run)
            await asyncio.to_thread(shutil.rmtree, state_dir, ignore_errors=True)

    async def _hand_over(self, attempt: Attempt, stopped: Stopped | None) -> bool:
        """Put the run back into the queue.

        Returns:
            Whether it was; not if a kill was requested meanwhile.

        Raises:
            StaleAttempt: If the run was given to another attempt.
        """
        await self.carrier.carry_remaining(attempt, stopped, None)
        present = await retry_while_unavailable(
            lambda: self.ledger.read_run(attempt.run.run_id), patience=UNLIMITED_PATIENCE
        )
        if present.attempt != attempt.run.attempt:
            raise StaleAttempt(attempt.run.run_id, attempt.run.attempt)
        if present.kill_requested_at is None:
            await retry_while_unavailable(
                lambda: self.ledger.hand_back(attempt, reason="its worker was shut down"),
                patience=UNLIMITED_PATIENCE,
            )
            return True
        attempt.stop.cause = Cause.KILL
        if stopped is not None:
            await AttemptEnding(self.ledger, attempt).record_proof(
                replace(stopped, termination=None)
            )
        return False

    async def _finish(
        self, attempt: Attempt, failure: Failure | None, changes: Changes | None
    ) -> None:
        is_killed = attempt.cause is Cause.KILL
        stop_reason = StopReason.KILLED if is_killed else StopReason.NO_RESULT
        try:
            end = attempt_result_of(attempt, failure)
            stop_reason = end.stop_reason
            await retry_while_unavailable(
                lambda: self.ledger.finish(attempt, end, changes), patience=UNLIMITED_PATIENCE
            )
        except (StaleAttempt, IllegalTransition, Unavailable):
            raise
        except Exception:
            # No run may stay `running` because its progress cannot be stored.
            log.exception(
                "%s: its outcome could not be written",
                attempt.run.run_id,
                extra=log_fields("outcome.write_failed", attempt.run),
            )
            if stop_reason is StopReason.SUCCESS:
                # Its report is missing, and an error of a completed run is not shown.
                stop_reason = StopReason.NO_RESULT
            await retry_while_unavailable(
                lambda: self.ledger.end_anyhow(
                    attempt.run, stop_reason, unrecorded_outcome(attempt.run).user_message
                ),
                patience=UNLIMITED_PATIENCE,
            )
        log.info(
            "%s ended: %s",
            attempt.run.run_id,
            stop_reason,
            extra=log_fields(
                "run.ended",
                attempt.run,
                worker_id=self.ledger.worker_id,
                stop_reason=stop_reason.value,
            ),
        )

    async def _finish_late_kill(self, run: Run) -> None:
        """Confirm a kill that was requested while the run was ending anyway."""
        kills = self.ledger.kills
        termination = await retry_while_unavailable(
            lambda: kills.open_termination(run), patience=UNLIMITED_PATIENCE
        )
        if termination is None:
            return
        proof = await end_tree(run_marker=run.run_id, root=None)
        phase = Phase.CONFIRMED if proof.is_confirmed else Phase.UNCONFIRMED
        await retry_while_unavailable(
            lambda: kills.record_phase(run, termination, phase, proof),
            patience=UNLIMITED_PATIENCE,
        )

    async def _read_changes(self, attempt: Attempt) -> Changes | None:
        """Read the changes of the run; `None` if that fails, which does not prevent its end."""
        prepared = attempt.opened.prepared
        if prepared is None:
            return None
        try:
            async with asyncio.timeout(_DIFF_LIMIT.total_seconds()):
                return Changes(
                    final_commit=await self.workspaces.head(prepared.workspace),
                    diff=await self.workspaces.diff(
                        prepared.workspace, prepared.run.initial_commit_hash
                    ),
                )
        except (WorkspaceError, TimeoutError) as error:
            log.warning(
                "%s: no diff: %s",
                attempt.run.run_id,
                error,
                extra=log_fields("diff.read_failed", attempt.run),
            )
        except Exception:
            # A run that has worked must not be repeated because its diff cannot be drawn.
            log.exception(
                "%s: no diff", attempt.run.run_id, extra=log_fields("diff.read_failed", attempt.run)
            )
        return None
