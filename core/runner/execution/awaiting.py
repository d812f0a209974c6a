"""Follows an agent's events, and what its programs do, to know what a run waits for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from core.domain.redact import redact
from core.domain.runs.activity.awaited import Awaited, AwaitedKind
from core.domain.runs.activity.life import Signs
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
# Such a call waits for other calls, of a subagent; if one of these is open, it says more.
_DELEGATING = frozenset({"Task", "Agent", "Workflow"})
_MCP_PREFIX = "mcp__"


@dataclass(frozen=True, kw_only=True)
class OpenCall:
    """A tool call that has not returned."""

    tool: str
    name: str
    since: datetime

    @property
    def is_of_server(self) -> bool:
        """Whether an MCP server does the work, which was started long before the call."""
        return self.tool.startswith(_MCP_PREFIX)


class Awaiting:
    """What one attempt waits for.

    Attributes:
        awaited: `None` until the attempt begins.
    """

    def __init__(self) -> None:
        self.awaited: Awaited | None = None
        self._open_calls: dict[str, OpenCall] = {}

    @property
    def open_call(self) -> OpenCall | None:
        """The tool call that is waited for, if one is."""
        calls = list(self._open_calls.values())
        # The oldest one: the others began after it.
        return next((one for one in calls if one.tool not in _DELEGATING), next(iter(calls), None))

    def wait_for(self, kind: AwaitedKind, *, at: datetime) -> None:
        """The worker has done something, and now waits for this."""
        self.awaited = Awaited(kind=kind, since=at, heard_at=at)

    def resume(self, *, at: datetime) -> None:
        """The processes, which were paused, work again: until now they could not be heard."""
        if self.awaited is not None:
            self.awaited = replace(self.awaited, heard_at=at)

    def watch(self, *, at: datetime, is_output_known: bool) -> bool:
        """The programs that are waited for are watched from now on; whether that is news."""
        if self.awaited is None or self.awaited.watched_since is not None:
            return False
        self.awaited = replace(self.awaited, watched_since=at, is_output_known=is_output_known)
        return True

    def add_signs(self, signs: Signs, *, at: datetime) -> bool:
        """Take in what these programs did until now; whether they did anything."""
        if self.awaited is None:
            return False
        if signs.has_worked:
            self.awaited = replace(self.awaited, busy_at=at)
        if signs.has_written:
            self.awaited = replace(self.awaited, output_at=at)
        return signs.has_worked or signs.has_written

    def add_event(self, event: AgentEvent, *, at: datetime) -> None:
        """Take in an event of the agent."""
        match event:
            case HostRefused():
                # Of a program that the agent started; the agent itself was not heard.
                return
            case ToolStarted():
                if len(self._open_calls) < _MAX_OPEN_CALLS:
                    name = f"{event.name}: {event.summary}" if event.summary else event.name
                    self._open_calls[event.tool_use_id] = OpenCall(
                        tool=event.name, name=redact(name)[:_NAME_CHARS], since=at
                    )
            case ToolFinished():
                self._open_calls.pop(event.tool_use_id, None)
            case AgentResult():
                self._open_calls.clear()
        call = self.open_call
        if isinstance(event, ApiRetry):
            self.awaited = Awaited(
                kind=AwaitedKind.RETRY,
                since=at,
                heard_at=at,
                name=event.error[:_NAME_CHARS],
                expected_at=at + timedelta(milliseconds=event.delay_ms or 0),
            )
        elif call is not None:
            self.awaited = Awaited(
                kind=AwaitedKind.TOOL, since=call.since, heard_at=at, name=call.name
            )
        else:
            self.awaited = Awaited(kind=AwaitedKind.MODEL, since=at, heard_at=at)
