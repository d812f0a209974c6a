"""A session's transcript, between the agent program and the store."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import islice, takewhile
from typing import Any

from core.agent.protocol import TranscriptStore
from core.domain.errors import Unavailable
from core.waiting import Backoff, retry

log = logging.getLogger(__name__)

# At its exit the program notes what the session has cost so far, and a resumed one goes on
# counting from there: the leg's budget would be spent before it began.
_COST_ENTRY_TYPE = "cost-state"
_APPEND_LIMIT = timedelta(seconds=20)
# As long as a run's end waits for a database that is away; a run is called off sooner.
LOAD_TIMEOUT = timedelta(minutes=30)
_BACKOFF = Backoff(first=timedelta(milliseconds=200), longest=timedelta(seconds=5))
_MAX_REFUSED_BATCHES = 3
# What a worker that dies loses at most of a transcript; the agent's tools take longer.
_BATCH_DELAY = timedelta(milliseconds=50)
# While they follow each other within less than a second: a transaction takes time from the agent.
_BUSY_BATCH_DELAY = timedelta(milliseconds=150)
_BUSY_WINDOW = timedelta(seconds=1)


class TranscriptBuffer:
    """The store as the SDK sees it: it never fails an append, and knows no earlier costs.

    The SDK gives an append up after a second, and a conversation with a hole in it cannot
    be resumed.  So what the store does not take now is kept here, in order, and tried
    again until it does; `settle` is the last chance.  Entries of one moment are stored
    together: the program writes them one by one, and a transaction costs more than a line.
    """

    def __init__(
        self, transcripts: TranscriptStore, *, on_entry: Callable[[Any], None] = lambda _entry: None
    ) -> None:
        """Keep entries in `transcripts`; `heard` is told each one as it comes."""
        self._transcripts = transcripts
        self._on_entry = on_entry
        self._queue: deque[tuple[Any, list[Any]]] = deque()
        self._flush_lock = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None
        self._is_unreachable = False
        self._pending_loads = 0
        self._stored_at: float | None = None

    @property
    def is_loading(self) -> bool:
        """Whether the SDK waits for a transcript, for which a store that is away is waited for."""
        return self._pending_loads > 0

    async def append(self, key: Any, entries: Any) -> None:
        """Take entries, to be stored within a moment or as soon as the store takes them."""
        self._queue.append((key, list(entries)))
        for entry in entries:
            self._on_entry(entry)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_loop(), name="write transcript")

    async def load(self, key: Any) -> Any:
        """All entries but the notes of cost; each leg counts its own."""
        entries = await self._read_with_retries(lambda: self._transcripts.load(key))
        if entries is None:
            return None
        return [entry for entry in entries if entry.get("type") != _COST_ENTRY_TYPE]

    async def list_subkeys(self, key: Any) -> Any:
        """The subagents' transcripts."""
        return await self._read_with_retries(lambda: self._transcripts.list_subkeys(key))

    async def _read_with_retries(self, read: Callable[[], Awaitable[Any]]) -> Any:
        """Ask the store until it answers: a run must not fail because it began in an outage."""
        self._pending_loads += 1
        try:
            return await retry(
                read,
                on=(Unavailable, OSError),
                backoff=_BACKOFF,
                patience=LOAD_TIMEOUT,
                on_failure=lambda error, _: log.warning(
                    "transcript not read, will be: %s", type(error).__name__
                ),
            )
        finally:
            self._pending_loads -= 1

    async def flush_all(self, *, limit: timedelta, outage_limit: timedelta = timedelta(0)) -> None:
        """Store all that waits; what then is not stored is lost, and logged.

        Args:
            limit: For a store that does not take something.
            outage_limit: For a store that is away: what it will take is worth a longer wait.
        """
        try:
            await self._wait_until_stored(limit, outage_limit)
        except asyncio.CancelledError:
            # The whole process has to end now.
            self._log_lost(sum(len(entries) for _, entries in self._queue))
            raise
        lost = 0
        # One batch that the store will never take must not drag the others along.
        for _ in range(_MAX_REFUSED_BATCHES):
            if await self._flush():
                break
            lost += len(self._queue.popleft()[1])
        lost += sum(len(entries) for _, entries in self._queue)
        self._queue.clear()
        self._log_lost(lost)

    async def _wait_until_stored(self, limit: timedelta, outage_limit: timedelta) -> None:
        """Store what waits as long as there is hope for it; then writing is over."""
        if self._writer is None:
            return
        began = time.monotonic()
        is_stored = await self._flush_at_once(limit)
        if not is_stored and not self._is_unreachable and not self._writer.done():
            # It tries them one by one.
            await asyncio.wait({self._writer}, timeout=limit.total_seconds())
        while self._queue and self._is_unreachable:
            if time.monotonic() - began >= outage_limit.total_seconds():
                break
            await asyncio.sleep(_BACKOFF.first.total_seconds())
            await self._flush_at_once(limit)
        self._writer.cancel()
        await asyncio.wait({self._writer})

    @staticmethod
    def _log_lost(lost: int) -> None:
        if lost:
            log.error("%d entries of a transcript are lost", lost)

    async def _flush_at_once(self, limit: timedelta) -> bool:
        try:
            async with asyncio.timeout(limit.total_seconds()):
                return await self._flush(merge_batches=True)
        except TimeoutError:
            return False

    async def _flush(self, *, merge_batches: bool = False) -> bool:
        """Store what waits, oldest first; False if the store did not take it."""
        async with self._flush_lock:
            while self._queue:
                key, _ = self._queue[0]
                count = self._count_same_key() if merge_batches else 1
                entries = [entry for _, batch in islice(self._queue, count) for entry in batch]
                try:
                    async with asyncio.timeout(_APPEND_LIMIT.total_seconds()):
                        await self._transcripts.append(key, entries)
                except Exception as error:  # noqa: BLE001 - the store's errors are its own
                    log.warning("transcript not stored, will be: %s", type(error).__name__)
                    self._is_unreachable = isinstance(error, Unavailable | OSError)
                    return False
                self._is_unreachable = False
                self._stored_at = time.monotonic()
                for _ in range(count):
                    self._queue.popleft()
        return True

    def _count_same_key(self) -> int:
        """How many of the oldest batches belong together."""
        key, _ = self._queue[0]
        return sum(1 for _ in takewhile(lambda batch: batch[0] == key, self._queue))

    @property
    def _batch_delay(self) -> timedelta:
        """How long to wait for more before what waits is stored."""
        since = None if self._stored_at is None else time.monotonic() - self._stored_at
        is_busy = since is not None and since < _BUSY_WINDOW.total_seconds()
        return _BUSY_BATCH_DELAY if is_busy else _BATCH_DELAY

    async def _write_loop(self) -> None:
        pauses = _BACKOFF.pauses()
        while self._queue:
            await asyncio.sleep(self._batch_delay.total_seconds())
            if await self._flush(merge_batches=True):
                pauses = _BACKOFF.pauses()
                continue
            # One by one from here: it may be one of them that the store will never take.
            for pause in pauses:
                if await self._flush():
                    break
                await asyncio.sleep(pause)
