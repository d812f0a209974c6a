"""Follows an agent's events to know what it waits for."""

from __future__ import annotations

from datetime import datetime

from core.domain.redact import redact
from core.domain.runs.awaited import Awaited, AwaitedKind
from core.domain.runs.event import (
    AgentEvent,
    AgentResult,
    ApiRetry,
    HostRefused,
    ToolFinished,
    ToolStarted,
)

_NAME_CHARS = 160
# More than a model calls at a time; a program that floods its output must not fill the memory.
_MAX_OPEN_CALLS = 1_000


class Awaiting:
    """What the agent of one attempt waits for.

    Attributes:
        awaited: `None` until the agent's first event.
    """

    def __init__(self) -> None:
        self.awaited: Awaited | None = None
        self._open_calls: dict[str, tuple[str, datetime]] = {}

    def add_event(self, event: AgentEvent, *, at: datetime) -> None:
        """Take in an event of the agent."""
        match event:
            case HostRefused():
                # Of a program that the agent started; the agent itself was not heard.
                return
            case ToolStarted():
                if len(self._open_calls) < _MAX_OPEN_CALLS:
                    name = f"{event.name}: {event.summary}" if event.summary else event.name
                    self._open_calls[event.tool_use_id] = redact(name)[:_NAME_CHARS], at
            case ToolFinished():
                self._open_calls.pop(event.tool_use_id, None)
            case AgentResult():
                self._open_calls.clear()
        if isinstance(event, ApiRetry):
            self.awaited = Awaited(
                kind=AwaitedKind.RETRY, since=at, heard_at=at, name=event.error[:_NAME_CHARS]
            )
        elif self._open_calls:
            # The oldest one: the others began after it.
            name, since = next(iter(self._open_calls.values()))
            self.awaited = Awaited(kind=AwaitedKind.TOOL, since=since, heard_at=at, name=name)
        else:
            self.awaited = Awaited(kind=AwaitedKind.MODEL, since=at, heard_at=at)
