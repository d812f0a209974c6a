"""A small language for what a scripted model says and does.

A script is a pure function from the scene (the conversation so far) to the next turn, so
the same conversation gets the same answer in any process, before and after a resume.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class FailureKind(StrEnum):
    """What can go wrong with one call to the model."""

    STATUS = "status"
    CUT = "cut"
    HANG = "hang"
    GARBAGE = "garbage"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A call that is not answered as scripted.

    Attributes:
        times: How often the same turn fails before it is answered; `None` is for ever.
        should_retry: What the answer's `x-should-retry` says; `None` says nothing.
    """

    kind: FailureKind = FailureKind.STATUS
    times: int | None = 1
    status: int = 500
    error_type: str = "api_error"
    message: str = "Internal server error"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    should_retry: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Usage as the API reports it; `None` leaves a figure to the server's estimate."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_creation: int | None = None


@dataclass(frozen=True)
class ToolCall:
    """One use of a tool."""

    name: str
    input: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One answer of the model.  A turn without calls ends the script.

    Attributes:
        delay: How long the model thinks first; `None` leaves it to the server's knob.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    delay: timedelta | None = None
    tokens: Tokens = field(default_factory=Tokens)
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True)
class ToolResult:
    """What came back from a call.  `turn` is the script's turn that made it."""

    turn: int
    name: str
    input: Mapping[str, Any]
    text: str
    is_error: bool


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What a script can see of the conversation.

    Attributes:
        task: What the person asked for, directives included.
        directives: `[name: value]` pairs found in the task, lower-case names.
        position: Index of the turn to play, counted since the task was given.
        results: Of this task's calls, in order.
        follow_ups: What people said after the task: continue messages, interventions.
        unanswered: Those of `words` the model has not answered yet.
        tools: Names of the tools the request offers (tools loaded on demand are left out).
    """

    task: str
    position: int = 0
    directives: Mapping[str, str] = field(default_factory=dict)
    results: tuple[ToolResult, ...] = ()
    follow_ups: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    tools: frozenset[str] = frozenset()

    def results_of_turn(self, turn: int, name: str | None = None) -> tuple[ToolResult, ...]:
        """Results of the calls one turn made, of one tool if `name` is given."""
        return tuple(r for r in self.results if r.turn == turn and name in (None, r.name))

    def int_directive(self, directive: str, default: int, *, maximum: int = 10_000) -> int:
        """A directive's whole number, clipped to 0..`most`."""
        value = self.directives.get(directive, "")
        return min(int(value), maximum) if value.isdecimal() else default


Play = Callable[[Conversation], Turn]


@dataclass(frozen=True, kw_only=True)
class Script:
    """A named behaviour.

    Attributes:
        description: One line for people who choose among scripts.
    """

    name: str
    description: str
    play: Play


def play_in_order(*stages: Turn | Play) -> Play:
    """Play one stage after another; the last one again if it is asked for more."""

    def play(conversation: Conversation) -> Turn:
        stage = stages[min(conversation.position, len(stages) - 1)]
        return stage if isinstance(stage, Turn) else stage(conversation)

    return play


def bash(command: str, description: str, *, timeout: timedelta | None = None) -> ToolCall:
    """A shell command; `timeout` is the tool's own limit (2 minutes if not given)."""
    arguments: dict[str, Any] = {"command": command, "description": description}
    if timeout is not None:
        arguments["timeout"] = int(timeout.total_seconds() * 1000)
    return ToolCall("Bash", arguments)


def write(path: str, content: str) -> ToolCall:
    """A new file.  The tool wants absolute paths; relative ones it resolves itself."""
    return ToolCall("Write", {"file_path": path, "content": content})


def strip_tags(output: str) -> str:
    """A tool's output without the tags the program puts around errors."""
    return re.sub(r"</?[a-z_-]+>", "", output).strip()
