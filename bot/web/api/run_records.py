"""Routes that read what was recorded of a run: events, log, changes, conversation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

from pydantic import Field

from bot.web.api.diff_answers import DiffAnswer, diff_answer
from bot.web.api.values import RowId, RunPath
from bot.web.route import Answer, AnyRoute, Call, Method, NoParameters, Parameters, Route
from bot.words.runs.log_lines import log_text
from core.domain.actor import Action, Actor, Role
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run
from core.domain.runs.work.patch import WorkPatch
from core.services.runs.records import NamedRun, TranscriptEntry

_MAX_EVENTS = 1000
# Entries can be large: an answer with files in it has hundreds of kilobytes.
_MAX_ENTRIES = 100

AfterId = Annotated[RowId, Field(description="The `next` of the page before.")]


class EventQuery(Parameters):
    """Which events to read."""

    after: AfterId = 0
    limit: Annotated[int, Field(ge=1, le=_MAX_EVENTS)] = 200
    kind: list[EventKind] = Field(default_factory=list, description="May be repeated.")


class LogQuery(Parameters):
    """Which lines to read."""

    after: AfterId = 0
    limit: Annotated[int, Field(ge=1, le=_MAX_EVENTS)] = 200


class TranscriptQuery(Parameters):
    """Which entries to read."""

    after: AfterId = 0
    limit: Annotated[int, Field(ge=1, le=_MAX_ENTRIES)] = 50
    subpath: Annotated[str, Field(max_length=500)] = Field(
        default="", description="Of a subagent's conversation; empty for the main one."
    )


class EventAnswer(Answer):
    """One thing that happened in a run; `data` depends on the kind."""

    id: int
    kind: EventKind
    at: datetime
    data: dict[str, Any]


class EventPage(Answer):
    """Events, oldest first; `next` is the `after` of the page that follows, also in future."""

    run_id: str
    events: list[EventAnswer]
    next: int
    has_more: bool


class LogLineAnswer(Answer):
    """An event as a line for people."""

    id: int
    kind: EventKind
    at: datetime
    text: str


class LogPage(Answer):
    """Lines, oldest first; `next` is the `after` of the page that follows, also in future."""

    run_id: str
    lines: list[LogLineAnswer]
    next: int
    has_more: bool


class TranscriptEntryAnswer(Answer):
    """An entry of a conversation, as the agent program wrote it, without secrets."""

    id: int
    entry: dict[str, Any]


class TranscriptPage(Answer):
    """Entries of the session's conversation, oldest first; all its runs share it."""

    run_id: str
    session_id: UUID
    entries: list[TranscriptEntryAnswer]
    next: int
    has_more: bool


class RecordReader(Protocol):
    """Reads the records of runs; see `RunRecordService`."""

    async def run(self, target: str, *, by: Actor) -> Run:
        """The run itself."""
        ...

    async def named(self, uuid: UUID) -> NamedRun:
        """What people call the run whose row has this id."""
        ...

    async def patch(self, target: str, *, by: Actor) -> tuple[Run, WorkPatch | None]:
        """The run, and the lines that it changed; `None` if none were kept."""
        ...

    async def events(
        self,
        target: str,
        *,
        by: Actor,
        after_id: int = 0,
        kinds: Collection[EventKind] | None = None,
        limit: int,
    ) -> tuple[Run, Sequence[EventRecord]]:
        """The run and its events."""
        ...

    async def transcript(
        self, target: str, *, by: Actor, after_id: int = 0, subpath: str = "", limit: int
    ) -> tuple[Run, Sequence[TranscriptEntry]]:
        """The run and entries of its session's conversation."""
        ...


@dataclass(frozen=True)
class RunRecords:
    """Answers the records of runs."""

    records: RecordReader

    async def events(self, call: Call[RunPath, EventQuery, NoParameters]) -> EventPage:
        """Events of a run."""
        query = call.query
        run, found = await self.records.events(
            call.path.run_id,
            by=call.actor,
            after_id=query.after,
            kinds=query.kind or None,
            limit=query.limit + 1,
        )
        shown = found[: query.limit]
        return EventPage(
            run_id=run.run_id,
            events=[
                EventAnswer(id=one.id, kind=one.kind, at=one.at, data=dict(one.data))
                for one in shown
            ],
            next=shown[-1].id if shown else query.after,
            has_more=len(found) > query.limit,
        )

    async def logs(self, call: Call[RunPath, LogQuery, NoParameters]) -> LogPage:
        """The log of a run."""
        query = call.query
        run, found = await self.records.events(
            call.path.run_id, by=call.actor, after_id=query.after, limit=query.limit + 1
        )
        shown = found[: query.limit]
        return LogPage(
            run_id=run.run_id,
            lines=[
                LogLineAnswer(id=one.id, kind=one.kind, at=one.at, text=log_text(one))
                for one in shown
            ],
            next=shown[-1].id if shown else query.after,
            has_more=len(found) > query.limit,
        )

    async def diff(self, call: Call[RunPath, NoParameters, NoParameters]) -> DiffAnswer:
        """What a run changed."""
        return diff_answer(await self.records.run(call.path.run_id, by=call.actor))

    async def transcript(
        self, call: Call[RunPath, TranscriptQuery, NoParameters]
    ) -> TranscriptPage:
        """The conversation of a run's session."""
        query = call.query
        run, found = await self.records.transcript(
            call.path.run_id,
            by=call.actor,
            after_id=query.after,
            subpath=query.subpath,
            limit=query.limit + 1,
        )
        shown = found[: query.limit]
        return TranscriptPage(
            run_id=run.run_id,
            session_id=run.session_id,
            entries=[TranscriptEntryAnswer(id=one.id, entry=dict(one.entry)) for one in shown],
            next=shown[-1].id if shown else query.after,
            has_more=len(found) > query.limit,
        )

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            _route(
                "events", "list_events", "The events of a run", EventQuery, EventPage, self.events
            ),
            _route(
                "logs", "get_logs", "The log of a run, for people", LogQuery, LogPage, self.logs
            ),
            _route("diff", "get_diff", "What a run changed", NoParameters, DiffAnswer, self.diff),
            _route(
                "transcript",
                "get_transcript",
                "The conversation of a run's session",
                TranscriptQuery,
                TranscriptPage,
                self.transcript,
            ),
        ]


def _route(  # noqa: PLR0917 - a row of the table above
    last: str, name: str, summary: str, query: type[Any], answer: type[Answer], handler: Any
) -> AnyRoute:
    return Route(
        method=Method.GET,
        path=f"/workflows/claude-code/run/{{run_id}}/{last}",
        name=name,
        summary=summary,
        tag="Runs",
        role=Role.VIEWER,
        action=Action.VIEW,
        path_parameters=RunPath,
        query=query,
        body=NoParameters,
        answer=answer,
        handler=handler,
    )
