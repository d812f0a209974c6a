"""The removal of one workspace: only what can be restored byte for byte goes.

The order makes it safe wherever it is cut short: its work is stored and read back; the row says
`removing`; the folder goes; the row says `removed`.  A run cannot begin in it meanwhile, because
the workspace is claimed, and a run that waits for it ends the examination.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from core.domain.errors import OpsError
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.work.carried_work import Bundle, CarriedWork
from core.domain.workspaces.policy import MIN_IDLE, CleanUpPolicy
from core.domain.workspaces.record import RemovalWhy
from core.domain.workspaces.stay import Stay, StayReason
from core.runner.caretaking.facts import WorkspaceFacts, read_facts
from core.services.context import ServiceContext
from core.store import events
from core.store.fleet import workspaces
from core.store.sessions import carried_work
from core.workspace.cleaning.cleaner import Examined, Stays, WorkspaceCleaner
from core.workspace.errors import WorkspaceBusy

log = logging.getLogger(__name__)

# Of one workspace, with a fetch from its repository.
_EXAMINE_LIMIT = timedelta(minutes=3)
# A run that begins waits so long for an examination that it interrupts.
_WATCH_INTERVAL = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a workspace that was looked at.

    Attributes:
        stay: Why it stays; `None` if it is gone.
        is_removed: Whether it was removed by this look; otherwise somebody else was faster.
        is_removable: Whether it stays only because it is not due yet.
        reclaimed_bytes: What its removal has freed.
    """

    stay: Stay | None
    is_removed: bool = False
    is_removable: bool = False
    reclaimed_bytes: int = 0


