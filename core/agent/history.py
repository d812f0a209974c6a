"""A session's transcript as the agent program gets it."""

from __future__ import annotations

from typing import Any

from core.agent.protocol import TranscriptStore

# At its exit the program notes what the session has cost so far, and a resumed one goes on
# counting from there: the leg's budget would be spent before it began.
_COST_NOTE = "cost-state"


class History:
    """The store behind it, without the earlier legs' costs: each leg counts its own."""

    def __init__(self, transcripts: TranscriptStore) -> None:
        self._transcripts = transcripts

    async def append(self, key: Any, entries: Any) -> None:
        """Keep everything."""
        await self._transcripts.append(key, entries)

    async def load(self, key: Any) -> Any:
        """All entries but the notes of cost."""
        entries = await self._transcripts.load(key)
        if entries is None:
            return None
        return [entry for entry in entries if entry.get("type") != _COST_NOTE]

    async def list_subkeys(self, key: Any) -> Any:
        """The subagents' transcripts."""
        return await self._transcripts.list_subkeys(key)
