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
from core.runner.execution.attempt import Cause, Leg
from core.runner.execution.ledger import Ledger
from core.runner.recovery.clean_up import Clearing
from core.runner.shielded import until_written
from core.workspace.errors import WorkspaceError
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# A handover must fit into the 15 s of a shutdown, so it is less patient than a kill.
_HANDOVER_GRACE = timedelta(seconds=2)
_HANDOVER_DRAIN = timedelta(seconds=2)
# A kill takes 10 s at most, and the rungs that follow the interrupt 4 s.
_BEFORE_SIGNALS = LADDER_LIMIT - TERMINATE_GRACE - PROOF_LIMIT - timedelta(seconds=0.5)
_LEAST_GRACE = timedelta(seconds=1)
_SAVE_LIMIT = timedelta(seconds=10)
# A database that is away must not keep a process alive.
_PHASE_PATIENCE = timedelta(seconds=1)
# While a kill waits for the agent, how soon it hears that it is not to wait.
_FORCE_LOOK = timedelta(milliseconds=300)
# Between two climbs when something survived the first.
_AGAIN_AFTER = timedelta(seconds=5)
_AGAIN_AT_MOST = timedelta(minutes=1)


@dataclass
class Ending:
    """One ending.  `climb`, then `clear` and `save_work`, then `conclude`."""

    ledger: Ledger
    leg: Leg
    work_saved: dict[str, Any] = field(default_factory=dict)
    cleanup: dict[str, Any] = field(default_factory=dict)
    _hurried: asyncio.Event = field(default_factory=asyncio.Event)

    async def climb(self) -> None:
        """End every process of the leg; `leg.proof` says whether it is certain."""
        leg = self.leg
        began = time.monotonic()
        if leg.cause is Cause.KILL and leg.termination is None:
            await self._acknowledge()
        hurrying = asyncio.create_task(self._hear_force(), name=f"force {leg.run.run_id}")
        try:
            await self._drain()
            spent = timedelta(seconds=time.monotonic() - began)
            leg.proof = await self._climb(force=self._is_forced, spent=spent)
        finally:
            hurrying.cancel()
        pause = _AGAIN_AFTER
        while not leg.proof.is_confirmed:
            await self._phase(Phase.UNCONFIRMED, leg.proof)
            log.error("%s: %s processes survive", leg.run.run_id, len(leg.proof.survivors))
            await asyncio.sleep(pause.total_seconds())
            pause = min(2 * pause, _AGAIN_AT_MOST)
            leg.proof = await self._climb(force=True)

    async def clear(self, clearing: Clearing) -> None:
        """Remove what the agent kept outside its workspace, and locks of a git that was cut off."""
        if self.leg.cause is Cause.KILL:
            run = self.leg.run
            self.cleanup = await clearing.after_kill(run, [run.attempt])

    async def save_work(self, workspaces: Workspaces) -> None:
        """Keep the work tree as a commit on a private reference, whatever state it is in."""
        workspace = self.leg.workspace
        if workspace is None:
            return
        label = f"{self.leg.run.run_id}/{self.leg.run.attempt}"
        try:
            async with asyncio.timeout(_SAVE_LIMIT.total_seconds()):
                self.work_saved = dict(await workspaces.save(workspace, label))
        except (WorkspaceError, TimeoutError) as error:
            log.warning("%s: work not saved apart: %s", self.leg.run.run_id, error)
            self.work_saved = {"kept_in": str(workspace.path)}
        self.leg.work_saved = self.work_saved

    async def conclude(self) -> None:
        """Record the proof, however long the database takes."""
        leg = self.leg
        if leg.cause in (Cause.HANDOVER, Cause.FENCED):
            await self._note_gone()
        if leg.cause is not Cause.KILL:
            return
        if leg.termination is None:
            await self._acknowledge()
        termination, proof = leg.termination, leg.proof
        if termination is None or proof is None:
            return
        leg.termination = await until_written(
            lambda: self.ledger.phase(
                leg.run,
                termination,
                Phase.CONFIRMED,
                proof,
                work_saved=self.work_saved,
                cleanup=self.cleanup,
            )
        )

    @property
    def _is_forced(self) -> bool:
        if self.leg.cause is Cause.FENCED:
            return True
        if self._hurried.is_set():
            return True
        return self.leg.termination is not None and self.leg.termination.force

    async def _drain(self) -> None:
        """Let no tool call begin any more, and those that must not be cut in half end."""
        agent = self.leg.agent
        if agent is None:
            return
        agent.critical.close()
        if self._is_forced or not agent.critical.rules.patterns:
            return
        await agent.catch_up()
        if not agent.critical.running:
            return
        await self._phase(Phase.DRAINING, None)
        limit = agent.critical.rules.wait
        if self.leg.cause is Cause.HANDOVER:
            limit = min(limit, _HANDOVER_DRAIN)
        waited = await agent.critical.drained(limit, hurried=self._hurried)
        for one in waited:
            log.info("%s: waited %s ms for %s", self.leg.run.run_id, one.milliseconds, one.tool)
        try:
            await until_written(
                lambda: self.ledger.waited(self.leg.run, self.leg.termination, waited),
                patience=_PHASE_PATIENCE,
            )
        except OpsError as error:
            log.warning("%s: what it waited for not recorded: %s", self.leg.run.run_id, error)

    async def _note_gone(self) -> None:
        # Without it a kill of the run while it waits would have to look for itself.
        try:
            await until_written(lambda: self.ledger.gone(self.leg.run), patience=_PHASE_PATIENCE)
        except Unavailable:
            log.warning("%s: could not note that it is gone", self.leg.run.run_id)

    async def _hear_force(self) -> None:
        """Notice when somebody presses Force kill while the agent is being asked to stop."""
        while self.leg.cause is Cause.KILL and not self._hurried.is_set():
            await asyncio.sleep(_FORCE_LOOK.total_seconds())
            try:
                present = await self.ledger.open_termination(self.leg.run)
            except Unavailable:
                continue
            if present is not None and present.force:
                self._hurried.set()

    async def _acknowledge(self) -> None:
        try:
            self.leg.termination = await until_written(
                lambda: self.ledger.open_termination(self.leg.run), patience=_PHASE_PATIENCE
            )
        except Unavailable:
            log.warning("%s: killed while the database is away", self.leg.run.run_id)
        await self._phase(Phase.ACKNOWLEDGED, None)

    async def _climb(self, *, force: bool, spent: timedelta = timedelta(0)) -> Proof:
        agent = self.leg.agent
        grace = _HANDOVER_GRACE if self.leg.cause is Cause.HANDOVER else INTERRUPT_GRACE
        return await end_tree(
            cookie=self.leg.run.run_id,
            # Who asks for the end of the run means all of it; else a successor may be here.
            attempt=None if self.leg.cause is Cause.KILL else self.leg.run.attempt,
            root=agent.root if agent else None,
            interrupt=agent.interrupt if agent else None,
            has_ended=lambda: self._hurried.is_set() or (agent is not None and agent.has_ended),
            force=force,
            on_phase=self._phase,
            known=agent.tree if agent else None,
            # What a critical call took is not to be had twice.
            interrupt_grace=max(min(grace, _BEFORE_SIGNALS - spent), _LEAST_GRACE),
        )

    async def _phase(self, phase: Phase, proof: Proof | None) -> None:
        termination = self.leg.termination
        if termination is None:
            return
        try:
            self.leg.termination = await until_written(
                lambda: self.ledger.phase(self.leg.run, termination, phase, proof),
                patience=_PHASE_PATIENCE,
            )
        except OpsError as error:
            # Who is asked to stop must stop, whether or not it can be written down now.
            log.warning("%s: phase %s not recorded: %s", self.leg.run.run_id, phase, error)