@dataclass(frozen=True)
class Removal:
    """Looks at workspaces of one disk, and removes those that may go."""

    context: ServiceContext
    cleaner: WorkspaceCleaner
    policy: CleanUpPolicy
    disk_id: str

    async def consider(self, workspace_id: str, why: RemovalWhy | None) -> Outcome:
        """Remove a workspace if nothing would be lost by it and its time has come.

        Args:
            workspace_id: The workspace.
            why: Room is needed, or a person asked for it; `None` leaves it to the policy.

        Raises:
            Unavailable: If the database cannot be reached; the workspace is then still there, or
                its row says `removing`.
        """
        try:
            async with self.cleaner.claimed(workspace_id):
                if not await self.cleaner.is_here(workspace_id):
                    return Outcome(stay=None)
                outcome = await self._consider(workspace_id, why)
        except WorkspaceBusy:
            outcome = Outcome(stay=Stay.of(StayReason.IN_USE))
        if outcome.stay is not None:
            await self.record_stay(workspace_id, outcome.stay, is_removable=outcome.is_removable)
        return outcome

    async def record_stay(
        self, workspace_id: str, stay: Stay, *, is_removable: bool = False
    ) -> None:
        """Write why a workspace stays; this answers a person's request."""
        now = self.context.clock()
        async with self.context.transaction() as session:
            await workspaces.set_stay(
                session, self.disk_id, workspace_id, stay, is_removable=is_removable, now=now
            )

    async def finish(self, workspace_id: str, *, size: int | None) -> None:
        """Write that a workspace is gone, after its removal was cut short.

        Args:
            workspace_id: The workspace.
            size: What it took, as far as that is known.
        """
        facts = await self._facts(workspace_id)
        await self._record_removed(workspace_id, facts, size=size)

    async def _consider(self, workspace_id: str, why: RemovalWhy | None) -> Outcome:
        facts = await self._facts(workspace_id)
        if facts is None:
            return Outcome(stay=Stay.of(StayReason.UNKNOWN_SESSION))
        now = self.context.clock()
        if (busy := facts.busy(now)) is not None:
            return Outcome(stay=busy)
        idle = now - facts.used_at
        is_early = idle < MIN_IDLE and why is not RemovalWhy.REQUEST
        if is_early or (why is None and not self.policy.may_be_due(idle=idle)):
            return Outcome(stay=Stay.of(StayReason.NOT_DUE), is_removable=False)
        try:
            examined = await self._examine_unless_needed(workspace_id, facts)
        except Stays as stays:
            return Outcome(stay=stays.stay)
        except TimeoutError:
            return Outcome(stay=Stay.of(StayReason.FAILED, ["it took too long"]))
        except OpsError as error:
            return Outcome(stay=Stay.of(StayReason.FAILED, [error.user_message]))
        if why is None:
            if not self.policy.is_due(idle=idle, is_delivered=examined.is_delivered):
                return Outcome(stay=Stay.of(StayReason.NOT_DUE), is_removable=True)
            why = RemovalWhy.DELIVERED if examined.is_delivered else RemovalWhy.AGE
        stay = await self._store(facts, examined)
        if stay is not None:
            return Outcome(stay=stay)
        return await self._remove(workspace_id, why)

    async def _examine_unless_needed(self, workspace_id: str, facts: WorkspaceFacts) -> Examined:
        """Examine a workspace; a run that needs it ends that.

        Raises:
            Stays: If something would be lost, or a run needs it.
        """
        examining = asyncio.create_task(
            self._examine(workspace_id, facts), name=f"examine {workspace_id}"
        )
        try:
            async with asyncio.timeout(_EXAMINE_LIMIT.total_seconds()):
                while not examining.done():
                    await asyncio.wait({examining}, timeout=_WATCH_INTERVAL.total_seconds())
                    present = None if examining.done() else await self._facts(workspace_id)
                    busy = present.busy(self.context.clock()) if present is not None else None
                    if busy is not None:
                        raise Stays(busy)
            return examining.result()
        finally:
            if not examining.done():
                examining.cancel()
                await asyncio.wait({examining})

    async def _examine(self, workspace_id: str, facts: WorkspaceFacts) -> Examined:
        if facts.is_newest:
            return await self.cleaner.examine_newest(workspace_id, repo=facts.repo)
        async with self.context.transaction() as session:
            stored = await carried_work.latest_verified(session, facts.session_id)
        return await self.cleaner.examine_older(
            workspace_id, repo=facts.repo, stored=None if stored is None else stored.bundle
        )

    async def _store(self, facts: WorkspaceFacts, examined: Examined) -> Stay | None:
        """Store what was packed, and read it back; return why the workspace stays all the same."""
        if not facts.is_newest:
            return None
        run, now, bundle = facts.last, self.context.clock(), examined.bundle
        async with self.context.transaction() as session:
            if bundle is None:
                await carried_work.delete_for_run(session, run.id, attempt=run.attempt)
                return None
            work = CarriedWork(
                id=uuid4(),
                session_id=facts.session_id,
                run_id=run.id,
                attempt=run.attempt,
                bundle=bundle,
                created_at=now,
            )
            await carried_work.save(session, work)
            data = {
                "commit": bundle.head_commit,
                "uncommitted": bundle.saved_commit is not None,
                "bytes": len(bundle.data),
            }
            record = EventRecord(kind=EventKind.WORK_CARRIED, at=now, data=data)
            await events.append(session, run.id, run.attempt, [record])
        async with self.context.transaction() as session:
            stored = await carried_work.latest_verified(session, facts.session_id)
        if stored is None or not _is_same(stored.bundle, bundle):
            return Stay.of(StayReason.LIVE_RUN, ["its session has gone on"])
        return None

    async def _remove(self, workspace_id: str, why: RemovalWhy) -> Outcome:
        size = await self.cleaner.measure(workspace_id)
        async with self.context.transaction() as session:
            facts = await read_facts(session, workspace_id, disk_id=self.disk_id)
            busy = facts.busy(self.context.clock()) if facts is not None else None
            if busy is not None:
                return Outcome(stay=busy)
            await workspaces.set_removing(session, self.disk_id, workspace_id, why)
        await self.cleaner.remove(workspace_id)
        await self._record_removed(workspace_id, facts, size=size)
        log.info(
            "removed workspace %s (%s), %s bytes",
            workspace_id,
            why,
            size,
            extra={
                "event": "workspace.removed",
                "workspace_id": workspace_id,
                "why": why.value,
                "bytes": size,
            },
        )
        return Outcome(stay=None, is_removed=True, reclaimed_bytes=size)

    async def _record_removed(
        self, workspace_id: str, facts: WorkspaceFacts | None, *, size: int | None
    ) -> None:
        now = self.context.clock()
        async with self.context.transaction() as session:
            await workspaces.set_removed(session, self.disk_id, workspace_id, size=size, now=now)
            if facts is not None:
                await workspaces.set_cleaned_up(
                    session, facts.session_id, workspace_id, disk_id=self.disk_id, is_gone=True
                )

    async def _facts(self, workspace_id: str) -> WorkspaceFacts | None:
        async with self.context.transaction() as session:
            return await read_facts(session, workspace_id, disk_id=self.disk_id)


def _is_same(stored: Bundle, examined: Bundle) -> bool:
    return (
        stored.data == examined.data
        and dict(stored.references) == dict(examined.references)
        and (stored.head_commit, stored.saved_commit, stored.base_commit, stored.branch)
        == (examined.head_commit, examined.saved_commit, examined.base_commit, examined.branch)
    )
