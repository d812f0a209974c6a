"""Takes checkpoints beside a working agent, which never waits for one, and at its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from core.agent.protocol import AgentSession
from core.domain.errors import OpsError, unforeseen
from core.domain.runs.checkpoint import CheckpointReason
from core.domain.runs.errors import StaleAttempt
from core.domain.runs.work.checkpoint_policy import CheckpointPolicy
from core.runner.checkpoints.checkpoint_ledger import CheckpointLedger
from core.runner.checkpoints.cut import Cut, is_changed, read_moment
from core.runner.checkpoints.storage import CheckpointStorage
from core.runner.execution.attempt import Attempt, Cause, Prepared
from core.runner.log_fields import log_fields
from core.runner.resilience import retry_while_unavailable
from core.workspace.checkpoints.errors import CheckpointTooLarge
from core.workspace.checkpoints.taking import TakenFiles
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# How long a checkpoint waits for the end of an open tool call.
_SETTLE_LIMIT = timedelta(minutes=1)
# An agent that calls tools without thinking in between changes files while they are read.
_MAX_TRIES = 3
# A pause is so many times as long as the last checkpoint took, so that all of them together use
# about a tenth of a processor.
_PAUSE_FACTOR = 9
_MAX_PAUSE = timedelta(minutes=2)
# After the agent's end, for the checkpoint in hand, and for the last one.
_FINISH_LIMIT = timedelta(seconds=10)
_FINAL_LIMIT = timedelta(seconds=30)


@dataclass(frozen=True)
class Checkpointer:
    """Takes the checkpoints of one worker's attempts."""

    ledger: CheckpointLedger
    workspaces: Workspaces
    policy: CheckpointPolicy

    @property
    def _storage(self) -> CheckpointStorage:
        return CheckpointStorage(self.ledger, self.workspaces, self.policy)

    @asynccontextmanager
    async def taking(
        self, attempt: Attempt, prepared: Prepared, agent: AgentSession
    ) -> AsyncIterator[None]:
        """Take checkpoints when steps end, and at intervals, until the block ends.

        One in hand is finished after the block, in the background.
        """
        state = attempt.checkpoint_state
        if self.policy.is_enabled:
            state.task = asyncio.create_task(
                self._loop(attempt, prepared, agent), name=f"checkpoints {attempt.run.run_id}"
            )
        try:
            yield
        finally:
            state.is_closing = True
            # It may wait for the next step.
            state.step_ended.set()

    async def take_final(self, attempt: Attempt) -> None:
        """Take the last checkpoint of a leg; none of its processes is left.

        A failure is logged, and changes nothing else.

        Raises:
            StaleAttempt: If the run was given to another attempt meanwhile.
        """
        prepared, agent = attempt.opened.prepared, attempt.opened.agent
        state = attempt.checkpoint_state
        if state.task is not None:
            await asyncio.wait({state.task}, timeout=_FINISH_LIMIT.total_seconds())
        state.stop()
        if not self.policy.is_enabled or prepared is None or agent is None:
            return
        is_kill = attempt.cause is Cause.KILL
        reason = CheckpointReason.BEFORE_KILL if is_kill else CheckpointReason.LEG_ENDED
        try:
            async with asyncio.timeout(_FINAL_LIMIT.total_seconds()):
                moment = read_moment(attempt, agent.point, is_call_open=not agent.point.is_settled)
                taken = await self._take_files(attempt, prepared)
                cut = Cut(taken=taken, moment=moment, reason=reason, step=state.present_step)
                await self._storage.store(attempt, prepared, cut)
        except StaleAttempt:
            raise
        except (OpsError, OSError) as error:
            await self._report_failure(attempt, error)
        except Exception:
            # The run has ended all the same.
            log.exception(
                "%s: no last checkpoint",
                attempt.run.run_id,
                extra=log_fields("last_checkpoint.failed", attempt.run),
            )

    async def _loop(self, attempt: Attempt, prepared: Prepared, agent: AgentSession) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            reason = await self._wait_until_due(attempt)
            if reason is None:
                return
            began = clock()
            try:
                await self._take(attempt, prepared, agent, reason)
            except StaleAttempt:
                return
            except (OpsError, OSError) as error:
                await self._report_failure(attempt, error)
            except Exception:
                # The agent works on, and the next one may succeed.
                log.exception(
                    "%s: no checkpoint now",
                    attempt.run.run_id,
                    extra=log_fields("next_checkpoint.failed", attempt.run),
                )
            pause = min((clock() - began) * _PAUSE_FACTOR, _MAX_PAUSE.total_seconds())
            await self._pause(attempt, pause)

    async def _wait_until_due(self, attempt: Attempt) -> CheckpointReason | None:
        """Wait for the next checkpoint, and return why it is due; `None` if none is any more."""
        state = attempt.checkpoint_state
        with suppress(TimeoutError):
            async with asyncio.timeout(self.policy.every.total_seconds()):
                await state.step_ended.wait()
        state.step_ended.clear()
        if state.is_closing:
            return None
        is_step = state.ended_step is not None
        return CheckpointReason.STEP_ENDED if is_step else CheckpointReason.INTERVAL

    async def _pause(self, attempt: Attempt, seconds: float) -> None:
        """Wait, unless the agent ends meanwhile."""
        clock, state = asyncio.get_running_loop().time, attempt.checkpoint_state
        until = clock() + seconds
        is_due = False
        while not state.is_closing and (left := until - clock()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await state.step_ended.wait()
                is_due = True
                state.step_ended.clear()
        if is_due:
            state.step_ended.set()

    async def _take(
        self, attempt: Attempt, prepared: Prepared, agent: AgentSession, reason: CheckpointReason
    ) -> None:
        state = attempt.checkpoint_state
        before = state.taken
        for _ in range(_MAX_TRIES):
            await agent.point.wait_until_settled(_SETTLE_LIMIT)
            if state.is_closing:
                return
            state.taken = before
            cut, is_settled = await self._cut(attempt, prepared, agent, reason)
            if is_settled or cut.moment.is_call_open:
                break
        else:
            cut = replace(cut, moment=replace(cut.moment, is_call_open=True))
        if state.ended_step is cut.step:
            # Otherwise another one has ended meanwhile, and is due next.
            state.ended_step = None
        if reason is CheckpointReason.INTERVAL and not is_changed(cut.taken, prepared):
            return
        try:
            await self._storage.store(attempt, prepared, cut)
        except BaseException:
            # Nothing may be taken for stored that is not.
            state.taken = before
            raise

    async def _cut(
        self, attempt: Attempt, prepared: Prepared, agent: AgentSession, reason: CheckpointReason
    ) -> tuple[Cut, bool]:
        """Read the files; return whether no tool call could change them meanwhile."""
        state, point = attempt.checkpoint_state, agent.point
        is_settled, effects = point.is_settled, point.effects
        moment = read_moment(attempt, point, is_call_open=not is_settled)
        step = state.ended_step or state.present_step
        taken = await self._take_files(attempt, prepared)
        # What the agent has announced until now may have changed files while they were read.
        await agent.catch_up()
        cut = Cut(taken=taken, moment=moment, reason=reason, step=step)
        return cut, is_settled and point.effects == effects

    async def _take_files(self, attempt: Attempt, prepared: Prepared) -> TakenFiles:
        state = attempt.checkpoint_state
        taken = await self.workspaces.checkpoints.take(
            prepared.workspace,
            start=prepared.run.initial_commit_hash,
            previous=state.taken,
            max_bytes=self.policy.max_changed_bytes,
        )
        state.taken = taken
        return taken

    async def _report_failure(self, attempt: Attempt, error: OpsError | OSError) -> None:
        """Log why there is no checkpoint; if the changes are too large, tell people as well."""
        state = attempt.checkpoint_state
        is_too_large = isinstance(error, CheckpointTooLarge)
        if is_too_large and state.is_size_reported:
            return
        log.warning(
            "%s: no checkpoint: %s",
            attempt.run.run_id,
            str(error) or type(error).__name__,
            exc_info=unforeseen(error),
            extra=log_fields("checkpoint.failed", attempt.run),
        )
        if isinstance(error, CheckpointTooLarge) and not state.is_closing:
            state.is_size_reported = True
            problem = error.user_message
            try:
                await retry_while_unavailable(
                    lambda: self.ledger.record_problem(attempt.run, problem)
                )
            except OpsError as refused:
                log.warning(
                    "%s: nobody is told why it has no checkpoints: %s",
                    attempt.run.run_id,
                    refused,
                    extra=log_fields("checkpoint_problem.record_failed", attempt.run),
                )
