"""Logs in chunks, filtered and searched, compared with what a reader of all events finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from core.domain.actor import SYSTEM
from core.domain.runs.errors import RunNotFound
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.log_view import CHUNK_LINES, LogFilter, LogLine
from core.domain.runs.run import Run
from core.services.context import ServiceContext
from core.services.runs.logs.service import RunLogService
from core.store import events
from core.store.database.engine import Database
from tests.database import NOW, running_run


def record(number: int) -> EventRecord:
    """Kinds in turn; each tenth tool fails."""
    kinds: Sequence[tuple[EventKind, dict[str, Any]]] = (
        (EventKind.AGENT_TEXT, {"text": f"Look at {number}"}),
        (EventKind.TOOL_STARTED, {"name": "Bash", "summary": f"ls {number}"}),
        (EventKind.TOOL_FINISHED, {"error": number % 10 == 2, "output": f"Äpfel {number}"}),
        (EventKind.MESSAGE_CONSUMED, {"uuid": str(number)}),
    )
    kind, data = kinds[number % len(kinds)]
    return EventRecord(kind=kind, at=NOW, data=data)


@pytest.fixture
async def run(database: Database) -> Run:
    return await running_run(database)


@pytest.fixture
def logs(database: Database) -> RunLogService:
    return RunLogService(ServiceContext(database, lambda: NOW))


async def add(database: Database, run: Run, numbers: range) -> None:
    async with database.sessions.begin() as session:
        await events.append(session, run.id, 1, [record(number) for number in numbers])


async def all_lines(logs: RunLogService, run: Run, view: LogFilter) -> list[LogLine]:
    _, size = await logs.size(run.run_id, view, by=SYSTEM)
    found: list[LogLine] = []
    for number in range(size.shown // CHUNK_LINES + 2):
        _, chunk = await logs.chunk(run.run_id, view, number, by=SYSTEM)
        assert chunk.is_complete == ((number + 1) * CHUNK_LINES <= size.shown)
        found += chunk.lines
    assert len(found) == size.shown
    return found


_MEANT: Mapping[LogFilter, Callable[[int], bool]] = {
    LogFilter.ALL: lambda n: True,
    LogFilter.FAILED: lambda n: n % 4 == 2 and n % 10 == 2,
    LogFilter.TOOLS: lambda n: n % 4 in (1, 2),
    LogFilter.AGENT: lambda n: n % 4 == 0,
    LogFilter.PEOPLE: lambda n: n % 4 == 3,
}


@pytest.mark.parametrize("view", LogFilter)
async def test_a_view_has_its_lines_with_their_numbers_also_after_it_grew(
    database: Database, run: Run, logs: RunLogService, view: LogFilter
) -> None:
    other = await running_run(database)
    seen = 0
    for end in (0, 1, CHUNK_LINES, CHUNK_LINES + 1, 1000, 1203):
        await add(database, run, range(seen, end))
        await add(database, other, range(3))
        seen = end

        lines = await all_lines(logs, run, view)

        assert [one.number for one in lines] == [n + 1 for n in range(end) if _MEANT[view](n)]
        assert [one.event.data for one in lines] == [record(one.number - 1).data for one in lines]


async def test_a_new_reader_finds_the_same(
    database: Database, run: Run, logs: RunLogService
) -> None:
    await add(database, run, range(950))
    await all_lines(logs, run, LogFilter.TOOLS)
    await add(database, run, range(950, 2000))

    grown = await all_lines(logs, run, LogFilter.TOOLS)

    fresh = RunLogService(logs.context)
    assert await all_lines(fresh, run, LogFilter.TOOLS) == grown


@pytest.mark.parametrize(
    ("text", "view", "places"),
    [
        ("look at 12", LogFilter.ALL, [13, *range(121, 130, 4)]),
        ("LOOK AT 12", LogFilter.AGENT, [4, 31, 32, 33]),
        ("äpfel 2", LogFilter.TOOLS, [2]),
        ("ÄPFEL 2", LogFilter.TOOLS, [2]),
        ("bash ls 9", LogFilter.TOOLS, [5]),
        ("100%", LogFilter.ALL, []),
        ("_", LogFilter.AGENT, []),
        ("\\", LogFilter.ALL, []),
        ("'; DROP TABLE run_events; --", LogFilter.ALL, []),
    ],
)
async def test_search_finds_places_in_the_view(  # noqa: PLR0917 - of a table
    database: Database, run: Run, logs: RunLogService, text: str, view: LogFilter, places: list[int]
) -> None:
    await add(database, run, range(150))

    found = await logs.hits(run.run_id, view, text, by=SYSTEM)

    starting = [place for place in found.places if place in places]
    assert starting == places
    if not places:
        assert found.count == 0
    _, chunk = await logs.chunk(run.run_id, view, 0, by=SYSTEM)
    for place in found.places:
        data = chunk.lines[place - 1].event.data
        assert text.lower() in " ".join(str(value) for value in data.values()).lower()


async def test_search_sees_words_through_their_colours_and_named_kinds(
    database: Database, run: Run, logs: RunLogService
) -> None:
    output = "\x1b[31mFAILED\x1b[0;1m \x1b[0mtests"
    async with database.sessions.begin() as session:
        await events.append(
            session, run.id, 1,
            [
                EventRecord(kind=EventKind.TOOL_FINISHED, at=NOW, data={"output": output}),
                EventRecord(kind=EventKind.KILL_PHASE, at=NOW, data={"phase": "requested"}),
            ],
        )  # fmt: skip

    coloured = await logs.hits(run.run_id, LogFilter.ALL, "failed tests", by=SYSTEM)
    codes = await logs.hits(run.run_id, LogFilter.ALL, "31m", by=SYSTEM)
    named = await logs.hits(
        run.run_id, LogFilter.ALL, "nowhere", named={EventKind.KILL_PHASE}, by=SYSTEM
    )

    assert (list(coloured.places), list(named.places)) == ([1], [2])
    # A colour is no text.
    assert codes.count == 0


@pytest.mark.parametrize(
    "words",
    [r"a.b*c (x|y)[z]", r"^\d+ $?", "*** {2} `a`", "é… “ü”", "a_b  c\td", r"\ \w", "(?i)A b"],
)
async def test_special_letters_are_found_between_colours_as_they_are(
    database: Database, run: Run, logs: RunLogService, words: str
) -> None:
    coloured = re.sub(r"\s", "\x1b[0m\\g<0>\x1b[1;31m", f"x{words}z")
    async with database.sessions.begin() as session:
        await events.append(
            session, run.id, 1,
            [
                EventRecord(kind=EventKind.TOOL_FINISHED, at=NOW, data={"output": coloured}),
                EventRecord(
                    kind=EventKind.TOOL_FINISHED, at=NOW,
                    data={"output": coloured.replace(words[0], f"{words[0]}\x1b[0m.\x1b[0m")},
                ),
            ],
        )  # fmt: skip

    found = await logs.hits(run.run_id, LogFilter.ALL, words, by=SYSTEM)

    assert list(found.places) == [1]


async def test_the_place_of_a_line_is_that_of_the_next_one_shown(
    database: Database, run: Run, logs: RunLogService
) -> None:
    await add(database, run, range(2000))
    shown = [n + 1 for n in range(2000) if _MEANT[LogFilter.TOOLS](n)]

    for line in (1, 2, 3, 4, 5, 401, 402, 403, 1199, 1999, 2000, 5000):
        place = await logs.place_of(run.run_id, LogFilter.TOOLS, line, by=SYSTEM)
        expected = next((at for at, one in enumerate(shown, 1) if one >= line), len(shown))
        assert place == expected, line
    assert await logs.place_of(run.run_id, LogFilter.ALL, 77, by=SYSTEM) == 77
    assert await logs.place_of(run.run_id, LogFilter.ALL, 9999, by=SYSTEM) == 2000
    assert await logs.place_of(run.run_id, LogFilter.FAILED, 2000, by=SYSTEM) > 0


async def test_a_complete_chunk_needs_no_count(
    database: Database, run: Run, logs: RunLogService
) -> None:
    await add(database, run, range(2 * CHUNK_LINES + 5))
    await logs.size(run.run_id, LogFilter.ALL, by=SYSTEM)
    before = database.reads.begun_count

    await logs.chunk(run.run_id, LogFilter.ALL, 1, by=SYSTEM)

    assert database.reads.begun_count == before + 1


async def test_the_log_of_no_run_is_refused(logs: RunLogService) -> None:
    with pytest.raises(RunNotFound):
        await logs.size("run_000000000000", LogFilter.ALL, by=SYSTEM)
