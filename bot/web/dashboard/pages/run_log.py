"""The log of a run: one scroll area over all of its lines, which its script fills as they come."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from aiohttp import hdrs, web
from pydantic import Field

from bot.web.api.table import ApiServices
from bot.web.api.values import RunPath
from bot.web.dashboard.headers import ASSET_HEADERS, PAGE_HEADERS
from bot.web.dashboard.log.rows import log_row
from bot.web.dashboard.log.text_file import send_log
from bot.web.dashboard.page import AnyPage, AnyPart, Content, Page, PageCall, Part, Section
from bot.web.dashboard.renderer import Renderer
from bot.web.dashboard.run.title import owners_of, title_values
from bot.web.route import LenientParameters
from bot.words.runs.log_lines import kinds_named
from core.domain.feed import ChangeKind
from core.domain.runs.log_view import CHUNK_LINES, MAX_QUERY_CHARS, LogChunk, LogFilter
from core.domain.runs.run import Run

FILTER_WORDS = (
    (LogFilter.ALL, "All lines"),
    (LogFilter.FAILED, "Failures"),
    (LogFilter.TOOLS, "Tools"),
    (LogFilter.AGENT, "Agent"),
    (LogFilter.PEOPLE, "People"),
)
_MAX_CHUNK = 10_000_000
_MAX_LINE = _MAX_CHUNK * CHUNK_LINES
# A chunk that is complete never changes.  It is kept only as long as somebody reads: after they
# signed out, nothing of it should come out of a browser.
_KEPT = {**ASSET_HEADERS, hdrs.CACHE_CONTROL: "private, max-age=600, immutable"}


class LogQuery(LenientParameters):
    """Which lines to show."""

    show: LogFilter = LogFilter.ALL


class FindQuery(LogQuery):
    """What to look for."""

    q: Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARS)]


class PlaceQuery(LogQuery):
    """The number of a line."""

    line: Annotated[int, Field(ge=1, le=_MAX_LINE)]


class ChunkPath(RunPath):
    """A chunk of a run's log."""

    chunk: Annotated[int, Field(ge=0, le=_MAX_CHUNK)]


@dataclass(frozen=True)
class RunLogPage:
    """Shows logs.

    Attributes:
        renderer: Draws the lines, with the templates of all pages.
    """

    services: ApiServices
    renderer: Renderer = field(default_factory=Renderer)

    async def load(self, call: PageCall[RunPath, LogQuery]) -> Content:
        """The head of the page, and the first lines of a log that cannot change any more."""
        show = call.query.show
        logs, target = self.services.logs, call.path.run_id
        run, size = await logs.size(target, show, by=call.actor)
        named = await self.services.records.named(run.id)
        is_growing = run.is_live or run.is_work_pending
        rows: list[str] = []
        # A log that grows is opened at its end, which the script loads.
        if not is_growing:
            _, chunk = await logs.chunk(run.run_id, show, 0, by=call.actor)
            rows = await asyncio.to_thread(self._rows, chunk)
        head = {
            **title_values(run, task=named.task, leg=named.leg),
            "size": size,
            "is_growing": is_growing,
        }
        view = {
            "run": run,
            "show": show,
            "filters": FILTER_WORDS,
            "rows": rows,
            "chunk_lines": CHUNK_LINES,
            "version": self.renderer.files.version,
            "started_ms": _ms(run),
            "is_growing": is_growing,
        }
        return Content(
            title=f"Log of {named.task[:60]}",
            sections=(
                Section(name="log-head", template="log/head.html", values=head),
                Section(name="log-view", template="log/view.html", values=view),
            ),
            owners=owners_of(run),
            subjects=frozenset({run.run_id}),
            is_final=not is_growing,
        )

    async def lines(
        self, call: PageCall[ChunkPath, LogQuery], request: web.Request
    ) -> web.StreamResponse:
        """A chunk, as HTML of its lines."""
        del request
        path = call.path
        _, chunk = await self.services.logs.chunk(
            path.run_id, call.query.show, path.chunk, by=call.actor
        )
        rows = await asyncio.to_thread(self._rows, chunk)
        return _json(
            {"rows": rows, "count": chunk.size.shown, "complete": chunk.is_complete},
            headers=_KEPT if chunk.is_complete else PAGE_HEADERS,
        )

    async def find(
        self, call: PageCall[RunPath, FindQuery], request: web.Request
    ) -> web.StreamResponse:
        """The places of the lines that contain a text."""
        del request
        found = await self.services.logs.hits(
            call.path.run_id,
            call.query.show,
            call.query.q,
            named=kinds_named(call.query.q),
            by=call.actor,
        )
        return _json(
            {"count": found.count, "places": list(found.places), "complete": found.are_all},
            headers=PAGE_HEADERS,
        )

    async def place(
        self, call: PageCall[RunPath, PlaceQuery], request: web.Request
    ) -> web.StreamResponse:
        """Where a line is among those that are shown."""
        del request
        found = await self.services.logs.place_of(
            call.path.run_id, call.query.show, call.query.line, by=call.actor
        )
        return _json({"place": found}, headers=PAGE_HEADERS)

    async def text(
        self, call: PageCall[RunPath, LenientParameters], request: web.Request
    ) -> web.StreamResponse:
        """All lines as a text file."""
        return await send_log(self.services.records, call.path.run_id, call.actor, request)

    def _rows(self, chunk: LogChunk) -> list[str]:
        row = self.renderer.environment.get_template("log/rows.html").module.row  # type: ignore[attr-defined]
        return [str(row(log_row(line))) for line in chunk.lines]

    def pages(self) -> list[AnyPage]:
        """The pages of this module."""
        root = "/runs/{run_id}/log"
        parts: list[AnyPart] = [
            Part(
                path=f"{root}/lines/{{chunk}}",
                name="run-log-lines",
                path_parameters=ChunkPath,
                query=LogQuery,
                answer=self.lines,
            ),
            Part(
                path=f"{root}/find",
                name="run-log-find",
                path_parameters=RunPath,
                query=FindQuery,
                answer=self.find,
            ),
            Part(
                path=f"{root}/place",
                name="run-log-place",
                path_parameters=RunPath,
                query=PlaceQuery,
                answer=self.place,
            ),
            Part(
                path=f"{root}.txt",
                name="run-log-text",
                path_parameters=RunPath,
                query=LenientParameters,
                answer=self.text,
            ),
        ]
        return [
            Page(
                path=root,
                name="run-log",
                nav="runs",
                path_parameters=RunPath,
                query=LogQuery,
                load=self.load,
                changes=frozenset({ChangeKind.RUN}),
                parts=parts,
            )
        ]


def _ms(run: Run) -> int:
    """From when on times count that are shown as durations."""
    return int((run.started_at or run.created_at).timestamp() * 1000)


def _json(value: object, *, headers: object) -> web.Response:
    response = web.json_response(value, headers=headers)  # type: ignore[arg-type]
    response.enable_compression()
    return response
