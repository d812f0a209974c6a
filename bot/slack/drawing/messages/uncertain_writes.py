"""Uncertain writes: calls without a response, which Slack may still execute late.

A post that was not found, and so was sent again, may still appear from Slack's queues.  An old
update may be executed after the newest one.  The bot can prevent neither.  So every uncertain
write is checked again after `RECHECK_AFTER`: the extra copies of a message are deleted, and a
message that may have been overwritten is updated again.

Uncertain writes are also stored in the database, so that the next drawer can take over those of
a bot that died.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.slack.ports import UncertainWriteStore
from core.domain.drawables import DrawableId, UncertainWrite, UncertainWriteKind

RECHECK_AFTER = timedelta(seconds=60)


@dataclass
class UncertainWrites:
    """The slots of drawables to check again, and when.

    Attributes:
        clock: The current time, in UTC, for the stored due times.
        now: A monotonic clock in seconds, for the due times in memory.
        after: How long after a write it is checked again.
    """

    store: UncertainWriteStore
    clock: Callable[[], datetime]
    now: Callable[[], float]
    after: timedelta = RECHECK_AFTER
    _due: dict[tuple[DrawableId, str, UncertainWriteKind], float] = field(default_factory=dict)

    async def take_over(self, *, team_id: str, heads: Mapping[str, str]) -> None:
        """Take over the uncertain writes of the previous drawer.

        Messages that it may have been changing when it ended also become uncertain.

        Args:
            team_id: The workspace.
            heads: The slot of the first message of each kind that is drawn here, by kind.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        await self.store.mark_all_uncertain(
            team_id=team_id, heads=set(heads.values()), due_at=self.clock() + self.after
        )
        for write in await self.store.uncertain_writes(team_id=team_id):
            if write.drawable_kind not in heads:
                continue
            # The clocks of machines differ: limit the wait to `after`.
            left = min(max(write.due_at - self.clock(), timedelta(0)), self.after)
            key = write.drawable, write.slot, write.kind
            self._due.setdefault(key, self.now() + left.total_seconds())

    async def add(self, drawable: DrawableId, slot: str, kind: UncertainWriteKind) -> None:
        """Record an uncertain write; adding it again postpones its check.

        Raises:
            Unavailable: If the database cannot be reached; the write is still kept in memory.
        """
        self._due[drawable, slot, kind] = self.now() + self.after.total_seconds()
        await self.store.record_uncertain_write(
            UncertainWrite(
                drawable_kind=drawable.kind,
                thread_key=drawable.key,
                slot=slot,
                kind=kind,
                due_at=self.clock() + self.after,
            )
        )

    def due_drawables(self) -> set[DrawableId]:
        """The drawables with writes that are due for a check."""
        now = self.now()
        return {drawable for (drawable, _, _), at in self._due.items() if at <= now}

    def due(self, drawable: DrawableId) -> list[tuple[str, UncertainWriteKind]]:
        """The slots and kinds of a drawable that are due; call `resolve` after the check."""
        now = self.now()
        return [
            (slot, kind)
            for (owner, slot, kind), at in self._due.items()
            if owner == drawable and at <= now
        ]

    async def resolve(self, drawable: DrawableId, slot: str, kind: UncertainWriteKind) -> None:
        """Delete an uncertain write that was checked.

        Raises:
            Unavailable: If the database cannot be reached; the write is then checked again.
        """
        await self.store.resolve_uncertain_write(drawable, slot, kind)
        self._due.pop((drawable, slot, kind), None)

    def __len__(self) -> int:
        return len(self._due)
