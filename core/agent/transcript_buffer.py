"""A buffer for a session's transcript between the agent program and the store."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from itertools import islice, takewhile
from typing import Any
from uuid import UUID

from core.agent.protocol import TranscriptStore
from core.domain.errors import Unavailable
from core.waiting import Backoff, retry

log = logging.getLogger(__name__)

# At its exit the program writes the session's cost so far to the transcript.  A resumed program
# would count on from there, and might exceed its budget before it starts.
_COST_ENTRY_TYPE = "cost-state"
_APPEND_LIMIT = timedelta(seconds=20)
# The same as the wait for an unreachable database at a run's end; a kill ends it earlier.
LOAD_TIMEOUT = timedelta(minutes=30)
_BACKOFF = Backoff(first=timedelta(milliseconds=200), longest=timedelta(seconds=5))
_MAX_REFUSED_BATCHES = 3
# A worker that dies loses at most this much of a transcript; a tool call takes longer.
_BATCH_DELAY = timedelta(milliseconds=50)
# The delay while transactions follow each other within `_BUSY_WINDOW`, since each of them takes
# processor time from the agent.
_BUSY_BATCH_DELAY = timedelta(milliseconds=300)
_BUSY_WINDOW = timedelta(seconds=1)
# The program names a subagent's transcript `subagents/agent-<id>`, or puts it into folders in
# between (`subagents/<kind>/<id>/agent-<id>`).  The limits keep it within an index row.
_SUBPATH = re.compile(r"subagents/(?:[\w@+=-][\w@+=.-]{0,127}/){0,5}agent-[\w@+=.-]{1,128}")
# The program shortens the name of a project to 200 characters and a hash.
_MAX_PROJECT_KEY_CHARS = 400


class TranscriptBuffer:
    """A transcript store for the SDK that accepts every append and leaves out earlier costs.

    The SDK abandons an append after one second, and a conversation with a gap cannot be resumed.
    So the buffer keeps entries in order and retries until the store accepts them; `flush_all` is
    the last attempt.  Entries that arrive close together share a transaction, which costs more
    than one entry.

    Code of the repository can write to the program's output, from which the SDK takes keys and
    entries.  So entries of any other session are dropped, and so is what no transcript contains.
    """

    def __init__(
        self,
        transcripts: TranscriptStore,
        *,
        session_id: UUID,
        on_entry: Callable[[Mapping[str, Any]], None] = lambda _entry: None,
        on_main_entry: Callable[[Mapping[str, Any]], None] = lambda _entry: None,
    ) -> None:
        """Store the entries of a session.

        Args:
            transcripts: Where to store them.
            session_id: The only session whose entries are accepted.
            on_entry: Called with each accepted entry as it arrives.
            on_main_entry: The same, only with those of the main agent.
        """
        self._transcripts = transcripts
        self._session_id = str(session_id)
        self._on_entry = on_entry
        self._on_main_entry = on_main_entry
        self._has_logged_rejection = False
        self._queue: deque[tuple[Any, list[Any]]] = deque()
        self._flush_lock = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None
        self._is_unreachable = False
        self._pending_loads = 0
        self._stored_at: float | None = None
        self._lost = 0

    @property
    def lost_entries(self) -> int:
        """How many entries could not be stored; known after `flush_all`."""
        return self._lost

    @property
    def is_loading(self) -> bool:
        """Whether the SDK waits for a transcript, which takes long if the store is unreachable."""
        return self._pending_loads > 0

    async def append(self, key: Any, entries: Any) -> None:
        """Queue entries, which are stored in the background.  Never fails."""
        accepted = self._accepted(key, entries)
        if not accepted:
            return
        self._queue.append((key, accepted))
        for entry in accepted:
            self._on_entry(entry)
            if key.get("subpath") is None:
                self._on_main_entry(entry)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_loop(), name="write transcript")

    def _accepted(self, key: Any, entries: Any) -> list[Mapping[str, Any]]:
        """Return the entries that belong to the session's transcripts; others are logged once."""
        given = list(entries) if isinstance(entries, list | tuple) else []
        accepted = [entry for entry in given if isinstance(entry, Mapping)]
        if not self._is_own(key):
            accepted = []
        if len(accepted) < len(given) and not self._has_logged_rejection:
            self._has_logged_rejection = True
            log.warning(
                "dropped %d entries that are not of the transcript of session %s; "
                "further ones of this agent are dropped without a log line",
                len(given) - len(accepted),
                self._session_id,
                extra={
                    "event": "transcript_entries.rejected",
                    "session_id": self._session_id,
                    "count": len(given) - len(accepted),
                },
            )
        return accepted

    def _is_own(self, key: Any) -> bool:
        """Whether a key names the transcript of this session or of one of its subagents."""
        subpath = key.get("subpath")
        return (
            key["session_id"] == self._session_id
            and len(key["project_key"]) <= _MAX_PROJECT_KEY_CHARS
            and (subpath is None or _SUBPATH.fullmatch(subpath) is not None)
        )

    async def load(self, key: Any) -> Any:
        """Return all entries except cost records; each attempt counts its own cost.

        Raises:
            Unavailable, OSError: If the store is still unreachable after `LOAD_TIMEOUT`.
        """
        entries = await self._read_with_retries(lambda: self._transcripts.load(key))
        if entries is None:
            return None
        return [entry for entry in entries if entry.get("type") != _COST_ENTRY_TYPE]

    async def list_subkeys(self, key: Any) -> Any:
        """Return the subpaths of the subagents' transcripts.  Raises as `load` does."""
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
                    "transcript not read yet, next try follows: %s",
                    type(error).__name__,
                    extra={"event": "transcript.read_failed", "error": type(error).__name__},
                ),
            )
        finally:
            self._pending_loads -= 1

    async def flush_all(self, *, limit: timedelta, outage_limit: timedelta = timedelta(0)) -> None:
        """Store all queued entries.  Those that cannot be stored are lost, and the loss is logged.

        Args:
            limit: How long to retry while the store rejects entries.
            outage_limit: How long to retry while the store is unreachable.
        """
        try:
            await self._wait_until_stored(limit, outage_limit)
        except asyncio.CancelledError:
            # Cancelled: the process is about to exit.
            self._log_lost(sum(len(entries) for _, entries in self._queue))
            raise
        lost = 0
        # A batch that the store always rejects must not take the others with it.
        for _ in range(_MAX_REFUSED_BATCHES):
            if await self._flush():
                break
            lost += len(self._queue.popleft()[1])
        lost += sum(len(entries) for _, entries in self._queue)
        self._queue.clear()
        self._log_lost(lost)

    async def _wait_until_stored(self, limit: timedelta, outage_limit: timedelta) -> None:
        """Store queued entries until the limits are reached, then stop the writer task."""
        if self._writer is None:
            return
        began = time.monotonic()
        is_stored = await self._flush_at_once(limit)
        if not is_stored and not self._is_unreachable and not self._writer.done():
            # The writer task now stores the batches one by one.
            await asyncio.wait({self._writer}, timeout=limit.total_seconds())
        while self._queue and self._is_unreachable:
            if time.monotonic() - began >= outage_limit.total_seconds():
                break
            await asyncio.sleep(_BACKOFF.first.total_seconds())
            await self._flush_at_once(limit)
        self._writer.cancel()
        await asyncio.wait({self._writer})

    def _log_lost(self, lost: int) -> None:
        self._lost = lost
        if lost:
            log.error(
                "%d entries of a transcript are lost",
                lost,
                extra={"event": "transcript_entries.lost", "count": lost},
            )

    async def _flush_at_once(self, limit: timedelta) -> bool:
        try:
            async with asyncio.timeout(limit.total_seconds()):
                return await self._flush(merge_batches=True)
        except TimeoutError:
            return False

    async def _flush(self, *, merge_batches: bool = False) -> bool:
        """Store queued batches, oldest first; return False if the store did not accept one."""
        async with self._flush_lock:
            while self._queue:
                key, _ = self._queue[0]
                count = self._count_same_key() if merge_batches else 1
                entries = [entry for _, batch in islice(self._queue, count) for entry in batch]
                try:
                    async with asyncio.timeout(_APPEND_LIMIT.total_seconds()):
                        await self._transcripts.append(key, entries)
                except Exception as error:  # noqa: BLE001 - a store may raise anything
                    log.warning(
                        "transcript not stored yet, next try follows: %s",
                        type(error).__name__,
                        extra={"event": "transcript.write_failed", "error": type(error).__name__},
                    )
                    self._is_unreachable = isinstance(error, Unavailable | OSError)
                    return False
                self._is_unreachable = False
                self._stored_at = time.monotonic()
                for _ in range(count):
                    self._queue.popleft()
        return True

    def _count_same_key(self) -> int:
        """Count the batches at the head of the queue that belong to the same transcript."""
        key, _ = self._queue[0]
        return sum(1 for _ in takewhile(lambda batch: batch[0] == key, self._queue))

    @property
    def _batch_delay(self) -> timedelta:
        """How long to collect entries before they are stored."""
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
