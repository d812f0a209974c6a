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
from core.domain.failures.failed_attempt import FailedAttempt
from core.domain.failures.retry_policy import RetryPolicy
from core.domain.kills.termination import Phase
from core.domain.runs.errors import IllegalTransition, StaleAttempt
from core.domain.runs.run import Run, StopReason
from core.domain.workflow import NO_OVERRIDES
from core.runner.checkpoints.checkpointer import Checkpointer
from core.runner.execution.attempt import Attempt, Cause, Failure, Stopped
from core.runner.execution.attempt_result import attempt_result_of, unrecorded_outcome
from core.runner.execution.ending import AttemptEnding
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.work import state_dir_of
from core.runner.keeping.afterwards import Afterwards
from core.runner.keeping.carry import Carrier
from core.runner.keeping.keeper import KeptWork, WorkKeeper
from core.runner.log_fields import log_fields
from core.runner.recovery.clean_up import Cleaner
from core.runner.resilience import UNLIMITED_PATIENCE, retry_while_unavailable
from core.runner.retrying.retrying import Retrying, refused

log = logging.getLogger(__name__)

# A run ends without its work if that is not kept so soon.  A kill is to be seen within 3 s.
_PATIENCE = timedelta(seconds=3)
_KILL_PATIENCE = timedelta(seconds=0.4)


@dataclass(frozen=True)
class Settlement:
    """Settles the attempts of one worker.

    Attributes:
        home: The worker's home, which contains the agents' own homes.
        retry: Which failures are tried again, where the workflow says nothing.
    """

    ledger: Ledger
    keeper: WorkKeeper
    carrier: Carrier
    checkpointer: Checkpointer
    cleaner: Cleaner
    home: Path
    retry: RetryPolicy = NO_OVERRIDES

    async def settle(
        self, attempt: Attempt, failure: Failure | None, stopped: Stopped | None
    ) -> Afterwards | None:
        """Hand the attempt over, or record its end, unless another worker has taken it over.

        Args:
            attempt: The attempt; none of its processes is left.
            failure: Why its work failed, if it did.
            stopped: The result of the stop from outside, if there was one.

        Returns:
            What remains to be done after the end; `None` if nothing does.
        """
        if attempt.cause is Cause.FENCED:
            return None
        afterwards = None
        try:
            if attempt.cause is Cause.HANDOVER and await self._hand_over(attempt, stopped):
                return None
            failed = await self._judge(attempt, failure)
            if failed is not None and failed.decision.is_tried_again:
                if await self._retrying.begin_wait(attempt, failed):
                    return None
                failed = refused(failed)
            afterwards = Afterwards(
                self.ledger, self.keeper, self.carrier, self.checkpointer, self.cleaner, attempt
            )
            patience = _KILL_PATIENCE if attempt.cause is Cause.KILL else _PATIENCE
            kept = await afterwards.begin(patience)
            attempt.carry_state.is_end_written = True
            await self._finish(attempt, failure, kept, failed)
            await self._finish_late_kill(attempt.run)
        except (StaleAttempt, IllegalTransition) as error:
            log.warning(
                "%s: this attempt no longer decides its end: %s",
                attempt.run.run_id,
                error,
                extra=log_fields("attempt.superseded", attempt.run),
            )
            if afterwards is not None:
                await afterwards.cancel()
            return None
        finally:
            state_dir = state_dir_of(self.home, attempt.run)
            await asyncio.to_thread(shutil.rmtree, state_dir, ignore_errors=True)
        return afterwards

    async def _hand_over(self, attempt: Attempt, stopped: Stopped | None) -> bool:
        """Put the run back into the queue.

        Returns:
            Whether it was; not if a kill was requested meanwhile.

        Raises:
            StaleAttempt: If the run was given to another attempt.
        """
        await self.carrier.carry_remaining(attempt, stopped.work_saved if stopped else None)
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

    @property
    def _retrying(self) -> Retrying:
        return Retrying(self.ledger, self.keeper, self.carrier, self.retry)

    async def _judge(self, attempt: Attempt, failure: Failure | None) -> FailedAttempt | None:
        try:
            end = attempt_result_of(attempt, failure)
        except Exception:
            # The end says so too.
            log.exception(
                "%s: its failure could not be read",
                attempt.run.run_id,
                extra=log_fields("failure.read_failed", attempt.run),
            )
            return None
        return await self._retrying.judge(attempt, end)

    async def _finish(
        self,
        attempt: Attempt,
        failure: Failure | None,
        kept: KeptWork | None,
        failed: FailedAttempt | None,
    ) -> None:
        is_killed = attempt.cause is Cause.KILL
        stop_reason = StopReason.KILLED if is_killed else StopReason.NO_RESULT
        try:
            end = attempt_result_of(attempt, failure)
            stop_reason = end.stop_reason
            await retry_while_unavailable(
                lambda: self.ledger.finish(attempt, end, kept, failed),
                patience=UNLIMITED_PATIENCE,
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
