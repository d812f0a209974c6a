"""A watcher of a run, whatever the order of writing, reading and taking: each event, once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.errors import Unavailable
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run, RunStatus, StopReason
from core.services.runs.status import StatusReport
from core.services.runs.watching.watched_run import MAX_RECENT, WatchedRun
from core.services.runs.watching.watcher import PAGE, News, Watcher
from tests.unit.view_helpers import make_run

AT = datetime(2026, 11, 21, tzinfo=UTC)
# Ids are of all runs together, so those of one have gaps.
GAP = 3


def rows_of(count: int, *, begin: int = 0) -> list[EventRecord]:
    """Rows of `run_events`."""
    return [
        EventRecord(kind=EventKind.AGENT_TEXT, at=AT, id=(begin + number) * GAP + 1)
        for number in range(count)
    ]


def watcher_of(watched: WatchedRun, rows: Sequence[EventRecord], after_id: int = 0) -> Watcher:
    async def read(_: Run, after: int, limit: int) -> Sequence[EventRecord]:
        return [row for row in rows if row.id > after][:limit]

    return Watcher(watched=watched, read_events=read, after_id=after_id)


async def take_all(watcher: Watcher) -> list[News]:
    found = []
    while (news := await watcher.take()) is not None:
        found.append(news)
        if news.is_over:
            break
    return found


def refresh(watched: WatchedRun, rows: Sequence[EventRecord], run: Run) -> None:
    """Read the rows as the service does."""
    while True:
        found = [row for row in rows if row.id > (watched.head or 0)][:MAX_RECENT]
        watched.add(run, found)
        if len(found) < MAX_RECENT:
            return


@given(
    before=st.integers(0, 2 * MAX_RECENT),
    known=st.integers(0, 2 * MAX_RECENT),
    steps=st.lists(st.one_of(st.integers(1, 2 * MAX_RECENT), st.sampled_from(["read", "take"]))),
)
def test_each_event_is_taken_once_and_in_order(
    before: int, known: int, steps: list[int | str]
) -> None:
    rows = rows_of(before)
    known = min(known, before)
    run = make_run()
    watched = WatchedRun(run=run)
    watched.begin(run, rows[-1].id if rows else 0)
    watcher = watcher_of(watched, rows, rows[known - 1].id if known else 0)

    async def play() -> list[EventRecord]:
        taken: list[EventRecord] = []
        for step in steps:
            if isinstance(step, int):
                rows.extend(rows_of(step, begin=len(rows)))
            elif step == "read":
                refresh(watched, rows, run)
            elif (news := await watcher.take()) is not None:
                assert len(news.events) <= PAGE
                taken += news.events
            assert len(watched.recent) <= MAX_RECENT
        refresh(watched, rows, run)
        for news in await take_all(watcher):
            taken += news.events
        return taken

    assert asyncio.run(play()) == rows[known:]


@pytest.mark.parametrize("is_pending", [False, True])
async def test_the_last_status_comes_after_the_last_event_and_before_the_end(
    is_pending: bool,
) -> None:
    run = make_run(status=RunStatus.RUNNING, version=3)
    rows = rows_of(1)
    watched = WatchedRun(run=run, report=StatusReport(run=run))
    watched.begin(run, rows[0].id)
    watcher = watcher_of(watched, rows)
    first = await take_all(watcher)
    rows += rows_of(1, begin=1)
    ended = replace(
        run,
        status=RunStatus.COMPLETED,
        stop_reason=StopReason.SUCCESS,
        version=4,
        work_due_at=AT + timedelta(minutes=4) if is_pending else None,
    )
    refresh(watched, rows, ended)
    unreported = await take_all(watcher)
    watched.report = StatusReport(run=ended)
    last = await take_all(watcher)

    assert [bool(news.report) for news in first] == [True, False]
    assert [news.events for news in unreported] == [rows[1:]]
    assert [news.report for news in last if news.report] == [watched.report]
    assert [news.is_over for news in last] == ([False] if is_pending else [False, True])


async def test_an_outage_is_no_news_and_wakes_the_watcher_later() -> None:
    run = make_run()
    watched = WatchedRun(run=run)
    watched.begin(run, 10)

    async def read(_: Run, _after: int, _limit: int) -> Sequence[EventRecord]:
        raise Unavailable("away", user_message="The database does not answer.")

    watcher = Watcher(watched=watched, read_events=read, after_id=0)

    assert await watcher.take() is None
    assert not await watcher.wait(0)
    assert await watcher.wait(30)


async def test_a_defect_is_raised_in_each_watcher() -> None:
    run = make_run()
    watched = WatchedRun(run=run)
    watchers = [watcher_of(watched, []) for _ in range(2)]
    watched.watchers = {one.woken for one in watchers}
    watched.fail(ValueError("broken"))

    for watcher in watchers:
        assert await watcher.wait(0.1)
        with pytest.raises(ValueError, match="broken"):
            await watcher.take()
