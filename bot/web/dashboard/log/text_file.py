"""A log as a text file, sent while it is read: it never is in memory as a whole."""

from __future__ import annotations

import re

from aiohttp import hdrs, web

from bot.web.api.run_records import RecordReader
from bot.web.dashboard.headers import PAGE_HEADERS
from bot.words.runs.log_lines import whole_text
from core.domain.actor import Actor
from core.domain.runs.event import EventRecord

# Of 4 kB at most each.
_EVENTS_AT_A_TIME = 500
_NAME = re.compile(r"[^A-Za-z0-9_-]")


def text_line(event: EventRecord) -> str:
    """An event as the file has it: its time in UTC, and all of its text, colours too."""
    at = event.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return f"{at} {whole_text(event)}\n"


async def send_log(
    records: RecordReader, target: str, by: Actor, request: web.Request
) -> web.StreamResponse:
    """Send all lines of a run.

    Raises:
        RunNotFound: If no run has this id.
        Forbidden: If the person may not see it.
        Unavailable: If the database cannot be reached before anything was sent.
    """
    run, found = await records.events(target, by=by, limit=_EVENTS_AT_A_TIME)
    response = web.StreamResponse(
        headers={
            **PAGE_HEADERS,
            hdrs.CONTENT_TYPE: "text/plain; charset=utf-8",
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{_NAME.sub("", run.run_id)}.log"',
        }
    )
    response.enable_compression()
    await response.prepare(request)
    while found:
        await response.write("".join(map(text_line, found)).encode("utf-8", "replace"))
        if len(found) < _EVENTS_AT_A_TIME:
            break
        _, found = await records.events(
            run.run_id, by=by, after_id=found[-1].id, limit=_EVENTS_AT_A_TIME
        )
    await response.write_eof()
    return response
