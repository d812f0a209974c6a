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
from core.domain.fleet.attempt import RunProcess, machine_of
from core.domain.kills.termination import IllegalPhase, Phase, Proof, Termination
from core.domain.runs.run import Run, RunStatus, StopReason
from core.queue import jobs
from core.runner.execution.ledger import Ledger
from core.runner.recovery.clean_up import Clearing
from core.store import terminations
from core.store.fleet import attempts
from core.store.runs import runs
from core.workspace.errors import WorkspaceError
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# Time for a machine to start again.  After it the run is given up, so that its session is
# free; the kill itself stays unconfirmed until a worker runs on that machine.
UNCONFIRMED_PATIENCE = timedelta(minutes=10)
# Between two tries to end what survived one; each takes a few seconds of a processor.
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=1)


@dataclass
class Kills:
    """What one worker does about kills that nobody executes any more.

    Attributes:
        patience: How long a run is kept whose machine is away.
        hearing: How long the workers of the other machine have to finish it first.
    """

    ledger: Ledger
    workspaces: Workspaces
    clearing: Clearing
    patience: timedelta = UNCONFIRMED_PATIENCE
    hearing: timedelta = timedelta(seconds=10)
    _pauses: dict[UUID, tuple[float, timedelta]] = field(default_factory=dict)

    async def look(self) -> None:
        """Look once for kills whose run waits, or has ended without the proof.

        Those of running runs are their workers', or their rescuers'.
        """
        async with self.ledger.work.transaction() as session:
            open_ones = await terminations.unfinished(session)
        for termination in open_ones:
            try:
                async with self.ledger.work.transaction() as session:
                    run = await runs.get_by_uuid(session, termination.run_id)
                if run.status is not RunStatus.RUNNING:
                    await self.conclude(run)
            except Conflict as error:
                log.info("a kill was finished by somebody else: %s", error)
            except Unavailable:
                raise
            except Exception:
                # One that cannot be finished must keep no other from it, nor end this worker.
                log.exception("the kill of %s cannot be finished yet", termination.run_id)

    async def conclude(self, run: Run, *, job_in_hand: bool = False) -> Run:
        """Bring a kill as far as it can be brought from here; safe to call again.

        For a run that nobody executes: its worker died, it waits, or it has ended.

        Args:
            run: With a kill under way.
            job_in_hand: Whether the caller executes the run's job, which so needs no settling.

        Returns:
            The run as it now stands: killed if all of it is proven gone.
        """
        termination = await self.ledger.open_termination(run)
        if termination is not None and self._is_too_soon(termination):
            return run
        async with self.ledger.work.transaction() as session:
            made = await attempts.of_run(session, run.id)
        here = [one for one in made if self.ledger.is_here(one)]
        missing = [one for one in made[-1:] if one not in here and one.gone_at is None]
        proof = await self._end(run, here)
        if proof.is_confirmed and here:
            await self.ledger.gone(run)
        if proof.is_confirmed and not missing:
            if run.job_id is not None and run.is_live and not job_in_hand:
                async with self.ledger.work.transaction() as session:
                    await jobs.settle(session, run.job_id)
            return await self._confirm(run, termination, here, proof)
        return await self._postpone(run, termination, missing, proof)

    async def _end(self, run: Run, here: Sequence[RunProcess]) -> Proof:
        if not here or all(one.gone_at is not None for one in here):
            return Proof()
        # Elsewhere, or before the machine was booted, its number was another process's.
        agents = [one.agent for one in here if one.host == self.ledger.host]
        return await end_tree(cookie=run.run_id, root=agents[-1] if agents else None)

    async def _confirm(
        self,
        run: Run,
        termination: Termination | None,
        here: Sequence[RunProcess],
        proof: Proof,
    ) -> Run:
        saved: Mapping[str, Any] = {}
        cleanup: dict[str, Any] = {}
        if here and run.is_live:
            cleanup = await self.clearing.after_kill(run, [one.attempt for one in here])
            saved = await self._save(run)
        elif here:
            # Another leg may work in its workspace by now.
            cleanup = {
                "state_dirs": await self.clearing.state_of(run, [one.attempt for one in here])
            }
        if termination is not None:
            self._pauses.pop(termination.id, None)
            await self.ledger.phase(
                run, termination, Phase.CONFIRMED, proof, work_saved=saved, cleanup=cleanup
            )
        await self.ledger.finish_killed(run)
        log.warning("%s: its kill is confirmed", run.run_id)
        return await self.ledger.look(run.run_id)

    async def _postpone(
        self,
        run: Run,
        termination: Termination | None,
        missing: Sequence[RunProcess],
        proof: Proof,
    ) -> Run:
        if termination is None:
            # Its last word was that all is gone; it cannot be taken back.
            return run
        now = self.ledger.work.clock()
        since = max(termination.requested_at, run.completed_at or termination.requested_at)
        if proof.is_confirmed and now - since < self.hearing:
            return run
        if not proof.is_confirmed:
            self._pause(termination)
        if Phase.UNCONFIRMED not in termination.phases:
            log.error(
                "%s: its kill is unconfirmed: %s processes survive here, nobody looked on %s",
                run.run_id,
                len(proof.survivors),
                _machines(missing) or "no other machine",
            )
        if termination.phase is not Phase.UNCONFIRMED:
            try:
                await self.ledger.phase(run, termination, Phase.UNCONFIRMED, proof)
            except IllegalPhase as error:
                log.info("%s: %s", run.run_id, error)
                return await self.ledger.look(run.run_id)
        waits_for = now - termination.requested_at
        if run.is_live and missing and waits_for > self.patience:
            return await self._give_up(run, missing)
        return run

    async def _give_up(self, run: Run, missing: Sequence[RunProcess]) -> Run:
        """Free the session of a run whose machine does not come back; the kill stays open."""
        if run.job_id is not None:
            async with self.ledger.work.transaction() as session:
                await jobs.settle(session, run.job_id)
        return await self.ledger.fail(
            run,
            StopReason.WORKER_LOST,
            f"It was to be killed, but its worker's machine ({_machines(missing)}) has not been "
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
            log.warning("%s: work not saved apart: %s", run.run_id, error)
            return {"kept_in": run.workspace_path}

    def _is_too_soon(self, termination: Termination) -> bool:
        until, _ = self._pauses.get(termination.id, (0.0, _FIRST_PAUSE))
        return time.monotonic() < until

    def _pause(self, termination: Termination) -> None:
        _, pause = self._pauses.get(termination.id, (0.0, _FIRST_PAUSE))
        until = time.monotonic() + pause.total_seconds()
        self._pauses[termination.id] = until, min(2 * pause, _LONGEST_PAUSE)


def _machines(attempts: Sequence[RunProcess]) -> str:
    """Where they were, as people know it."""
    return ", ".join(sorted({machine_of(one.host) for one in attempts}))
