"""End a leg from outside: climb the ladder, save the work, record the proof."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from core.agent.process.ladder import end_tree
from core.domain.errors import OpsError, Unavailable
from core.domain.kills.termination import (
    INTERRUPT_GRACE,
    LADDER_LIMIT,
    PROOF_LIMIT,
    TERMINATE_GRACE,
    Phase,
    Proof,
)
from core.runner.execution.attempt import Attempt, Cause
from core.runner.execution.ledger import Ledger
from core.runner.recovery.clean_up import Cleaner
from core.runner.resilience import retry_while_unavailable
from core.workspace.errors import WorkspaceError
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# A handover must fit into the 15 s of a shutdown, so it is less patient than a kill.
_HANDOVER_GRACE = timedelta(seconds=2)
_HANDOVER_DRAIN = timedelta(seconds=2)
# A kill takes 10 s at most, and the rungs that follow the interrupt 4 s.
_BEFORE_SIGNALS_LIMIT = LADDER_LIMIT - TERMINATE_GRACE - PROOF_LIMIT - timedelta(seconds=0.5)
_MIN_GRACE = timedelta(seconds=1)
_SAVE_LIMIT = timedelta(seconds=10)
# A database that is away must not keep a process alive.
_PHASE_PATIENCE = timedelta(seconds=1)
# While a kill waits for the agent, how soon it hears that it is not to wait.
_FORCE_POLL_INTERVAL = timedelta(milliseconds=300)
# Between two climbs when something survived the first.
_RETRY_PAUSE = timedelta(seconds=5)
_MAX_RETRY_PAUSE = timedelta(minutes=1)


@dataclass
class AttemptEnding:
    """One ending.  `run_ladder`, then `clear` and `save_work`, then `conclude`."""

    ledger: Ledger
    attempt: Attempt
    work_saved: dict[str, Any] = field(default_factory=dict)
    cleanup: dict[str, Any] = field(default_factory=dict)
    _force_requested: asyncio.Event = field(default_factory=asyncio.Event)

    async def run_ladder(self) -> None:
        """End every process of the leg; `leg.proof` says whether it is certain."""
        attempt = self.attempt
        began = time.monotonic()
        if attempt.cause is Cause.KILL and attempt.termination is None:
            await self._acknowledge()
        force_watch = asyncio.create_task(
            self._watch_for_force(), name=f"force {attempt.run.run_id}"
        )
        try:
            await self._drain_critical_calls()
            elapsed = timedelta(seconds=time.monotonic() - began)
            attempt.proof = await self._run_ladder(force=self._is_forced, elapsed=elapsed)
        finally:
            force_watch.cancel()
        pause = _RETRY_PAUSE
        while not attempt.proof.is_confirmed:
            await self._record_phase(Phase.UNCONFIRMED, attempt.proof)
            log.error("%s: %s processes survive", attempt.run.run_id, len(attempt.proof.survivors))
            await asyncio.sleep(pause.total_seconds())
            pause = min(2 * pause, _MAX_RETRY_PAUSE)
            attempt.proof = await self._run_ladder(force=True)

    async def clean_up(self, cleaner: Cleaner) -> None:
        """Remove what the agent kept outside its workspace, and locks of a git that was cut off."""
        if self.attempt.cause is Cause.KILL:
            run = self.attempt.run
            self.cleanup = await cleaner.clean_up_after_kill(run, [run.attempt])

    async def save_work(self, workspaces: Workspaces) -> None:
        """Keep the work tree as a commit on a private reference, whatever state it is in."""
        workspace = self.attempt.workspace
        if workspace is None:
            return
        label = f"{self.attempt.run.run_id}/{self.attempt.run.attempt}"
        try:
            async with asyncio.timeout(_SAVE_LIMIT.total_seconds()):
                self.work_saved = dict(await workspaces.save(workspace, label))
        except (WorkspaceError, TimeoutError) as error:
            log.warning("%s: work not saved apart: %s", self.attempt.run.run_id, error)
            self.work_saved = {"kept_in": str(workspace.path)}
        self.attempt.work_saved = self.work_saved

    async def record_proof(self) -> None:
        """Record the proof, however long the database takes."""
        attempt = self.attempt
        if attempt.cause in (Cause.HANDOVER, Cause.FENCED):
            await self._record_gone()
        if attempt.cause is not Cause.KILL:
            return
        if attempt.termination is None:
            await self._acknowledge()
        termination, proof = attempt.termination, attempt.proof
        if termination is None or proof is None:
            return
        attempt.termination = await retry_while_unavailable(
            lambda: self.ledger.record_phase(
                attempt.run,
                termination,
                Phase.CONFIRMED,
                proof,
                work_saved=self.work_saved,
                cleanup=self.cleanup,
            )
        )

    @property
    def _is_forced(self) -> bool:
        if self.attempt.cause is Cause.FENCED:
            return True
        if self._force_requested.is_set():
            return True
        return self.attempt.termination is not None and self.attempt.termination.force

    async def _drain_critical_calls(self) -> None:
        """Let no tool call begin any more, and those that must not be cut in half end."""
        agent = self.attempt.agent
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
        waited = await agent.critical.drain(limit, force_requested=self._force_requested)
        for one in waited:
            log.info("%s: waited %s ms for %s", self.attempt.run.run_id, one.milliseconds, one.tool)
        try:
            await retry_while_unavailable(
                lambda: self.ledger.record_critical_waits(
                    self.attempt.run, self.attempt.termination, waited
                ),
                patience=_PHASE_PATIENCE,
            )
        except OpsError as error:
            log.warning("%s: what it waited for not recorded: %s", self.attempt.run.run_id, error)

    async def _record_gone(self) -> None:
        # Without it a kill of the run while it waits would have to look for itself.
        try:
            await retry_while_unavailable(
                lambda: self.ledger.record_run_gone(self.attempt.run), patience=_PHASE_PATIENCE
            )
        except Unavailable:
            log.warning("%s: could not note that it is gone", self.attempt.run.run_id)

    async def _watch_for_force(self) -> None:
        """Notice when somebody presses Force kill while the agent is being asked to stop."""
        while self.attempt.cause is Cause.KILL and not self._force_requested.is_set():
            await asyncio.sleep(_FORCE_POLL_INTERVAL.total_seconds())
            try:
                present = await self.ledger.open_termination(self.attempt.run)
            except Unavailable:
                continue
            if present is not None and present.force:
                self._force_requested.set()

    async def _acknowledge(self) -> None:
        try:
            self.attempt.termination = await retry_while_unavailable(
                lambda: self.ledger.open_termination(self.attempt.run), patience=_PHASE_PATIENCE
            )
        except Unavailable:
            log.warning("%s: killed while the database is away", self.attempt.run.run_id)
        await self._record_phase(Phase.ACKNOWLEDGED, None)

    async def _run_ladder(self, *, force: bool, elapsed: timedelta = timedelta(0)) -> Proof:
        agent = self.attempt.agent
        grace = _HANDOVER_GRACE if self.attempt.cause is Cause.HANDOVER else INTERRUPT_GRACE
        return await end_tree(
            run_marker=self.attempt.run.run_id,
            # Who asks for the end of the run means all of it; else a successor may be here.
            attempt=None if self.attempt.cause is Cause.KILL else self.attempt.run.attempt,
            root=agent.root if agent else None,
            interrupt=agent.interrupt if agent else None,
            has_ended=lambda: (
                self._force_requested.is_set() or (agent is not None and agent.has_ended)
            ),
            force=force,
            on_phase=self._record_phase,
            known=agent.tree if agent else None,
            # What a critical call took is not to be had twice.
            interrupt_grace=max(min(grace, _BEFORE_SIGNALS_LIMIT - elapsed), _MIN_GRACE),
        )

    async def _record_phase(self, phase: Phase, proof: Proof | None) -> None:
        termination = self.attempt.termination
        if termination is None:
            return
        try:
            self.attempt.termination = await retry_while_unavailable(
                lambda: self.ledger.record_phase(self.attempt.run, termination, phase, proof),
                patience=_PHASE_PATIENCE,
            )
        except OpsError as error:
            # Who is asked to stop must stop, whether or not it can be written down now.
            log.warning("%s: phase %s not recorded: %s", self.attempt.run.run_id, phase, error)
