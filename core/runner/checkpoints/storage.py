"""Storing a checkpoint: its reference, its bundle, its row; and deleting old ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from core.domain.errors import OpsError
from core.domain.runs.checkpoint import Checkpoint, NotStored, reference_of
from core.domain.runs.work.carried_work import BundleTooLarge
from core.domain.runs.work.checkpoint_policy import CheckpointPolicy, find_basis
from core.runner.checkpoints.checkpoint_ledger import CheckpointLedger
from core.runner.checkpoints.cut import Cut
from core.runner.execution.attempt import Attempt, Prepared
from core.runner.log_fields import log_fields
from core.workspace.checkpoints.taking import TakenFiles
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckpointStorage:
    """Stores the checkpoints of one worker's attempts."""

    ledger: CheckpointLedger
    workspaces: Workspaces
    policy: CheckpointPolicy

    async def store(self, attempt: Attempt, prepared: Prepared, cut: Cut) -> None:
        """Store a checkpoint, and delete old ones.

        Raises:
            TimeoutError: If its message does not arrive in the transcript.
            StaleAttempt: If the run was given to another attempt.
        """
        state, checkpoint_id = attempt.checkpoint_state, uuid4()
        taken, moment, step = cut.taken, cut.moment, cut.step
        if state.known is None:
            state.known = await self.ledger.known(attempt.run)
        store = self.workspaces.checkpoints
        await store.keep(prepared.workspace, taken, reference_of(checkpoint_id))
        basis = find_basis(cut.reason, state.known)
        bundle, not_stored = await self._pack(attempt, prepared, taken, basis)
        checkpoint = Checkpoint(
            id=checkpoint_id,
            run_id=attempt.run.id,
            session_id=attempt.run.session_id,
            attempt=attempt.run.attempt,
            number=0,
            taken_at=self.ledger.context.clock(),
            reason=cut.reason,
            step_id=None if step is None else step.step_id,
            step_name=None if step is None else step.name,
            message_uuid=moment.message_uuid or _last_message(state.known),
            is_call_open=moment.is_call_open,
            commit=taken.commit,
            head_commit=taken.head_commit,
            base_commit=prepared.workspace.base_commit,
            branch=taken.branch,
            references=taken.references,
            turns=moment.turns,
            cost_usd=moment.cost_usd,
            tool_calls=moment.tool_calls,
            diff=taken.diff,
            previous_id=None if basis is None or bundle is None else basis.id,
            not_stored=not_stored,
        )
        stored = await self.ledger.add(checkpoint, bundle)
        state.known.append(stored)
        log.info(
            "%s: checkpoint @%d (%s)",
            attempt.run.run_id,
            stored.number,
            cut.reason,
            extra=log_fields(
                "checkpoint.taken",
                attempt.run,
                number=stored.number,
                reason=cut.reason.value,
                bytes=stored.size_bytes,
                is_call_open=stored.is_call_open,
            ),
        )
        await self._thin(attempt, prepared)

    async def _pack(
        self,
        attempt: Attempt,
        prepared: Prepared,
        taken: TakenFiles,
        basis: Checkpoint | None,
    ) -> tuple[bytes | None, NotStored | None]:
        """The bundle for the database, or why there is none."""
        try:
            return await self.workspaces.checkpoints.pack(
                prepared.workspace, taken, basis=basis, max_bytes=self.policy.max_stored_bytes
            ), None
        except BundleTooLarge as error:
            log.info(
                "%s: a checkpoint is only in its workspace: %s",
                attempt.run.run_id,
                error,
                extra=log_fields("checkpoint.too_large", attempt.run, bytes=error.size),
            )
            return None, NotStored.TOO_LARGE
        except OpsError as error:
            log.warning(
                "%s: a checkpoint is only in its workspace: %s",
                attempt.run.run_id,
                error,
                extra=log_fields("checkpoint.pack_failed", attempt.run),
            )
            return None, NotStored.FAILED

    async def _thin(self, attempt: Attempt, prepared: Prepared) -> None:
        """Delete the old checkpoints of the session, with their references."""
        deleted = await self.ledger.thin(attempt.run, self.policy)
        if not deleted:
            return
        state = attempt.checkpoint_state
        state.known = [one for one in state.known or () if one.id not in deleted]
        kept = await self.ledger.of_workspace(prepared.workspace.id)
        await self.workspaces.checkpoints.prune(prepared.workspace, kept)


def _last_message(known: Sequence[Checkpoint]) -> UUID | None:
    """The message of the newest checkpoint: an agent that has said nothing has not gone on."""
    return known[-1].message_uuid if known else None
