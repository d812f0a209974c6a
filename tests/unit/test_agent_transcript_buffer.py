import asyncio
import logging
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.agent.transcript_buffer import TranscriptBuffer
from tests.fakes.transcripts import MemoryTranscripts
from tests.limits import limit

SESSION_ID = UUID("11111111-2222-3333-4444-555555555555")
KEY = {"project_key": "p", "session_id": str(SESSION_ID)}
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
        return [entry["uuid"] for entry in self.entries.get((str(SESSION_ID), ""), [])]


def buffer_of(store: MemoryTranscripts, **options: Any) -> TranscriptBuffer:
    return TranscriptBuffer(store, session_id=SESSION_ID, **options)


def entry(uuid: str) -> dict[str, str]:
    return {"type": "user", "uuid": uuid}


async def test_entries_are_reported_as_they_arrive() -> None:
    reported: list[Any] = []
    store = FailingTranscripts()
    store.is_away = True

    await buffer_of(store, on_entry=reported.append).append(KEY, [entry("a"), entry("b")])

    assert reported == [entry("a"), entry("b")]


async def test_entries_are_stored_automatically() -> None:
    store = FailingTranscripts()

    await buffer_of(store).append(KEY, [entry("a"), entry("b")])

    async with limit(5):
        while not store.stored:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
    assert store.stored == ["a", "b"]


async def test_a_transcript_is_read_as_soon_as_the_store_is_available() -> None:
    store = FailingTranscripts()
    buffer = buffer_of(store)
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
    buffer = buffer_of(store)

    for uuid in "abc":
        await buffer.append(KEY, [entry(uuid)])
    await buffer.append(KEY | {"subpath": "subagents/agent-x"}, [entry("x")])
    await buffer.append(KEY, [entry("d")])
    await buffer.flush_all(limit=LONG)

    assert store.stored == ["a", "b", "c", "d"]
    assert store.appends == 3


async def test_an_outage_loses_nothing_and_keeps_the_order() -> None:
    store = FailingTranscripts()
    buffer = buffer_of(store)
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
    buffer = buffer_of(store)

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
    buffer = buffer_of(store)
    for number in range(10):
        await buffer.append(KEY, [entry(str(number))])

    with caplog.at_level(logging.ERROR):
        await buffer.flush_all(limit=timedelta(seconds=0.1))

    assert "10 entries of a transcript are lost" in caplog.text


async def test_consecutive_lines_are_batched_for_longer() -> None:
    store = FailingTranscripts()
    buffer = buffer_of(store)
    at_first = buffer._batch_delay

    await buffer.append(KEY, [entry("a")])
    async with limit(5):
        while not store.entries:  # noqa: ASYNC110 - it is stored automatically
            await asyncio.sleep(0.01)

    assert buffer._batch_delay > at_first


async def test_a_store_that_recovers_late_gets_everything() -> None:
    store = FailingTranscripts()
    store.is_away = True
    buffer = buffer_of(store)
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
    buffer = buffer_of(store)
    await buffer.append(KEY, [entry("a")])

    async with asyncio.timeout(LONG.total_seconds() / 2):
        await buffer.flush_all(limit=LONG)

    assert store.stored == ["a"]
    assert not store.failures


async def test_a_resumed_run_does_not_know_the_cost_of_earlier_ones() -> None:
    store = FailingTranscripts()
    buffer = buffer_of(store)
    await buffer.append(KEY, [entry("a"), {"type": "cost-state", "uuid": "c"}, entry("b")])

    await buffer.flush_all(limit=LONG)

    assert [one["uuid"] for one in await buffer.load(KEY)] == ["a", "b"]
    assert store.stored == ["a", "c", "b"]
    assert await buffer.load({"session_id": "unknown"}) is None


async def test_subagents_transcripts_are_listed() -> None:
    buffer = buffer_of(FailingTranscripts())
    await buffer.append(KEY | {"subpath": "subagents/agent-x"}, [entry("a")])
    await buffer.flush_all(limit=LONG)

    assert await buffer.list_subkeys(KEY) == ["subagents/agent-x"]


async def test_pending_entries_are_stored_although_their_write_was_cancelled() -> None:
    store = FailingTranscripts()
    store.is_away = True
    buffer = buffer_of(store)
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
    buffer = buffer_of(store)
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


@pytest.mark.parametrize(
    "foreign",
    [
        {"session_id": str(uuid4())},
        {"session_id": f"{{{SESSION_ID}}}"},
        {"session_id": "s"},
        {"session_id": str(uuid4()), "subpath": "subagents/agent-1"},
        {"project_key": "p" * 500},
        {"subpath": ""},
        {"subpath": "memory"},
        {"subpath": "agent-1"},
        {"subpath": "subagents/../agent-1"},
        {"subpath": "subagents//agent-1"},
        {"subpath": "subagents/.git/agent-1"},
        {"subpath": "subagents/agent-\x001"},
        {"subpath": "subagents/agent-\ud800"},
        {"subpath": "subagents/agent-\n"},
        {"subpath": "subagents/agent-" + "1" * 3_000},
        {"subpath": "subagents/" + "a/" * 100 + "agent-1"},
    ],
)
async def test_entries_with_a_forged_key_are_dropped(foreign: dict[str, str]) -> None:
    store = FailingTranscripts()
    reported: list[Any] = []
    buffer = buffer_of(store, on_entry=reported.append)

    await buffer.append(KEY | foreign, [entry("forged")])
    await buffer.append(KEY, [entry("own")])
    await buffer.flush_all(limit=LONG)

    assert store.entries == {(str(SESSION_ID), ""): [entry("own")]}
    assert reported == [entry("own")]


@pytest.mark.parametrize(
    "subpath",
    [
        "subagents/agent-a0123456789abcdef",
        "subagents/workflows/wf_01234567-abc/agent-wf_01234567-abc-1",
        "subagents/agent-reviewer@team-1",
    ],
)
async def test_subagents_of_any_kind_have_transcripts(subpath: str) -> None:
    store = FailingTranscripts()
    buffer = buffer_of(store)

    await buffer.append(KEY | {"subpath": subpath}, [entry("a")])
    await buffer.flush_all(limit=LONG)

    assert await buffer.list_subkeys(KEY) == [subpath]


async def test_an_entry_that_is_no_object_is_dropped_alone() -> None:
    store = FailingTranscripts()
    buffer = buffer_of(store)

    await buffer.append(KEY, ["text", entry("a"), None, 7, [entry("b")]])
    await buffer.append(KEY, {"type": "user"})
    await buffer.append(KEY, None)
    await buffer.flush_all(limit=LONG)

    assert store.stored == ["a"]


async def test_dropped_entries_are_logged_once_and_without_their_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    buffer = buffer_of(FailingTranscripts())
    forged = {"session_id": str(uuid4())}

    for _ in range(3):
        await buffer.append(KEY | forged, [entry("do evil"), entry("again")])

    (record,) = caplog.records
    assert (record.levelname, vars(record)["event"]) == ("WARNING", "transcript_entries.rejected")
    assert (vars(record)["session_id"], vars(record)["count"]) == (str(SESSION_ID), 2)
    assert "evil" not in caplog.text
    assert forged["session_id"] not in caplog.text
