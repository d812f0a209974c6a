"""What a run changed: its files with their lines, and its commits beside them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID

from aiohttp import hdrs, web
from cachetools import LRUCache
from pydantic import Field

from bot.web.api.diff_answers import diff_answer
from bot.web.api.table import ApiServices
from bot.web.api.values import RunPath
from bot.web.dashboard.diff.colouring import Clock
from bot.web.dashboard.diff.entries import FileEntry, file_entries
from bot.web.dashboard.diff.patch_files import PatchFile, patch_files
from bot.web.dashboard.diff.shown_lines import (
    LINES_AT_A_TIME,
    DiffView,
    ShownFile,
    shown_file,
)
from bot.web.dashboard.headers import ASSET_HEADERS, PAGE_HEADERS
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Part, Section
from bot.web.dashboard.renderer import Renderer
from bot.web.dashboard.run.title import owners_of, title_values
from bot.web.route import LenientParameters
from bot.words.repository_pages import commit_page
from core.domain.actor import Actor
from core.domain.feed import ChangeKind
from core.domain.runs.run import Run
from core.domain.runs.work.diff import DiffStat

# What a page has at first: so many lines in all, and of files that have no more than these.
_FIRST_LINES = 1_500
_FIRST_FILE_LINES = 400
_MAX_FILE = 10_000
_MAX_START = 10_000_000
# Of patches that were read lately, in characters.
_KEPT_CHARS = 16_000_000
_KEPT = {**ASSET_HEADERS, hdrs.CACHE_CONTROL: "private, max-age=600, immutable"}
_DIGEST_CHARS = 16

FileNumber = Annotated[int, Field(ge=0, le=_MAX_FILE)]


class DiffQuery(LenientParameters):
    """How to show it.

    Attributes:
        open: A file that is shown, however large it is.
    """

    view: DiffView = DiffView.UNIFIED
    open: FileNumber | None = None


class FilePath(RunPath):
    """A file of a run's changes."""

    file: FileNumber


class FileQuery(LenientParameters):
    """Which of its lines.

    Attributes:
        start: The place of the first one among all lines of the diff of this file.
        v: The digest of the changes, so that an answer may be kept.
    """

    view: DiffView = DiffView.UNIFIED
    start: Annotated[int, Field(ge=0, le=_MAX_START)] = 0
    v: Annotated[str, Field(max_length=40)] = ""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The changes of a run, as far as they were kept.

    Attributes:
        digest: Differs when the lines do.
    """

    entries: Sequence[FileEntry]
    has_patch: bool
    is_cut: bool
    digest: str
    chars: int


@dataclass(frozen=True)
class RunDiffPage:
    """Shows what runs changed."""

    services: ApiServices
    renderer: Renderer = field(default_factory=Renderer)
    _read: LRUCache[tuple[UUID, int], Changes] = field(
        default_factory=lambda: LRUCache(_KEPT_CHARS, getsizeof=lambda one: one.chars + 1)
    )

    async def load(self, call: PageCall[RunPath, DiffQuery]) -> Content:
        """The files, the first of them with their lines, and the commits."""
        run, changes = await self._changes(call.path.run_id, call.actor)
        named = await self.services.records.named(run.id)
        shown = await asyncio.to_thread(_first_files, changes.entries, call.query)
        is_growing = run.is_live or run.is_work_pending
        answer = diff_answer(run)
        values = {
            **title_values(run, task=named.task, leg=named.leg),
            "diff": answer,
            "changes": changes,
            "view": call.query.view,
            "shown": shown,
            "commits": [(one, commit_page(run.git_repo, one.sha)) for one in answer.commits],
        }
        return Content(
            title=f"Changes of {named.task[:60]}",
            sections=(
                Section(name="diff-head", template="diff/head.html", values=values),
                Section(name="diff-view", template="diff/view.html", values=values),
            ),
            owners=owners_of(run),
            subjects=frozenset({run.run_id}),
            is_final=not is_growing,
        )

    async def file(
        self, call: PageCall[FilePath, FileQuery], request: web.Request
    ) -> web.StreamResponse:
        """Lines of a file, as HTML."""
        del request
        run, changes = await self._changes(call.path.run_id, call.actor)
        query = call.query
        if call.path.file >= len(changes.entries):
            raise web.HTTPNotFound
        entry = changes.entries[call.path.file]
        shown = await asyncio.to_thread(_shown, entry, query.view, start=query.start)
        html = self.renderer.environment.get_template("diff/lines.html").render(
            run=run, entry=entry, lines=shown, view=query.view, changes=changes
        )
        response = web.Response(
            body=html.encode("utf-8", "replace"),
            content_type="text/html",
            charset="utf-8",
            headers=_KEPT if query.v == changes.digest else PAGE_HEADERS,
        )
        response.enable_compression()
        return response

    async def _changes(self, target: str, by: Actor) -> tuple[Run, Changes]:
        run = await self.services.records.run(target, by=by)
        found = self._read.get((run.id, run.version))
        if found is None:
            run, patch = await self.services.records.patch(run.run_id, by=by)
            text = "" if patch is None else patch.text
            files = None if patch is None else await asyncio.to_thread(patch_files, text)
            found = _changes_of(run, files, text, is_cut=patch is not None and patch.is_cut)
            if found.chars < _KEPT_CHARS:
                self._read[run.id, run.version] = found
        return run, found

    def pages(self) -> list[AnyPage]:
        """The pages of this module."""
        root = "/runs/{run_id}/diff"
        return [
            Page(
                path=root,
                name="run-diff",
                nav="runs",
                path_parameters=RunPath,
                query=DiffQuery,
                load=self.load,
                changes=frozenset({ChangeKind.RUN}),
                parts=[
                    Part(
                        path=f"{root}/files/{{file}}",
                        name="run-diff-file",
                        path_parameters=FilePath,
                        query=FileQuery,
                        answer=self.file,
                    )
                ],
            )
        ]


def _changes_of(run: Run, files: Sequence[PatchFile] | None, text: str, *, is_cut: bool) -> Changes:
    return Changes(
        entries=file_entries(run.diff or DiffStat(), files, is_cut=is_cut),
        has_patch=files is not None,
        is_cut=is_cut,
        digest=hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_DIGEST_CHARS],
        chars=len(text),
    )


def _first_files(entries: Sequence[FileEntry], query: DiffQuery) -> dict[int, ShownFile]:
    """The lines with which the page begins, by the number of the file."""
    shown: dict[int, ShownFile] = {}
    left, clock = _FIRST_LINES, Clock()
    for entry in entries:
        is_asked_for = entry.number == query.open
        if not entry.line_count:
            continue
        if is_asked_for or entry.line_count <= min(left, _FIRST_FILE_LINES):
            shown[entry.number] = _shown(entry, query.view, clock=clock)
            left -= min(entry.line_count, LINES_AT_A_TIME)
    return shown


def _shown(
    entry: FileEntry, view: DiffView, *, start: int = 0, clock: Clock | None = None
) -> ShownFile:
    if entry.file is None:
        return ShownFile(hunks=())
    return shown_file(entry.file, view, start=start, clock=clock)
