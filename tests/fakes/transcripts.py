"""A transcript store in memory, keyed by session as the real one is."""

from __future__ import annotations

from typing import Any


class MemoryTranscripts:
    """Keeps transcripts by session and subpath; a working directory means nothing to it."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], list[Any]] = {}

    async def append(self, key: Any, entries: Any) -> None:
        """Keep entries in order, each `uuid` once."""
        stored = self.entries.setdefault(_key(key), [])
        known = {entry.get("uuid") for entry in stored} - {None}
        stored.extend(entry for entry in entries if entry.get("uuid") not in known)

    async def load(self, key: Any) -> Any:
        """All of a transcript, or nothing."""
        return self.entries.get(_key(key))

    async def list_subkeys(self, key: Any) -> Any:
        """The subagents' transcripts."""
        return [path for session, path in self.entries if session == key["session_id"] and path]


def _key(key: Any) -> tuple[str, str]:
    return key["session_id"], key.get("subpath") or ""
