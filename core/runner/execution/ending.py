"""Stop an attempt from outside: end its processes, and record the proof.

Saving the work follows (`core/runner/keeping`); only a handover saves it first, because it is not
the end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from datetime import timedelta

from core.agent.process.ladder import end_tree
from core.domain.errors import unforeseen
from core.domain.kills.termination import (
    INTERRUPT_GRACE,
    LADDER_LIMIT,
    PROOF_LIMIT,
    TERMINATE_GRACE,
    Phase,
    Proof,
    Termination,
)
from core.runner.execution.attempt import Attempt, Cause, Stopped
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.log_fields import log_fields
from core.runner.resilience import retry_while_unavailable
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# A handover must fit into the 15 s of a shutdown, so it waits less than a kill.
_HANDOVER_GRACE = timedelta(seconds=2)
_HANDOVER_DRAIN = timedelta(seconds=2)
# A kill takes 10 s at most, of which the steps after the interrupt take 4 s.
_BEFORE_SIGNALS_LIMIT = LADDER_LIMIT - TERMINATE_GRACE - PROOF_LIMIT - timedelta(seconds=0.5)
_MIN_GRACE = timedelta(seconds=1)
# A shutdown leaves so much; what is not saved then stays in the workspace.
_SAVE_LIMIT = timedelta(seconds=10)
# An unreachable database must not keep a process alive.
_PHASE_PATIENCE = timedelta(seconds=1)
# The first and the longest pause between tries, if a process survived.
_RETRY_PAUSE = timedelta(seconds=5)
_MAX_RETRY_PAUSE = timedelta(minutes=1)


@dataclass
class AttemptEnding:
    """The steps of a stop, in order: `run_ladder`, `save_for_handover`, `record_proof`.

    Attributes:
        termination: The record of the kill as last written; `None` if there is no kill.
    """

    ledger: Ledger
    attempt: Attempt
    termination: Termination | None = None

    async def run_ladder(self) -> Stopped:
        """End every process of the attempt; return once it is proven that none is left."""
        attempt = self.attempt
        began = time.monotonic()
        if attempt.cause is Cause.KILL and self.termination is None:
            await self._acknowledge()
        try:
            await self._drain_critical_calls()
        except Exception:
            # The kill has priority.
            log.exception(
                "%s: its critical calls were not waited for",
                attempt.run.run_id,
                extra=log_fields("critical_calls.drain_failed", attempt.run),
            )
        elapsed = timedelta(seconds=time.monotonic() - began)
        proof = await self._run_ladder(force=self._is_forced, elapsed=elapsed)
        pause = _RETRY_PAUSE
        while proof is None or not proof.is_confirmed:
            await self._record_phase(Phase.UNCONFIRMED, proof)
            seconds = pause.total_seconds()
            count = None if proof is None else len(proof.survivors)
            log.error(
                "%s: %s processes survive, next try in %.0f s",
                attempt.run.run_id,
                "perhaps" if count is None else count,
                seconds,
                extra=log_fields(
                    "process_tree.end_delayed", attempt.run, count=count, retry_seconds=seconds
                ),
            )
            await asyncio.sleep(seconds)
            pause = min(2 * pause, _MAX_RETRY_PAUSE)
            proof = await self._run_ladder(force=True)
        return Stopped(proof=proof, termination=self.termination)

    async def save_for_handover(self, stopped: Stopped, workspaces: Workspaces) -> Stopped:
        """Save the work tree for the next attempt; after other stops nothing is saved yet."""
        workspace = self.attempt.opened.workspace
        if workspace is None or self.attempt.cause is not Cause.HANDOVER:
            return stopped
        label = f"{self.attempt.run.run_id}/{self.attempt.run.attempt}"
        try:
            async with asyncio.timeout(_SAVE_LIMIT.total_seconds()):
                work_saved = await workspaces.save(workspace, label)
        except Exception as error:
            # The stop is recorded all the same.
            log.warning(
                "%s: work tree not saved: %s",
                self.attempt.run.run_id,
                error,
                exc_info=unforeseen(error),
                extra=log_fields("work_tree.save_failed", self.attempt.run),
            )
            return stopped
        return replace(stopped, work_saved=work_saved)

    async def record_proof(self, stopped: Stopped) -> Stopped:
        """Record the proof; retry for as long as the database is unreachable."""
        attempt = self.attempt
        if attempt.cause in (Cause.HANDOVER, Cause.FENCED):
            await self._record_gone()
        if attempt.cause is not Cause.KILL:
            return stopped
        if self.termination is None:
            await self._acknowledge()
        termination = self.termination
        if termination is None:
            return stopped
        self.termination = await retry_while_unavailable(
            lambda: self.ledger.kills.record_phase(
                attempt.run, termination, Phase.CONFIRMED, stopped.proof
            )
        )
        return replace(stopped, termination=self.termination)

    @property
    def _is_forced(self) -> bool:
        if self.attempt.cause is Cause.FENCED:
            return True
        if self.attempt.stop.force_requested.is_set():
            return True
        return self.termination is not None and self.termination.force

    async def _drain_critical_calls(self) -> None:
        """Let no more tool calls start, and let running critical calls finish."""
        agent = self.attempt.opened.agent
        if agent is None:
            return
        agent.critical.close_gate()
        if self._is_forced or not agent.critical.rules.patterns:
            return
        await agent.catch_up()
        if not agent.critical.running:
            return
        await self._record_phase(Phase.DRAINING, None)
        limit = agent.critical.rules.wait
        if self.attempt.cause is Cause.HANDOVER:
            limit = min(limit, _HANDOVER_DRAIN)
        waited = await agent.critical.drain(
            limit, force_requested=self.attempt.stop.force_requested
        )
        run = self.attempt.run
        for one in waited:
            milliseconds, tool = one.milliseconds, one.tool
            log.info(
                "%s: waited %s ms for %s",
                run.run_id,
                milliseconds,
                tool,
                extra=log_fields(
                    "critical_call.awaited", run, milliseconds=milliseconds, tool=tool
                ),
            )
        try:
            await retry_while_unavailable(
                lambda: self.ledger.kills.record_critical_waits(run, self.termination, waited),
                patience=_PHASE_PATIENCE,
            )
        except Exception as error:
            log.warning(
                "%s: waits for critical calls not recorded: %s",
                run.run_id,
                error,
                exc_info=unforeseen(error),
                extra=log_fields("critical_waits.record_failed", run),
            )

    async def _record_gone(self) -> None:
        # Otherwise a later kill of the waiting run would have to check the machine.
        try:
            await retry_while_unavailable(
                lambda: self.ledger.kills.record_run_gone(self.attempt.run),
                patience=_PHASE_PATIENCE,
            )
        except Exception as error:
            log.warning(
                "%s: could not record that its processes are gone: %s",
                self.attempt.run.run_id,
                error,
                exc_info=unforeseen(error),
                extra=log_fields("attempt_gone.record_failed", self.attempt.run),
            )

    async def _acknowledge(self) -> None:
        try:
            self.termination = await retry_while_unavailable(
                lambda: self.ledger.kills.open_termination(self.attempt.run),
                patience=_PHASE_PATIENCE,
            )
        except Exception as error:
            log.warning(
                "%s: killed although its request cannot be read: %s",
                self.attempt.run.run_id,
                error,
                exc_info=unforeseen(error),
                extra=log_fields("termination.read_failed", self.attempt.run),
            )
        await self._record_phase(Phase.ACKNOWLEDGED, None)

    async def _run_ladder(self, *, force: bool, elapsed: timedelta = timedelta(0)) -> Proof | None:
        """Run the ladder once; `None` if it failed, so that nothing is known of the processes."""
        try:
            return await self._end_tree(force=force, elapsed=elapsed)
        except Exception:
            log.exception(
                "%s: its processes could not be ended",
                self.attempt.run.run_id,
                extra=log_fields("process_tree.end_failed", self.attempt.run),
            )
            return None

    async def _end_tree(self, *, force: bool, elapsed: timedelta) -> Proof:
        agent = self.attempt.opened.agent
        grace = _HANDOVER_GRACE if self.attempt.cause is Cause.HANDOVER else INTERRUPT_GRACE
        return await end_tree(
            run_marker=self.attempt.run.run_id,
            # A kill ends all attempts of the run; otherwise a newer attempt may run here.
            attempt=None if self.attempt.cause is Cause.KILL else self.attempt.run.attempt,
            root=agent.root if agent else None,
            interrupt=agent.interrupt if agent else None,
            has_ended=lambda: (
                self.attempt.stop.force_requested.is_set()
                or (agent is not None and agent.has_ended)
            ),
            force=force,
            on_phase=self._record_phase,
            known=agent.tree if agent else None,
            # The time that critical calls took counts against the grace.
            interrupt_grace=max(min(grace, _BEFORE_SIGNALS_LIMIT - elapsed), _MIN_GRACE),
        )

    async def _record_phase(self, phase: Phase, proof: Proof | None) -> None:
        run, termination = self.attempt.run, self.termination
        if termination is None:
            return
        try:
            self.termination = await retry_while_unavailable(
                lambda: self.ledger.kills.record_phase(run, termination, phase, proof),
                patience=_PHASE_PATIENCE,
            )
        except Exception as error:
            # The run must stop, whether or not the phase can be recorded now.
            log.warning(
                "%s: phase %s not recorded: %s",
                run.run_id,
                phase,
                error,
                exc_info=unforeseen(error),
                extra=log_fields("kill_phase.record_failed", run, phase=phase.value),
            )
