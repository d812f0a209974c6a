"""What follows the end of an attempt: clean up, keep its work, and store that for other machines.

The last checkpoint comes after that.

It begins before the end is written.  If it is done in a moment, the run ends with its outcome.
Otherwise the run ends at once, and the outcome is written when it is there; a shutdown leaves it to
the next worker on this machine (`core/runner/keeping/unkept_work.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from core.domain.runs.errors import StaleAttempt
from core.domain.runs.run import Run
from core.runner.checkpoints.checkpointer import Checkpointer
from core.runner.execution.attempt import Attempt, Cause
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.keeping.carry import Carrier
from core.runner.keeping.keeper import KeptWork, WorkKeeper, record_kept
from core.runner.log_fields import log_fields
from core.runner.recovery.clean_up import Cleaner
from core.runner.resilience import UNLIMITED_PATIENCE, retry_while_unavailable, run_uninterrupted

log = logging.getLogger(__name__)

# Git is killed at once; then its thread ends.
_CANCEL_LIMIT = timedelta(seconds=2)


@dataclass
class Afterwards:
    """The rest of one attempt: `begin`, then write its end, then `complete`."""

    ledger: Ledger
    keeper: WorkKeeper
    carrier: Carrier
    checkpointer: Checkpointer
    cleaner: Cleaner
    attempt: Attempt
    _keeping: asyncio.Task[KeptWork | None] | None = field(default=None, init=False)
    _carrying: asyncio.Task[None] | None = field(default=None, init=False)
    _checkpointing: asyncio.Task[None] | None = field(default=None, init=False)
    _is_told: bool = field(default=False, init=False)

    async def begin(self, patience: timedelta) -> KeptWork | None:
        """Begin, and wait a moment; a kill that is requested meanwhile ends the wait.

        Returns:
            The kept work; `None` if it takes longer, or if there is no workspace.
        """
        name = self.attempt.run.run_id
        until = time.monotonic() + patience.total_seconds()
        self._keeping = asyncio.create_task(self._keep(), name=f"keep {name}")
        if not await self._wait(self._keeping, until):
            return None
        kept = self._keeping.result()
        self._is_told = True
        if kept is not None:
            self._carrying = asyncio.create_task(self._carry(kept), name=f"carry rest of {name}")
            await self._wait(self._carrying, until)
        return kept

    async def complete(self) -> None:
        """Do the rest after the end of the run was written.  A cancellation leaves it undone."""
        try:
            if self._keeping is not None and not self._is_told:
                kept = await asyncio.shield(self._keeping)
                if kept is None or not await run_uninterrupted(
                    self._tell(kept), name=f"tell work of {self.attempt.run.run_id}"
                ):
                    return
                self._carrying = asyncio.create_task(
                    self._carry(kept), name=f"carry rest of {self.attempt.run.run_id}"
                )
            if self._carrying is not None:
                await asyncio.shield(self._carrying)
                self._checkpointing = asyncio.create_task(
                    self._take_checkpoint(), name=f"last checkpoint {self.attempt.run.run_id}"
                )
                await asyncio.shield(self._checkpointing)
        except asyncio.CancelledError:
            await self.leave()

    async def leave(self) -> None:
        """Leave what is not done yet to the next worker on this machine."""
        if any(not task.done() for task in self._tasks):
            log.warning(
                "%s: its work is not kept yet; the next worker here goes on",
                self.attempt.run.run_id,
                extra=log_fields("work.keep_interrupted", self.attempt.run),
            )
        await self.cancel()

    async def cancel(self) -> None:
        """Stop whatever is still being done."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CANCEL_LIMIT.total_seconds())

    @property
    def _tasks(self) -> set[asyncio.Task[Any]]:
        """Whatever has been begun."""
        tasks = (self._keeping, self._carrying, self._checkpointing)
        return {task for task in tasks if task is not None}

    async def _wait(self, task: asyncio.Task[Any], until: float) -> bool:
        """Wait for a task; return whether it is done."""
        waits: set[asyncio.Future[Any]] = {task}
        killed = asyncio.create_task(self.attempt.stop.requested.wait(), name="kill meanwhile")
        if self.attempt.cause is None:
            waits.add(killed)
        try:
            left = max(until - time.monotonic(), 0)
            await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            killed.cancel()
        return task.done()

    async def _keep(self) -> KeptWork | None:
        attempt, prepared = self.attempt, self.attempt.opened.prepared
        is_kill = attempt.cause is Cause.KILL
        run = attempt.run if prepared is None else prepared.run
        if is_kill:
            # Before the work is saved, because the locks of killed programs would prevent it.
            await self._clean_up(run)
        if prepared is None:
            return None
        return await self.keeper.keep(run, prepared.workspace, always_commits=is_kill)

    async def _clean_up(self, run: Run) -> None:
        try:
            cleanup = await self.cleaner.clean_up_after_kill(run, [run.attempt])
        except Exception:
            # The work is kept all the same.
            log.exception(
                "%s: what its agent left was not removed",
                run.run_id,
                extra=log_fields("attempt.clean_up_failed", run),
            )
            return
        await retry_while_unavailable(
            lambda: self.ledger.kills.record_outcome(self.attempt.run, cleanup=cleanup),
            patience=UNLIMITED_PATIENCE,
        )

    async def _tell(self, kept: KeptWork) -> bool:
        return await retry_while_unavailable(
            lambda: record_kept(self.ledger.context, self.attempt.run, kept),
            patience=UNLIMITED_PATIENCE,
        )

    async def _carry(self, kept: KeptWork) -> None:
        try:
            await self.carrier.carry_remaining(self.attempt, kept.saved)
        except StaleAttempt as error:
            log.warning(
                "%s: its work is not carried: %s",
                self.attempt.run.run_id,
                error,
                extra=log_fields("carry.superseded", self.attempt.run),
            )

    async def _take_checkpoint(self) -> None:
        try:
            await self.checkpointer.take_final(self.attempt)
        except StaleAttempt as error:
            log.warning(
                "%s: no last checkpoint: %s",
                self.attempt.run.run_id,
                error,
                extra=log_fields("last_checkpoint.superseded", self.attempt.run),
            )
