"""The database reads and writes of checkpoints; each method is one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from core.domain.runs.checkpoint import PROBLEM_KEY, Checkpoint
from core.domain.runs.run import Run
from core.domain.runs.work.checkpoint_policy import CheckpointPolicy
from core.runner.resilience import retry_while_unavailable
from core.services.context import ServiceContext
from core.services.runs.checkpoints import thin_session
from core.store.runs import runs
from core.store.sessions.checkpoints import checkpoints, expiry

# The transcript is stored within 0.3 s or so; it takes longer only if the database is down.
_MESSAGE_LIMIT = timedelta(seconds=30)
_MESSAGE_POLL = timedelta(seconds=0.1)


@dataclass(frozen=True)
class CheckpointLedger:
    """Stores checkpoints."""

    context: ServiceContext

    async def known(self, run: Run) -> list[Checkpoint]:
        """The checkpoints of the lineage of a run's session, oldest first."""
        async with self.context.transaction() as session:
            return await checkpoints.of_lineage(session, run.session_id)

    async def of_workspace(self, workspace_id: str) -> Collection[Checkpoint]:
        """The checkpoints that were taken in a workspace, of any session."""
        async with self.context.transaction() as session:
            return await expiry.of_workspace(session, workspace_id)

    async def add(self, checkpoint: Checkpoint, bundle: bytes | None) -> Checkpoint:
        """Store a checkpoint as soon as its message is in the transcript; return it numbered.

        Raises:
            TimeoutError: If the message does not arrive there.
            StaleAttempt: If the run has a newer attempt.
        """

        async def write() -> Checkpoint | None:
            async with self.context.transaction() as session:
                return await checkpoints.add(session, checkpoint, bundle)

        async with asyncio.timeout(_MESSAGE_LIMIT.total_seconds()):
            while True:
                stored = await retry_while_unavailable(write)
                if stored is not None:
                    return stored
                await asyncio.sleep(_MESSAGE_POLL.total_seconds())

    async def record_problem(self, run: Run, problem: str) -> None:
        """Record why a run has no checkpoints, for people.

        Raises:
            StaleAttempt: If the attempt is no longer the running one.
        """
        async with self.context.transaction() as session:
            await runs.change(
                session,
                run.run_id,
                now=self.context.clock(),
                attempt=run.attempt,
                metadata={PROBLEM_KEY: problem},
            )

    async def thin(self, run: Run, policy: CheckpointPolicy) -> frozenset[UUID]:
        """Delete the checkpoints of a run's session that need not be kept; return their ids."""
        async with self.context.transaction() as session:
            return await thin_session(
                session, run.session_id, policy=policy, now=self.context.clock()
            )
