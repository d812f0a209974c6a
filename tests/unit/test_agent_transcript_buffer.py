import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest

from core.agent.transcript_buffer import TranscriptBuffer
from tests.fakes.transcripts import MemoryTranscripts
from tests.limits import limit

KEY = {"project_key": "p", "session_id": "s"}
LONG = timedelta(seconds=10)


class FailingTranscripts(MemoryTranscripts):
    """Fails while `is_away`, and always for entries that it cannot store."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.refuses: object = None
        self.failures = 0
        self.appends = 0

    async def append(self, key: Any, entries: Any) -> None:
        self.appends += 1
        if self.is_away or self.refuses in [entry["uuid"] for entry in entries]:
            self.failures += 1
            raise ConnectionError
        await super().append(key, entries)

    async def load(self, key: Any) -> Any:
        if self.is_away:
            self.failures += 1
            raise ConnectionError
        return await super().load(key)

    @property
    def stored(self) -> list[str]:
        return [entry["uuid"] for entry in self.entries.get(("s", ""), [])]


def entry(uuid: str) -> dict[str, str]:
    return {"type": "user", "uuid": uuid}


async def test_entries_are_reported_as_they_arrive() -> None:
    reported: list[Any] = []
    store = FailingTranscripts()
    store.is_away = True

    await TranscriptBuffer(store, on_entry=reported.append).append(KEY, [entry("a"), entry("b")])

    assert reported == [entry("a"), entry("b")]


async def test_entries_are_stored_automatically() -> None:
    store = FailingTranscripts()

    await TranscriptBuffer(store).append(KEY, [entry("a"), entry("b")])

    async with limit(5):
        while not store.stored:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
    assert store.stored == ["a", "b"]


async def test_a_transcript_is_read_as_soon_as_the_store_is_available() -> None:
    store = FailingTranscripts()
    buffer = TranscriptBuffer(store)
    await store.append(KEY, [entry("a")])
    store.is_away = True

    reading = asyncio.create_task(buffer.load(KEY))
    async with limit(5):
        while not store.failures:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
    waits = buffer.is_loading
    store.is_away = False

    assert waits
    assert await reading == [entry("a")]
    assert not buffer.is_loading


async def test_concurrent_entries_are_stored_together_and_in_order() -> None:
    store = FailingTranscripts()
    buffer = TranscriptBuffer(store)

    for uuid in "abc":
        await buffer.append(KEY, [entry(uuid)])
    await buffer.append(KEY | {"subpath": "subagents/x"}, [entry("x")])
    await buffer.append(KEY, [entry("d")])
    await buffer.flush_all(limit=LONG)

    assert store.stored == ["a", "b", "c", "d"]
    assert store.appends == 3


async def test_an_outage_loses_nothing_and_keeps_the_order() -> None:
    store = FailingTranscripts()
    buffer = TranscriptBuffer(store)
    await buffer.append(KEY, [entry("a")])
    await buffer.flush_all(limit=LONG)
    store.is_away = True
    await buffer.append(KEY, [entry("b")])
    await buffer.append(KEY, [entry("c")])
    async with limit(5):
        while store.failures < 2:  # noqa: ASYNC110 - it retries automatically
            await asyncio.sleep(0.01)
    assert store.stored == ["a"]

    store.is_away = False
    await buffer.append(KEY, [entry("d")])
    await buffer.flush_all(limit=LONG)

    assert store.stored == ["a", "b", "c", "d"]


async def test_an_entry_that_cannot_be_stored_does_not_block_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = FailingTranscripts()
    store.refuses = "b"
    buffer = TranscriptBuffer(store)

    for uuid in "abc":
        await buffer.append(KEY, [entry(uuid)])
    await buffer.flush_all(limit=timedelta(seconds=0.1))

    assert store.stored == ["a", "c"]
    assert ("1 entries of a transcript are lost") in caplog.text


async def test_an_unreachable_store_is_given_up_with_a_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = FailingTranscripts()
    store.is_away = True
    buffer = TranscriptBuffer(store)
    for number in range(10):
        await buffer.append(KEY, [entry(str(number))])

    with caplog.at_level(logging.ERROR):
        await buffer.flush_all(limit=timedelta(seconds=0.1))

    assert "10 entries of a transcript are lost" in caplog.text


async def test_consecutive_lines_are_batched_for_longer() -> None:
    store = FailingTranscripts()
    buffer = TranscriptBuffer(store)
    at_first = buffer._batch_delay

    await buffer.append(KEY, [entry("a")])
    async with limit(5):
        while not store.entries:  # noqa: ASYNC110 - it is stored automatically
            await asyncio.sleep(0.01)

    assert buffer._batch_delay > at_first


async def test_a_store_that_recovers_late_gets_everything() -> None:
    store = FailingTranscripts()
    store.is_away = True
    buffer = TranscriptBuffer(store)
    for uuid in "abc":
        await buffer.append(KEY, [entry(uuid)])

    settling = asyncio.create_task(
        buffer.flush_all(limit=timedelta(seconds=0.05), outage_limit=LONG)
    )
    async with limit(5):
        while store.failures < 3:  # noqa: ASYNC110 - it retries automatically
            await asyncio.sleep(0.01)
    assert not settling.done()
    store.is_away = False
    await settling

    assert store.stored == ["a", "b", "c"]


async def test_settling_returns_at_once_when_everything_is_stored() -> None:
    store = FailingTranscripts()
    buffer = TranscriptBuffer(store)
    await buffer.append(KEY, [entry("a")])

    async with asyncio.timeout(1):
        await buffer.flush_all(limit=LONG)

    assert store.stored == ["a"]
    assert not store.failures


async def test_a_resumed_run_does_not_know_the_cost_of_earlier_ones() -> None:
    store = FailingTranscripts()
    buffer = TranscriptBuffer(store)
    await buffer.append(KEY, [entry("a"), {"type": "cost-state", "uuid": "c"}, entry("b")])

    await buffer.flush_all(limit=LONG)

    assert [one["uuid"] for one in await buffer.load(KEY)] == ["a", "b"]
    assert store.stored == ["a", "c", "b"]
    assert await buffer.load({"session_id": "unknown"}) is None


async def test_subagents_transcripts_are_listed() -> None:
    buffer = TranscriptBuffer(FailingTranscripts())
    await buffer.append(KEY | {"subpath": "subagents/x"}, [entry("a")])
    await buffer.flush_all(limit=LONG)

    assert await buffer.list_subkeys(KEY) == ["subagents/x"]


async def test_pending_entries_are_stored_although_their_write_was_cancelled() -> None:
    store = FailingTranscripts()
    store.is_away = True
    buffer = TranscriptBuffer(store)
    await buffer.append(KEY, [entry("a")])
    # As at the end of a process, which cancels every task.
    (writing,) = [task for task in asyncio.all_tasks() if task.get_name() == "write transcript"]
    writing.cancel()

    settling = asyncio.create_task(
        buffer.flush_all(limit=timedelta(seconds=0.05), outage_limit=LONG)
    )
    async with limit(5):
        while store.failures < 2:  # noqa: ASYNC110 - it retries
            await asyncio.sleep(0.01)
    store.is_away = False
    await settling

    assert store.stored == ["a"]


async def test_entries_lost_at_the_end_of_the_process_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = FailingTranscripts()
    store.is_away = True
    buffer = TranscriptBuffer(store)
    await buffer.append(KEY, [entry("a"), entry("b")])
    settling = asyncio.create_task(
        buffer.flush_all(limit=timedelta(seconds=0.05), outage_limit=LONG)
    )
    async with limit(5):
        while store.failures < 2:  # noqa: ASYNC110 - it retries
            await asyncio.sleep(0.01)

    with caplog.at_level(logging.ERROR):
        settling.cancel()
        await asyncio.wait({settling})

    assert settling.cancelled()
    assert "2 entries of a transcript are lost" in caplog.text
