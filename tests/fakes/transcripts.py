"""A transcript store in memory, keyed by session like the real one."""

from __future__ import annotations

from typing import Any


class MemoryTranscripts:
    """Stores transcripts by session and subpath; the working directory does not matter."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], list[Any]] = {}

    async def append(self, key: Any, entries: Any) -> None:
        """Store entries in order, each `uuid` once."""
        stored = self.entries.setdefault(_key(key), [])
        known = {entry.get("uuid") for entry in stored} - {None}
        stored.extend(entry for entry in entries if entry.get("uuid") not in known)

    async def load(self, key: Any) -> Any:
        """All entries of a transcript, or None."""
        return self.entries.get(_key(key))

    async def list_subkeys(self, key: Any) -> Any:
        """The subagents' transcripts."""
        return [path for session, path in self.entries if session == key["session_id"] and path]


def _key(key: Any) -> tuple[str, str]:
    return key["session_id"], key.get("subpath") or ""
