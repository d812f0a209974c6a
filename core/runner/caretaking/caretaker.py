"""The care for the workspaces of one home: reports, clean-ups when the clock asks, and room.

Several workers can share a home: each clean-up is claimed by one of them, each workspace too.
Everything is found anew from the disk and the rows, so a clean-up that was cut short, by the end
of the worker or by the database, is simply done again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core.domain.errors import Unavailable
from core.domain.fleet.attempt import disk_id_of_node, machine_name, node_of
from core.domain.workspaces.policy import CleanUpPolicy, DiskRoom, oldest_first
from core.domain.workspaces.record import RemovalWhy, WorkspaceRow, WorkspaceState
from core.domain.workspaces.stay import Stay, StayReason
from core.runner.caretaking.facts import read_facts
from core.runner.caretaking.mirror_care import MirrorCare
from core.runner.caretaking.removal import Outcome, Removal
from core.runner.execution.ledgers.ledger import Ledger
from core.store.fleet import home_disks, workspaces
from core.workspace.cleaning.cleaner import FoundWorkspace, WorkspaceCleaner
from core.workspace.errors import NoDiskRoom

log = logging.getLogger(__name__)

# One clean-up; the next one goes on with those that were not looked at for the longest time.
PASS_LIMIT = timedelta(minutes=5)
# A run that begins waits so long for room.
ROOM_LIMIT = timedelta(minutes=2)
_PASSING = frozenset({StayReason.IN_USE, StayReason.LIVE_RUN, StayReason.WORK_PENDING})
# What keeps a workspace otherwise seldom changes, and each look asks its repository.
_LOOK_AGAIN = timedelta(hours=1)


@dataclass
class Caretaker:
    """Cares for the workspaces of the home of one worker."""

    ledger: Ledger
    cleaner: WorkspaceCleaner
    policy: CleanUpPolicy
    _sizes: dict[str, tuple[datetime, int]] = field(default_factory=dict)

    @property
    def disk_id(self) -> str:
        """The disk of the home."""
        return disk_id_of_node(node_of(self.ledger.worker_id))

    @property
    def removal(self) -> Removal:
        """Removes single workspaces."""
        return Removal(self.ledger.context, self.cleaner, self.policy, self.disk_id)

    @property
    def mirrors(self) -> MirrorCare:
        """Removes mirrors."""
        return MirrorCare(self.cleaner, self.ledger.context.clock)

    async def start(self) -> None:
        """Report what is on the disk, after finishing what an earlier worker left undone."""
        await self.cleaner.sweep()
        await self.report()

    async def act(self) -> None:
        """Do what a person or the clock asks for, if anything."""
        async with self.ledger.context.transaction() as session:
            requested = await workspaces.requested_of(session, self.disk_id)
            is_due = await home_disks.claim_pass(
                session, self.disk_id, now=self.ledger.context.clock()
            )
        for row in requested:
            await self._consider(row.workspace_id, RemovalWhy.REQUEST)
        if is_due:
            await self.clean_up()
        elif requested:
            await self.report()

    async def clean_up(self) -> None:
        """Remove what is due, or goes because room is needed; report the rest."""
        started = time.monotonic()
        await self.cleaner.sweep()
        rows, found = await self.report()
        outcomes: list[Outcome] = []
        for one in _least_recently_examined(found, rows):
            if time.monotonic() - started > PASS_LIMIT.total_seconds():
                break
            row = rows.get(one.workspace_id)
            if row is None or not self._needs_a_look(row):
                continue
            outcomes.append(await self._consider(one.workspace_id, None))
        made_room, freed = await self._make_room(PASS_LIMIT)
        if self.policy.max_age is not None:
            freed += await self.mirrors.remove_unused(
                await self.cleaner.list_all(), idle=self.policy.max_age
            )
        await self.report()
        removed = [one for one in [*outcomes, *made_room] if one.is_removed]
        async with self.ledger.context.transaction() as session:
            await home_disks.end_pass(
                session,
                self.disk_id,
                removed=len(removed),
                reclaimed_bytes=freed + sum(one.reclaimed_bytes for one in removed),
                now=self.ledger.context.clock(),
            )

    async def require_room(self, *, is_new: bool) -> None:
        """Make sure that a run can begin, by removing mirrors and workspaces if that is needed.

        Args:
            is_new: Whether the run's workspace is not on this disk yet; otherwise only the disk's
                own limit counts.

        Raises:
            NoDiskRoom: If there is still none.
        """
        room = await self._room(is_new=is_new)
        if self._missing(room, is_new=is_new) == 0:
            return
        await self._make_room(ROOM_LIMIT, is_new=is_new)
        room = await self._room(is_new=is_new)
        if self._missing(room, is_new=is_new) > 0:
            raise NoDiskRoom(self._why_no_room(room, is_new=is_new))

    async def report(self) -> tuple[Mapping[str, WorkspaceRow], list[FoundWorkspace]]:
        """Write what is on the disk; return the rows and the workspaces."""
        now = self.ledger.context.clock()
        found = await self.cleaner.list_all()
        here = {one.workspace_id for one in found}
        async with self.ledger.context.transaction() as session:
            known = await workspaces.of_disk(session, self.disk_id)
            for one in found:
                facts = await read_facts(session, one.workspace_id, disk_id=self.disk_id)
                await workspaces.report(
                    session,
                    self.disk_id,
                    one.workspace_id,
                    session_id=None if facts is None else facts.session_id,
                    repo=one.repo,
                    used_at=one.changed_at if facts is None else facts.used_at,
                    now=now,
                )
            gone = [row for name, row in known.items() if name not in here]
            await workspaces.set_missing(
                session,
                self.disk_id,
                [one.workspace_id for one in gone if one.state is WorkspaceState.PRESENT],
            )
        for row in gone:
            if row.state is WorkspaceState.REMOVING:
                await self.removal.finish(row.workspace_id, size=row.bytes)
        await self._measure(found)
        await self._report_disk()
        async with self.ledger.context.transaction() as session:
            return await workspaces.of_disk(session, self.disk_id), found

    async def _measure(self, found: list[FoundWorkspace]) -> None:
        for one in found:
            known = self._sizes.get(one.workspace_id)
            if known is not None and known[0] == one.changed_at:
                continue
            size = await self.cleaner.measure(one.workspace_id)
            self._sizes[one.workspace_id] = one.changed_at, size
            async with self.ledger.context.transaction() as session:
                await workspaces.set_bytes(session, self.disk_id, one.workspace_id, size)

    async def _report_disk(self) -> None:
        async with self.ledger.context.transaction() as session:
            rows = await workspaces.of_disk(session, self.disk_id)
        present = [row for row in rows.values() if row.state is WorkspaceState.PRESENT]
        room = await self.cleaner.room(sum(row.bytes or 0 for row in present))
        async with self.ledger.context.transaction() as session:
            await home_disks.report(
                session,
                self.disk_id,
                node=node_of(self.ledger.worker_id),
                machine=machine_name(self.ledger.host),
                room=room,
                removable_bytes=sum(row.bytes or 0 for row in present if row.is_removable),
                policy=self.policy,
                now=self.ledger.context.clock(),
            )

    async def _room(self, *, is_new: bool) -> DiskRoom:
        if self.policy.max_bytes is None or not is_new:
            return await self.cleaner.room(None)
        found = await self.cleaner.list_all()
        await self._measure(found)
        return await self.cleaner.room(sum(self._sizes[one.workspace_id][1] for one in found))

    async def _make_room(
        self, limit: timedelta, *, is_new: bool = True
    ) -> tuple[list[Outcome], int]:
        """Remove mirrors and workspaces, the longest idle first, until there is room.

        Returns:
            What became of workspaces, and the bytes that the removal of mirrors has freed.
        """
        outcomes: list[Outcome] = []
        missing = self._missing(await self._room(is_new=is_new), is_new=is_new)
        if missing == 0:
            return outcomes, 0
        started = time.monotonic()
        found = await self.cleaner.list_all()
        freed = await self.mirrors.remove_unused(found, wanted=missing)
        if freed:
            missing = self._missing(await self._room(is_new=is_new), is_new=is_new)
        async with self.ledger.context.transaction() as session:
            rows = await workspaces.of_disk(session, self.disk_id)
        used = [
            (one.workspace_id, rows[one.workspace_id].used_at)
            for one in found
            if one.workspace_id in rows
        ]
        for name in oldest_first(used):
            if missing <= 0 or time.monotonic() - started > limit.total_seconds():
                break
            outcome = await self._consider(name, RemovalWhy.ROOM)
            outcomes.append(outcome)
            if outcome.stay is None:
                missing = self._missing(await self._room(is_new=is_new), is_new=is_new)
        if missing > 0:
            # Those of the workspaces that have gone.
            left = await self.cleaner.list_all()
            freed += await self.mirrors.remove_unused(left, wanted=missing)
        return outcomes, freed

    async def _consider(self, workspace_id: str, why: RemovalWhy | None) -> Outcome:
        try:
            outcome = await self.removal.consider(workspace_id, why)
        except Unavailable:
            raise
        except Exception:
            # One workspace must not keep the others from being looked at.
            log.exception(
                "workspace %s was not examined",
                workspace_id,
                extra={"event": "workspace.examination_failed", "workspace_id": workspace_id},
            )
            outcome = Outcome(stay=Stay.of(StayReason.FAILED))
            await self.removal.record_stay(workspace_id, Stay.of(StayReason.FAILED))
        if outcome.stay is None:
            self._sizes.pop(workspace_id, None)
        return outcome

    def _needs_a_look(self, row: WorkspaceRow) -> bool:
        now = self.ledger.context.clock()
        is_passing = row.stay is None or row.stay.reason in _PASSING
        if row.state is WorkspaceState.REMOVING or is_passing:
            # A removal was cut short before the folder went, or nobody knows more yet.
            return True
        if not self.policy.may_be_due(idle=now - row.used_at):
            return False
        is_known = row.examined_at is not None and row.examined_at > row.used_at
        return not is_known or now - (row.examined_at or now) >= _LOOK_AGAIN

    def _missing(self, room: DiskRoom, *, is_new: bool) -> int:
        if is_new:
            return room.missing_bytes(self.policy)
        return max(self.policy.min_free_bytes - room.free_bytes, 0)

    def _why_no_room(self, room: DiskRoom, *, is_new: bool) -> str:
        if is_new and room.is_over_quota(self.policy):
            quota = self.policy.max_bytes or 0
            return (
                f"its workspaces and mirrors take {room.used_bytes / 1e9:,.1f} GB of the "
                f"{quota / 1e9:,.1f} GB that they may, and none of them can be removed"
            )
        return (
            f"its disk has {room.free_bytes / 1e9:,.1f} GB left, a run needs "
            f"{self.policy.min_free_bytes / 1e9:,.1f} GB, and no workspace can be removed"
        )


def _least_recently_examined(
    found: list[FoundWorkspace], rows: Mapping[str, WorkspaceRow]
) -> list[FoundWorkspace]:
    def examined(one: FoundWorkspace) -> tuple[bool, float, str]:
        row = rows.get(one.workspace_id)
        at = None if row is None else row.examined_at
        return at is not None, 0.0 if at is None else at.timestamp(), one.workspace_id

    return sorted(found, key=examined)


__all__ = ["Caretaker", "Outcome", "Stay"]
