"""Keep what an agent commits where every node finds it, while it works and when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from core.domain.errors import OpsError
from core.domain.runs.carried_work import Bundle, CarriedWork, TooLarge
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import StaleAttempt
from core.runner.execution.attempt import Cause, Leg
from core.runner.execution.ledger import Ledger
from core.runner.shielded import until_written
from core.store import events
from core.store.runs.writes import touch
from core.store.sessions import carried_work
from core.workspace.errors import WorkspaceError
from core.workspace.workspaces import Workspace, Workspaces

log = logging.getLogger(__name__)

# Between two looks while an agent works; and so much longer than the last carrying took, that
# it never takes more than a twentieth of a processor.
_LOOK_EVERY = timedelta(seconds=3)
_REST = 20
_LONGEST_REST = timedelta(minutes=2)
# Packing and storing, at the end of a leg; a shutdown leaves less time.
_CLOSE_LIMIT = timedelta(seconds=30)
_HANDOVER_LIMIT = timedelta(seconds=4)


@dataclass(frozen=True)
class Carrier:
    """Carries the work of one worker's legs."""

    ledger: Ledger
    workspaces: Workspaces

    async def begin(self, leg: Leg) -> None:
        """Note how much of the workspace, as the leg finds it, the database has already."""
        workspace = self._workspace(leg)
        kept = leg.kept
        latest = None
        if not leg.is_first:
            async with self.ledger.work.transaction() as session:
                latest = await carried_work.latest_head(session, leg.run.session_id)
        if latest is None:
            is_known = leg.base_commit == workspace.base_commit
        else:
            head, newest = latest
            is_known, kept.is_save = head == leg.base_commit, newest != head
        kept.seen = await self.workspaces.glance(workspace) if is_known else None

    @asynccontextmanager
    async def following(self, leg: Leg) -> AsyncIterator[None]:
        """Carry what the agent commits, soon after, until the block ends."""
        task = asyncio.create_task(self._follow(leg), name=f"carry {leg.run.run_id}")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def close(self, leg: Leg) -> None:
        """Carry all that the leg leaves, the work tree too; whatever fails is told and noted.

        Raises:
            StaleAttempt: If the run was given to another attempt meanwhile.
        """
        if leg.workspace is None or leg.kept.is_closed or leg.cause is Cause.FENCED:
            return
        leg.kept.is_closed = True
        limit = _HANDOVER_LIMIT if leg.cause is Cause.HANDOVER else _CLOSE_LIMIT
        try:
            async with asyncio.timeout(limit.total_seconds()):
                await self._close(leg)
        except StaleAttempt:
            raise
        except TimeoutError:
            await self._tell(leg, failed=f"it took longer than {limit.total_seconds():.0f} s")
        except OpsError as error:
            log.warning("%s: work not carried: %s", leg.run.run_id, error)
            await self._tell(leg, failed=error.user_message)
        except Exception:
            # A run ends all the same.
            log.exception("%s: work not carried", leg.run.run_id)
            await self._tell(leg, failed="a fault of Signalbox; the worker's log has it")

    async def _close(self, leg: Leg) -> None:
        workspace, kept = self._workspace(leg), leg.kept
        seen = await self.workspaces.glance(workspace)
        is_known = bool(seen) and seen == kept.seen
        trouble: Mapping[str, object] | None = None
        try:
            saved = await self._saved(leg, workspace)
        except WorkspaceError as error:
            log.warning("%s: work tree not saved: %s", leg.run.run_id, error)
            saved, trouble = None, {"failed": "its uncommitted files could not be saved"}
        if saved is not None:
            try:
                await self._store(leg, await self._pack(leg, saved))
            except TooLarge as error:
                # Without the work tree it may fit.
                trouble = _too_large(error, commits=False)
            else:
                return
        if not is_known or (kept.is_save and trouble is None):
            try:
                await self._store(leg, await self._pack(leg, None))
            except TooLarge as error:
                trouble = _too_large(error, commits=True)
        elif trouble is None:
            await self._note(leg, {"nothing_new": True})
        if trouble is not None:
            # Last, so that it is what the next leg finds.
            await self._tell(leg, **trouble)

    async def _saved(self, leg: Leg, workspace: Workspace) -> str | None:
        """The work tree as a commit, if it holds anything uncommitted."""
        saved = leg.work_saved
        if saved is None:
            if leg.diff is not None and all(file.committed for file in leg.diff.files):
                return None
            label = f"{leg.run.run_id}/{leg.run.attempt}"
            saved = await self.workspaces.save(workspace, label)
        if "commit" not in saved:
            raise WorkspaceError("not saved", user_message="The work tree could not be saved.")
        return str(saved["commit"]) if saved.get("uncommitted_files") else None

    async def _follow(self, leg: Leg) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await leg.kept.look.wait()
            leg.kept.look.clear()
            began = clock()
            try:
                await self._carry_commits(leg)
            except StaleAttempt:
                return
            except TooLarge as error:
                if not leg.kept.is_told:
                    leg.kept.is_told = True
                    await self._tell(leg, **_too_large(error, commits=True))
            except OpsError as error:
                log.warning("%s: commits not carried yet: %s", leg.run.run_id, error)
            except Exception:
                # The end of the leg is another chance; the agent's work goes on.
                log.exception("%s: commits not carried", leg.run.run_id)
                return
            rest = max((clock() - began) * _REST, _LOOK_EVERY.total_seconds())
            await asyncio.sleep(min(rest, _LONGEST_REST.total_seconds()))

    async def _carry_commits(self, leg: Leg) -> None:
        seen = await self.workspaces.glance(self._workspace(leg))
        if seen == leg.kept.seen:
            return
        bundle = await self._pack(leg, None)
        if bundle is not None:
            await self._store(leg, bundle)
        leg.kept.seen = seen

    async def _pack(self, leg: Leg, saved: str | None) -> Bundle | None:
        workspace = self._workspace(leg)
        return await self.workspaces.bundle(
            workspace,
            since=workspace.base_commit,
            saved=saved,
            start=leg.run.initial_commit_hash,
            max_bytes=carried_work.MAX_BYTES,
        )

    async def _store(self, leg: Leg, bundle: Bundle | None) -> None:
        now = self.ledger.work.clock()
        run = leg.run
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
            async with self.ledger.work.transaction() as session:
                if work is None:
                    await carried_work.drop(session, run.id, attempt=run.attempt)
                else:
                    await carried_work.put(session, work)

        await until_written(write, patience=_CLOSE_LIMIT)
        leg.kept.is_save = bundle is not None and bundle.saved_commit is not None
        if leg.kept.is_closed:
            # What is carried before the end is seen in its row.
            await self._note(leg, data)

    async def _tell(self, leg: Leg, **what: object) -> None:
        """Note what could not be carried; the thread shows it."""
        data = {**what, "workspace": leg.workspace.id if leg.workspace else None}
        with contextlib.suppress(OpsError):
            await self._note(leg, data)

    async def _note(self, leg: Leg, data: Mapping[str, object]) -> None:
        """Note it after all that was noted before: with the account, if that is still to come."""
        run, now = leg.run, self.ledger.work.clock()
        if leg.kept.is_closed and leg.cause is not Cause.KILL:
            leg.progress.note(EventKind.WORK_CARRIED, now, **data)
            return
        record = EventRecord(kind=EventKind.WORK_CARRIED, at=now, data=data)
        async with self.ledger.work.transaction() as session:
            await events.append(session, run.id, run.attempt, [record])
            if "nothing_new" not in data and "commit" not in data:
                await touch(session, run.id, now=now)

    def _workspace(self, leg: Leg) -> Workspace:
        if leg.workspace is None:
            raise RuntimeError("no workspace to carry")
        return leg.workspace


def _too_large(error: TooLarge, *, commits: bool) -> Mapping[str, object]:
    return {"too_large": True, "bytes": error.size, "limit": error.limit, "commits": commits}
