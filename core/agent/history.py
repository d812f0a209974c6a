"""A session's transcript, between the agent program and the store."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from datetime import timedelta
from typing import Any

from core.agent.protocol import TranscriptStore

log = logging.getLogger(__name__)

# At its exit the program notes what the session has cost so far, and a resumed one goes on
# counting from there: the leg's budget would be spent before it began.
_COST_NOTE = "cost-state"
_APPEND_LIMIT = timedelta(seconds=20)
_FIRST_PAUSE = timedelta(milliseconds=200)
_REFUSED_BATCHES = 3
_LONGEST_PAUSE = timedelta(seconds=5)


class History:
    """The store as the SDK sees it: it never fails an append, and knows no earlier costs.

    The SDK gives an append up after a second, and a conversation with a hole in it cannot
    be resumed.  So what the store does not take now is kept here, in order, and tried
    again until it does; `settle` is the last chance.
    """

    def __init__(self, transcripts: TranscriptStore) -> None:
        self._transcripts = transcripts
        self._waiting: deque[tuple[Any, list[Any]]] = deque()
        self._turn = asyncio.Lock()
        self._retrying: asyncio.Task[None] | None = None

    async def append(self, key: Any, entries: Any) -> None:
        """Store entries, now or as soon as the store takes them."""
        self._waiting.append((key, list(entries)))
        if self._retrying is not None and not self._retrying.done():
            return
        is_stored = False
        try:
            is_stored = await self._flush()
        finally:
            if not is_stored:
                self._retrying = asyncio.create_task(self._retry(), name="retry transcript")

    async def load(self, key: Any) -> Any:
        """All entries but the notes of cost; each leg counts its own."""
        entries = await self._transcripts.load(key)
        if entries is None:
            return None
        return [entry for entry in entries if entry.get("type") != _COST_NOTE]

    async def list_subkeys(self, key: Any) -> Any:
        """The subagents' transcripts."""
        return await self._transcripts.list_subkeys(key)

    async def settle(self, *, limit: timedelta) -> None:
        """Wait until all is stored, at most `limit`; what then is not is lost, and logged."""
        if self._retrying is not None:
            await asyncio.wait({self._retrying}, timeout=limit.total_seconds())
            self._retrying.cancel()
            await asyncio.wait({self._retrying})
        lost = 0
        # One batch that the store will never take must not drag the others along.
        for _ in range(_REFUSED_BATCHES):
            if await self._flush():
                break
            lost += len(self._waiting.popleft()[1])
        lost += sum(len(entries) for _, entries in self._waiting)
        self._waiting.clear()
        if lost:
            log.error("%d entries of a transcript are lost", lost)

    async def _flush(self) -> bool:
        """Store what waits, oldest first; False if the store did not take it."""
        async with self._turn:
            while self._waiting:
                key, entries = self._waiting[0]
                try:
                    async with asyncio.timeout(_APPEND_LIMIT.total_seconds()):
                        await self._transcripts.append(key, entries)
                except Exception as error:  # noqa: BLE001 - the store's errors are its own
                    log.warning("transcript not stored, will be: %s", type(error).__name__)
                    return False
                self._waiting.popleft()
        return True

    async def _retry(self) -> None:
        pause = _FIRST_PAUSE
        while not await self._flush():
            await asyncio.sleep(pause.total_seconds())
            pause = min(2 * pause, _LONGEST_PAUSE)
