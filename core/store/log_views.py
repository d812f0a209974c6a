"""The events of a run as numbered lines: read in chunks, filtered and searched by the database.

A line's number is its place among the events of its run.  It is never stored: events are only
added, in the order of their ids, so what was counted once stays true.  Each statement counts on
from a place that is known, and reads no more than it must.  When retention drops the first events
of a run, its lines are counted from those that are left.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.log_view import CHUNK_LINES, MAX_HITS, LogFilter, LogHits, LogLine
from core.domain.runs.run import StopReason
from core.store.database.direct import DirectReads
from core.store.tables.base import quoted

_FAILURES = frozenset(
    {
        EventKind.ATTEMPT_FAILED,
        EventKind.WORKER_LOST,
        EventKind.KILL_UNCONFIRMED,
        EventKind.MCP_SERVER_FAILED,
        EventKind.HOST_REFUSED,
        EventKind.API_RETRY,
    }
)
_TOOLS = frozenset({EventKind.TOOL_STARTED, EventKind.TOOL_FINISHED})
_AGENT = frozenset({EventKind.AGENT_TEXT, EventKind.PLAN_CHANGED, EventKind.AGENT_RESULT})
_PEOPLE = frozenset(
    {
        EventKind.RUN_QUEUED,
        EventKind.MESSAGE_CONSUMED,
        EventKind.KILL_PHASE,
        EventKind.CRITICAL_WAITED,
        EventKind.KILL_UNCONFIRMED,
    }
)
_CONDITIONS: Mapping[LogFilter, str] = MappingProxyType(
    {
        LogFilter.ALL: "true",
        LogFilter.FAILED: f"""(
            kind IN ({quoted(_FAILURES)})
            OR kind = '{EventKind.TOOL_FINISHED}' AND data -> 'error' = 'true'
            OR kind = '{EventKind.RUN_ENDED}' AND data ->> 'stop_reason' <> '{StopReason.SUCCESS}'
            OR kind = '{EventKind.AGENT_RESULT}' AND data ->> 'subtype' <> 'success'
        )""",
        LogFilter.TOOLS: f"kind IN ({quoted(_TOOLS)})",
        LogFilter.AGENT: f"kind IN ({quoted(_AGENT)})",
        LogFilter.PEOPLE: f"kind IN ({quoted(_PEOPLE)})",
    }
)
# What a line shows of an event, but for words that are the same for all of its kind.
_TEXT = f"""
    CASE kind
        WHEN '{EventKind.TOOL_FINISHED}' THEN data ->> 'output'
        WHEN '{EventKind.AGENT_TEXT}' THEN data ->> 'text'
        WHEN '{EventKind.TOOL_STARTED}' THEN concat_ws(' ', data ->> 'name', data ->> 'summary')
        ELSE data::text
    END
"""
# Colours stand between words that belong together.
_ESCAPE = r"E'\x1b'"
_PLAIN = r"regexp_replace(low, E'\x1b\\[[0-9;:]*m', '', 'g')"
# A regular expression of the database for any number of colours.
_COLOURS = "(?:\x1b\\[[0-9;:]*m)*"
_SPECIAL = re.compile(r"[!-/:-@\[-^`{-~]")
# Those of a colour's code that can stand before a letter of the text.
_CODE_LETTERS = frozenset("[0123456789;:mM")
_NEWEST = """
    SELECT count(*) AS added, max(id) AS newest FROM run_events WHERE run_id = $1 AND id > $2
