"""Store an agent's work in the database, so that any node can continue from it.

Commits are stored soon after the agent makes them, and everything at the end of an attempt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from core.domain.errors import OpsError, unforeseen
from core.domain.feed import ChangeKind
from core.domain.runs.errors import StaleAttempt
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.work.carried_work import Bundle, BundleTooLarge, CarriedWork
from core.runner.execution.attempt import Attempt, Cause, Prepared
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.log_fields import log_fields
from core.runner.resilience import retry_while_unavailable
from core.store import changes, events
from core.store.runs.compare_and_set import bump_version
from core.store.sessions import carried_work
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# The shortest pause between two checks while an agent works.  A pause is also 20 times as long as
# the last check took (at most two minutes), so that checks use about a twentieth of a processor.
_CHECK_INTERVAL = timedelta(seconds=3)
_PAUSE_FACTOR = 20
_MAX_PAUSE = timedelta(minutes=2)
# For packing and storing at the end of an attempt; a shutdown leaves less time.
_FINAL_CARRY_LIMIT = timedelta(seconds=30)
_HANDOVER_CARRY_LIMIT = timedelta(seconds=4)


@dataclass(frozen=True)
class Carrier:
    """Stores the work of one worker's attempts."""

    ledger: Ledger
    workspaces: Workspaces

    async def load_carry_state(self, attempt: Attempt, prepared: Prepared) -> None:
        """Find out how much of the prepared workspace the database has already."""
        workspace = prepared.workspace
        carry_state = attempt.carry_state
        latest = None
        if not attempt.is_first:
            async with self.ledger.context.transaction() as session:
                latest = await carried_work.latest_head(session, attempt.run.session_id)
        if latest is None:
            is_carried = prepared.base_commit == workspace.base_commit
        else:
            head, newest = latest
            is_carried, carry_state.has_saved_work_tree = (
                head == prepared.base_commit,
                newest != head,
            )
        carry_state.head_state = (
            await self.workspaces.read_head_state(workspace) if is_carried else None
        )

    @asynccontextmanager
    async def carrying_commits(self, attempt: Attempt, prepared: Prepared) -> AsyncIterator[None]:
        """Store the agent's commits soon after it makes them, until the block ends."""
        task = asyncio.create_task(
            self._carry_commits_loop(attempt, prepared), name=f"carry {attempt.run.run_id}"
        )
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def carry_remaining(self, attempt: Attempt, saved: Mapping[str, Any] | None) -> None:
        """Store all remaining work of the attempt, with the work tree.

        Failures are logged, and recorded for the thread.

        Args:
            attempt: The attempt; none of its processes is left.
            saved: What was saved of its work tree; `None` if it was not.

        Raises:
            StaleAttempt: If the run was given to another attempt meanwhile.
        """
        run, prepared = attempt.run, attempt.opened.prepared
        if prepared is None or attempt.carry_state.is_closed or attempt.cause is Cause.FENCED:
            return
        attempt.carry_state.is_closed = True
        limit = _HANDOVER_CARRY_LIMIT if attempt.cause is Cause.HANDOVER else _FINAL_CARRY_LIMIT
        try:
            async with asyncio.timeout(limit.total_seconds()):
                await self._carry_remaining(attempt, prepared, saved)
        except StaleAttempt:
            raise
        except TimeoutError:
            await self._report_not_carried(
                attempt, failed=f"it took longer than {limit.total_seconds():.0f} s"
            )
        except OpsError as error:
            log.warning(
                "%s: work not carried: %s",
                run.run_id,
                error,
                extra=log_fields("work.carry_failed", run),
            )
            await self._report_not_carried(attempt, failed=error.user_message)
        except Exception:
            # The run ends all the same.
            log.exception(
                "%s: work not carried", run.run_id, extra=log_fields("work.carry_failed", run)
            )
            await self._report_not_carried(
                attempt, failed="a defect of Signalbox; the worker's log has the details"
            )

    async def _carry_remaining(
        self, attempt: Attempt, prepared: Prepared, saved: Mapping[str, Any] | None
    ) -> None:
        workspace, carry_state = prepared.workspace, attempt.carry_state
        head_state = await self.workspaces.read_head_state(workspace)
        is_carried = bool(head_state) and head_state == carry_state.head_state
        problem: Mapping[str, object] | None = None
        commit = None
        if saved is None or "head" not in saved:
            problem = {"failed": "its uncommitted files could not be saved"}
        elif saved.get("uncommitted_files"):
            commit = str(saved["commit"])
        if commit is not None:
            try:
                await self._store_bundle(attempt, await self._make_bundle(prepared, commit))
            except BundleTooLarge as error:
                # Without the work tree it may fit.
                problem = _too_large(error, commits=False)
            else:
                return
        if not is_carried or (carry_state.has_saved_work_tree and problem is None):
            try:
                await self._store_bundle(attempt, await self._make_bundle(prepared, None))
            except BundleTooLarge as error:
                problem = _too_large(error, commits=True)
        elif problem is None:
            await self._record_event(attempt, {"nothing_new": True})
        if problem is not None:
            # Last, so that the next attempt finds it as the newest event.
            await self._report_not_carried(attempt, **problem)

    async def _carry_commits_loop(self, attempt: Attempt, prepared: Prepared) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await attempt.carry_state.check_needed.wait()
            attempt.carry_state.check_needed.clear()
            began = clock()
            try:
                await self._carry_commits(attempt, prepared)
            except StaleAttempt:
                return
            except BundleTooLarge as error:
                if not attempt.carry_state.is_size_reported:
                    attempt.carry_state.is_size_reported = True
                    await self._report_not_carried(attempt, **_too_large(error, commits=True))
            except OpsError as error:
                log.warning(
                    "%s: commits not carried yet: %s",
                    attempt.run.run_id,
                    error,
                    extra=log_fields("commits.carry_delayed", attempt.run),
                )
            except Exception:
                # The agent continues, and the end of the attempt tries again.
                log.exception(
                    "%s: commits not carried",
                    attempt.run.run_id,
                    extra=log_fields("commits.carry_failed", attempt.run),
                )
                return
            pause = max((clock() - began) * _PAUSE_FACTOR, _CHECK_INTERVAL.total_seconds())
            await asyncio.sleep(min(pause, _MAX_PAUSE.total_seconds()))

    async def _carry_commits(self, attempt: Attempt, prepared: Prepared) -> None:
        head_state = await self.workspaces.read_head_state(prepared.workspace)
        if head_state == attempt.carry_state.head_state:
            return
        bundle = await self._make_bundle(prepared, None)
        if bundle is not None:
            await self._store_bundle(attempt, bundle)
        attempt.carry_state.head_state = head_state

    async def _make_bundle(self, prepared: Prepared, saved: str | None) -> Bundle | None:
        return await self.workspaces.bundle(
            prepared.workspace,
            since=prepared.workspace.base_commit,
            saved=saved,
            start=prepared.run.initial_commit_hash,
            max_bytes=carried_work.MAX_BYTES,
        )

    async def _store_bundle(self, attempt: Attempt, bundle: Bundle | None) -> None:
        run, now = attempt.run, self.ledger.context.clock()
        work = (
            None
            if bundle is None
            else CarriedWork(
                id=uuid4(),
                session_id=run.session_id,
                run_id=run.id,
                attempt=run.attempt,
                bundle=bundle,
                created_at=now,
            )
        )
        data: dict[str, object] = (
            {"nothing_new": True}
            if bundle is None
            else {
                "commit": bundle.head_commit,
                "uncommitted": bundle.saved_commit is not None,
                "bytes": len(bundle.data),
            }
        )

        async def write() -> None:
            async with self.ledger.context.transaction() as session:
                if work is None:
                    await carried_work.delete_for_run(session, run.id, attempt=run.attempt)
                else:
                    await carried_work.save(session, work)

        await retry_while_unavailable(write, patience=_FINAL_CARRY_LIMIT)
        attempt.carry_state.has_saved_work_tree = (
            bundle is not None and bundle.saved_commit is not None
        )
        if attempt.carry_state.is_closed:
            # Before the end, the row of the stored work is enough.
            await self._record_event(attempt, data)

    async def _report_not_carried(self, attempt: Attempt, **details: object) -> None:
        """Record what could not be stored; the thread shows it."""
        workspace = attempt.opened.workspace
        data = {**details, "workspace": workspace.id if workspace else None}
        try:
            await self._record_event(attempt, data)
        except Exception as error:
            # The run goes on, or ends, all the same.
            log.warning(
                "%s: the thread does not show what was not carried: %s",
                attempt.run.run_id,
                error,
                exc_info=unforeseen(error),
                extra=log_fields("carry_event.record_failed", attempt.run),
            )

    async def _record_event(self, attempt: Attempt, data: Mapping[str, object]) -> None:
        """Record an event after all earlier ones, if possible with the final progress."""
        run, now = attempt.run, self.ledger.context.clock()
        if attempt.carry_state.is_closed and not attempt.carry_state.is_end_written:
            attempt.progress.add_record(EventKind.WORK_CARRIED, now, **data)
            return
        record = EventRecord(kind=EventKind.WORK_CARRIED, at=now, data=data)
        async with self.ledger.context.transaction() as session:
            await events.append(session, run.id, run.attempt, [record])
            if "nothing_new" not in data and "commit" not in data:
                await bump_version(session, run.id, now=now)
            else:
                # Nothing that is drawn has changed, but who watches the events gets this one.
                await changes.record(session, ChangeKind.RUN, run.run_id, "progress")


def _too_large(error: BundleTooLarge, *, commits: bool) -> Mapping[str, object]:
    return {"too_large": True, "bytes": error.size, "limit": error.limit, "commits": commits}
