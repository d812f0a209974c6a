"""Shown messages and the uncertain writes to them, in memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from core.domain.drawables import (
    DrawableId,
    SlackMessage,
    SlackMessageState,
    UncertainWrite,
    UncertainWriteKind,
)


@dataclass
class FakeUncertainWriteStore:
    """What is shown, by key and slot, and what of it is uncertain."""

    shown: dict[tuple[str, str], SlackMessage] = field(default_factory=dict)
    uncertain: dict[tuple[str, str, UncertainWriteKind], UncertainWrite] = field(
        default_factory=dict
    )

    async def uncertain_writes(self, *, team_id: str) -> list[UncertainWrite]:
        return list(self.uncertain.values())

    async def mark_all_uncertain(
        self, *, team_id: str, heads: Collection[str], due_at: datetime
    ) -> None:
        for (thread_key, slot), row in self.shown.items():
            if row.state is SlackMessageState.SHOWN and not slot.startswith("file:"):
                write = UncertainWrite(
                    drawable_kind=row.drawable_kind,
                    thread_key=thread_key,
                    slot=slot,
                    kind=UncertainWriteKind.OVERWRITTEN,
                    due_at=due_at,
                )
                await self.record_uncertain_write(write)

    async def record_uncertain_write(self, write: UncertainWrite, /) -> None:
        self.uncertain[write.thread_key, write.slot, write.kind] = write

    async def resolve_uncertain_write(
        self, drawable: DrawableId, slot: str, kind: UncertainWriteKind
    ) -> None:
        self.uncertain.pop((drawable.key, slot, kind), None)
