"""The route that streams a run: its events and statuses, as they come."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Protocol

from pydantic import Field

from bot.web.api.run_records import EventAnswer
from bot.web.api.statuses.status_answer import StatusAnswer, StatusQuery, status_answer
from bot.web.api.values import MAX_ID, RunPath
from bot.web.request_errors import InvalidRequest
from bot.web.route import (
    LAST_EVENT_HEADER,
    Answer,
    AnyRoute,
    Call,
    Method,
    NoParameters,
    Parameters,
    Route,
    Streaming,
)
from bot.web.streams.server_sent import HEARTBEAT, HEARTBEAT_INTERVAL, server_sent_event
from bot.words.runs.log_lines import log_text
from core.domain.actor import Action, Actor, Role
from core.domain.runs.event import EventRecord
from core.domain.runs.run import RunStatus, StopReason
from core.services.runs.status import StatusReport
from core.services.runs.watching.watcher import News, Watcher

_CURSOR = re.compile(r"([0-9]{1,19})(\.end)?")
_MAX_CURSOR_CHARS = 40
_BAD_CURSOR = "is no id of an event of this stream"
_STATUS_OF_STREAM = StatusQuery()


class StreamQuery(Parameters):
    """Where to begin."""

    last_event_id: Annotated[str, Field(max_length=_MAX_CURSOR_CHARS)] | None = Field(
        default=None,
        description=f"For clients that cannot send the header `{LAST_EVENT_HEADER}`, which comes "
        "before it. The id of the last event that is known, or the `next` of the events or the log "
        "of the run; without it the stream begins with the run's first event.",
    )


class StreamedEvent(EventAnswer):
    """One thing that happened in a run; `text` is the same as a line for people."""

    text: str


class StreamEnd(Answer):
    """The run has ended, and everything about it was sent."""

    run_id: str
    status: RunStatus
    stop_reason: StopReason | None


class RunStreamEvents(Answer):
    """The data of the events of a stream, in the field with the event's name."""

    status: StatusAnswer
    event: StreamedEvent
    end: StreamEnd


class RunWatches(Protocol):
    """Follows runs; see `RunWatchService`."""

    def watch(
        self, target: str, *, by: Actor, after_id: int | None = None
    ) -> AbstractAsyncContextManager[Watcher]:
        """Watch a run for the duration of the block."""
        ...


@dataclass(frozen=True)
class _Cursor:
    """What a client knows: all events up to an id, and perhaps the end."""

    after_id: int = 0
    has_end: bool = False

    @classmethod
    def parse(cls, text: str | None, place: str) -> _Cursor:
        """Read an id of an event.

        Raises:
            InvalidRequest: If no stream has such ids.
        """
        if not text:
            return cls()
        found = _CURSOR.fullmatch(text.strip())
        if found is None or int(found[1]) > MAX_ID:
            raise InvalidRequest([(place, _BAD_CURSOR)])
        return cls(after_id=int(found[1]), has_end=found[2] is not None)


@dataclass
class RunStreams:
    """Streams runs.

    Attributes:
        heartbeat: How long a stream is silent at most.
    """

    watches: RunWatches
    clock: Callable[[], datetime]
    heartbeat: timedelta = HEARTBEAT_INTERVAL
    # Of each run the newest status as it is sent, so that it is made once for all streams.
    _statuses: dict[str, tuple[StatusReport, bytes]] = field(default_factory=dict)

    @asynccontextmanager
    async def open(
        self, call: Call[RunPath, StreamQuery, NoParameters]
    ) -> AsyncIterator[AsyncGenerator[bytes, None] | None]:
        """The stream of a run; `None` if the client has everything, the end too."""
        if call.last_event_id:
            cursor = _Cursor.parse(call.last_event_id, LAST_EVENT_HEADER)
        else:
            cursor = _Cursor.parse(call.query.last_event_id, "query.last_event_id")
        async with self.watches.watch(
            call.path.run_id, by=call.actor, after_id=cursor.after_id
        ) as watcher:
            yield None if cursor.has_end and watcher.has_seen_all else self._chunks(watcher)
        if watcher.is_last:
            self._statuses.pop(watcher.run.run_id, None)

    async def _chunks(self, watcher: Watcher) -> AsyncGenerator[bytes, None]:
        while True:
            news = await watcher.take()
            if news is not None:
                yield self._chunk(news, watcher)
                if news.is_over:
                    return
            elif not await watcher.wait(self.heartbeat.total_seconds()):
                yield HEARTBEAT

    def _chunk(self, news: News, watcher: Watcher) -> bytes:
        if news.report is not None:
            return self._status(news.report)
        if news.is_over:
            run = watcher.run
            end = StreamEnd(run_id=run.run_id, status=run.status, stop_reason=run.stop_reason)
            return server_sent_event(
                "end", end.model_dump_json(), event_id=f"{watcher.after_id}.end"
            )
        return b"".join(_event(one) for one in news.events)

    def _status(self, report: StatusReport) -> bytes:
        known = self._statuses.get(report.run.run_id)
        if known is not None and known[0] is report:
            return known[1]
        answer = status_answer(report, _STATUS_OF_STREAM, now=self.clock())
        chunk = server_sent_event("status", answer.model_dump_json(exclude_unset=True))
        self._statuses[report.run.run_id] = report, chunk
        return chunk

    def routes(self) -> list[AnyRoute]:
        """The route of this module."""
        return [
            Route(
                method=Method.GET,
                path="/workflows/claude-code/run/{run_id}/stream",
                name="stream_run",
                summary="A run as it goes on, as server-sent events",
                tag="Runs",
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=RunPath,
                query=StreamQuery,
                body=NoParameters,
                answer=RunStreamEvents,
                handler=Streaming(self.open),
                description="First a `status`, then each `event` from the beginning or after "
                f"`{LAST_EVENT_HEADER}`, each once and in order; a `status` whenever the run has "
                "changed, at most once a second; at last `end`, and the stream closes. A client "
                "that connects again after `end` gets 204. Every 15 seconds without events there "
                "is a comment.",
            )
        ]


def _event(record: EventRecord) -> bytes:
    event = StreamedEvent(
        id=record.id,
        kind=record.kind,
        at=record.at,
        data=dict(record.data),
        text=log_text(record),
    )
    return server_sent_event("event", event.model_dump_json(), event_id=str(record.id))
