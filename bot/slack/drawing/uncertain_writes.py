"""Calls that Slack may still carry out late, though their answers never came.

A post that could not be found, and so was sent again, may come out of Slack's queues after
all; an old update may come after the last one.  Neither can be prevented from here.  So what
was uncertain is checked once more when Slack has had its time: a message that is there twice
is deleted once, and one that was updated is updated again.

Uncertain writes are kept in the database too: the next drawer takes over those of a bot that
died.
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
    """Slots of drawables to be checked again, and when.

    Attributes:
        clock: The time of the day, by which they are kept.
        now: A monotonic clock in seconds.
    """

    store: UncertainWriteStore
    clock: Callable[[], datetime]
    now: Callable[[], float]
    after: timedelta = RECHECK_AFTER
    _due: dict[tuple[DrawableId, str, UncertainWriteKind], float] = field(default_factory=dict)

    async def take_over(self, *, team_id: str, heads: Mapping[str, str]) -> None:
        """Remember what the drawer before was uncertain about, or was just changing.

        Args:
            team_id: The workspace.
            heads: The slot of the first message of each kind that is drawn here.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        await self.store.mark_all_uncertain(
            team_id=team_id, heads=set(heads.values()), due_at=self.clock() + self.after
        )
        for write in await self.store.uncertain_writes(team_id=team_id):
            if write.drawable_kind not in heads:
                continue
            # Machines' clocks differ; none of them makes this last longer than it does.
            left = min(max(write.due_at - self.clock(), timedelta(0)), self.after)
            key = write.drawable, write.slot, write.kind
            self._due.setdefault(key, self.now() + left.total_seconds())

    async def add(self, drawable: DrawableId, slot: str, kind: UncertainWriteKind) -> None:
        """Remember to check a message once more; added again it is due later.

        Raises:
            Unavailable: If the database cannot be reached; it is remembered here all the same.
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
        """Drawables of which something is to be checked now."""
        now = self.now()
        return {drawable for (drawable, _, _), at in self._due.items() if at <= now}

    def due(self, drawable: DrawableId) -> list[tuple[str, UncertainWriteKind]]:
        """What is to be checked of a drawable now; `resolve` says that it was."""
        now = self.now()
        return [
            (slot, kind)
            for (owner, slot, kind), at in self._due.items()
            if owner == drawable and at <= now
        ]

    async def resolve(self, drawable: DrawableId, slot: str, kind: UncertainWriteKind) -> None:
        """Forget an uncertain write that was checked.

        Raises:
            Unavailable: If the database cannot be reached; it is checked again then.
        """
        await self.store.resolve_uncertain_write(drawable, slot, kind)
        self._due.pop((drawable, slot, kind), None)

    def __len__(self) -> int:
        return len(self._due)
