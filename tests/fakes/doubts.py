"""What is kept of messages that Slack may change late, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from core.domain.runs.snapshot import Doubt, Doubted, Shown, ShownState


@dataclass
class KeptDoubts:
    """What is shown, and the doubts about it."""

    shown: dict[tuple[str, str], Shown] = field(default_factory=dict)
    doubted: dict[tuple[str, str, Doubt], Doubted] = field(default_factory=dict)

    async def doubts(self, *, team_id: str) -> list[Doubted]:
        return list(self.doubted.values())

    async def doubt_all(self, *, team_id: str, due_at: datetime) -> None:
        for (thread_key, slot), row in self.shown.items():
            if row.state is ShownState.SHOWN and not slot.startswith("file:"):
                about = Doubted(
                    thread_key=thread_key, slot=slot, doubt=Doubt.OVERWRITTEN, due_at=due_at
                )
                await self.note_doubt(about)

    async def note_doubt(self, doubted: Doubted, /) -> None:
        self.doubted[doubted.thread_key, doubted.slot, doubted.doubt] = doubted

    async def settle_doubt(self, thread_key: str, slot: str, doubt: Doubt) -> None:
        self.doubted.pop((thread_key, slot, doubt), None)