"""


def _marks_of(condition: str) -> str:
    # The places at which chunks end, and the last line that is shown.
    return f"""
        SELECT id, line, place FROM (
            SELECT id, line, row_number() OVER by_id AS place, lead(id) OVER by_id AS next FROM (
                SELECT id, kind, data, row_number() OVER (ORDER BY id) AS line
                FROM run_events WHERE run_id = $1 AND id > $2 AND id <= $3
            ) AS numbered
            WHERE {condition} WINDOW by_id AS (ORDER BY id)
        ) AS placed
        WHERE ($4::bigint + place) % {CHUNK_LINES} = 0 OR next IS NULL
        ORDER BY id
    """  # noqa: S608 - from the tables above


def _chunk_of(condition: str) -> str:
    return f"""
        SELECT id, kind, at, data, line FROM (
            SELECT id, kind, at, data, $4::bigint + row_number() OVER (ORDER BY id) AS line
            FROM run_events WHERE run_id = $1 AND id > $2 AND id <= $3
        ) AS numbered
        WHERE {condition} ORDER BY id LIMIT {CHUNK_LINES}
    """  # noqa: S608 - from the tables above


def _hits_of(condition: str, *, forms: int, words: int, is_like_code: bool) -> str:
    # In the collation "C" only ASCII letters have a case, and it is several times as fast.  To look
    # past colours takes longer than to search, so it is done only where all words of the text
    # stand, each as a whole, but not one after the other.  To take the colours out takes longest;
    # it is done only if the code of a colour may look like the text.
    first = 4 + forms
    patterns = first + forms * words
    tries = [
        " AND ".join(
            f"strpos(low, ${first + form * words + word}::text) > 0" for word in range(words)
        )
        for form in range(forms)
    ]
    found = " OR ".join(f"strpos(low, ${4 + form}::text) > 0" for form in range(forms))
    if is_like_code:
        past = [f"strpos({_PLAIN}, ${4 + form}::text) > 0" for form in range(forms)]
    else:
        past = [f"low ~ ${patterns + form}::text" for form in range(forms)]
    return f"""
        SELECT place FROM (
            SELECT id, kind, place, lower(text COLLATE "C") AS low FROM (
                SELECT id, kind, {_TEXT} AS text, row_number() OVER (ORDER BY id) AS place
                FROM run_events WHERE run_id = $1 AND id <= $2 AND {condition}
            ) AS shown ORDER BY id OFFSET 0
        ) AS lowered
        WHERE kind = ANY($3::text[]) OR CASE
            WHEN NOT ({" OR ".join(f"({one})" for one in tries)}) THEN false
            WHEN {"false" if is_like_code else found} THEN true
            WHEN strpos(low, {_ESCAPE}) = 0 THEN {found}
            ELSE {" OR ".join(past)}
        END
        ORDER BY id LIMIT {MAX_HITS + 1}
    """  # noqa: S608 - from the tables above


def _forms_of(text: str) -> list[str]:
    """A text as the database finds it: ASCII in lower case, other letters in either case."""
    lower = text.lower()
    other = "".join(one if one.isascii() else one.upper() for one in lower)
    return list(dict.fromkeys((lower, other)))


def _past_colours(form: str) -> str:
    """A regular expression of the database: the text, with colours before and after its words."""
    parts = re.findall(r"\s|\S+", form)
    return _COLOURS.join(_SPECIAL.sub(r"\\\g<0>", part) for part in parts)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A place between two lines of a log.

    Attributes:
        id: Of the event before it; 0 at the beginning.
        line: The number of that line.
    """

    id: int
    line: int


@dataclass(frozen=True, kw_only=True)
class Growth:
    """What was added to a view of a log.

    Attributes:
        end: The end of the log.
        shown: How many lines the filter leaves of what was added.
        marks: Where chunks of the view end.
    """

    end: Mark
    shown: int
    marks: tuple[Mark, ...]


async def growth(
    reads: DirectReads, run: UUID, view: LogFilter, *, since: Mark, shown: int
) -> Growth | None:
    """What a log has after a place; `None` if that is its end.

    Args:
        reads: Of the database.
        run: The row id.
        view: Which lines are shown.
        since: The end of the log when it was read last.
        shown: How many lines were shown up to there.
    """
    newest = await reads.fetch_row(_NEWEST, run, since.id)
    if newest is None or newest["newest"] is None:
        return None
    end = Mark(id=newest["newest"], line=since.line + newest["added"])
    rows = await reads.fetch(_marks_of(_CONDITIONS[view]), run, since.id, end.id, shown)
    return Growth(
        end=end,
        shown=rows[-1]["place"] if rows else 0,
        marks=tuple(
            Mark(id=row["id"], line=since.line + row["line"])
            for row in rows
            if (shown + row["place"]) % CHUNK_LINES == 0
        ),
    )


async def chunk(
    reads: DirectReads, run: UUID, view: LogFilter, *, after: Mark, until: Mark
) -> list[LogLine]:
    """The shown lines between two places, at most as many as a chunk has."""
    rows = await reads.fetch(_chunk_of(_CONDITIONS[view]), run, after.id, until.id, after.line)
    return [
        LogLine(
            number=row["line"],
            event=EventRecord(
                id=row["id"], kind=EventKind(row["kind"]), at=row["at"], data=row["data"]
            ),
        )
        for row in rows
    ]


async def hits(
    reads: DirectReads,
    run: UUID,
    view: LogFilter,
    text: str,
    *,
    until: Mark,
    named: Collection[EventKind],
) -> LogHits:
    """The shown lines that contain a text, in upper or lower case.

    Args:
        reads: Of the database.
        run: The row id.
        view: Which lines are shown.
        text: What to look for.
        until: The end of what is searched.
        named: Kinds whose own words contain the text.
    """
    forms = _forms_of(text)
    words = [form.split() or [form] for form in forms]
    is_like_code = text[0] in _CODE_LETTERS
    statement = _hits_of(
        _CONDITIONS[view], forms=len(forms), words=len(words[0]), is_like_code=is_like_code
    )
    arguments = [*forms, *(word for one in words for word in one)]
    if not is_like_code:
        arguments += [_past_colours(form) for form in forms]
    rows = await reads.fetch(statement, run, until.id, sorted(named), *arguments)
    places = tuple(row["place"] for row in rows[:MAX_HITS])
    return LogHits(places=places, are_all=len(rows) <= MAX_HITS)
