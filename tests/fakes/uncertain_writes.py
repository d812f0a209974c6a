"""Shown messages and the uncertain writes to them, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from core.domain.runs.snapshot import (
    SlackMessage,
    SlackMessageState,
    UncertainWrite,
    UncertainWriteKind,
)


@dataclass
class FakeUncertainWriteStore:
    """The shown messages, and the uncertain writes to them."""

    shown: dict[tuple[str, str], SlackMessage] = field(default_factory=dict)
    uncertain: dict[tuple[str, str, UncertainWriteKind], UncertainWrite] = field(
        default_factory=dict
    )

    async def uncertain_writes(self, *, team_id: str) -> list[UncertainWrite]:
        return list(self.uncertain.values())

    async def mark_all_uncertain(self, *, team_id: str, due_at: datetime) -> None:
        for (thread_key, slot), row in self.shown.items():
            if row.state is SlackMessageState.SHOWN and not slot.startswith("file:"):
                write = UncertainWrite(
                    thread_key=thread_key,
                    slot=slot,
                    kind=UncertainWriteKind.OVERWRITTEN,
                    due_at=due_at,
                )
                await self.record_uncertain_write(write)

    async def record_uncertain_write(self, uncertain: UncertainWrite, /) -> None:
        self.uncertain[uncertain.thread_key, uncertain.slot, uncertain.kind] = uncertain

    async def resolve_uncertain_write(
        self, thread_key: str, slot: str, kind: UncertainWriteKind
    ) -> None:
        self.uncertain.pop((thread_key, slot, kind), None)
