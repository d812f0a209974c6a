"""The vocabulary of scripts: what a scripted model says and does.

A script is a pure function from the conversation so far to the next turn, so the same
conversation gets the same answer in any process, before and after a resume.
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
    """The ways in which one call to the model can fail."""

    STATUS = "status"
    CUT = "cut"
    HANG = "hang"
    GARBAGE = "garbage"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A call that is not answered as scripted.

    Attributes:
        times: How often the same turn fails before it is answered; `None`: always.
        should_retry: Value of the answer's `x-should-retry` header; `None`: no header.
        body: The whole answer, as of a gateway; `None`: an error of the API.
    """

    kind: FailureKind = FailureKind.STATUS
    times: int | None = 1
    status: int = 500
    error_type: str = "api_error"
    message: str = "Internal server error"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    should_retry: bool | None = None
    body: str | None = None


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Usage as the API reports it; the server estimates a number that is `None`."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_creation: int | None = None


@dataclass(frozen=True)
class ToolCall:
    """One tool call."""

    name: str
    input: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One answer of the model.  A turn without calls ends the script.

    Attributes:
        delay: Pause before the answer; `None`: the server's setting.
        stop_reason: Why the answer ends; `None`: `tool_use` with calls, else `end_turn`.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    delay: timedelta | None = None
    tokens: Tokens = field(default_factory=Tokens)
    failure: Failure | None = None
    stop_reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class ToolResult:
    """The result of a call; `turn` is the script's turn that made the call."""

    turn: int
    name: str
    input: Mapping[str, Any]
    text: str
    is_error: bool


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """The part of the conversation that a script can see.

    Attributes:
        task: The person's words, directives included.
        directives: `[name: value]` pairs found in the task, lower-case names.
        position: Index of the turn to play, counted from the start of the task.
        results: Results of this task's calls, in order.
        follow_ups: The person's texts after the task: continue messages, interventions.
        unanswered: The `follow_ups` that the model has not answered yet.
        tools: Names of the tools the request offers, except tools loaded on demand.
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
        """A directive's whole number, clipped to 0..`maximum`."""
        value = self.directives.get(directive, "")
        return min(int(value), maximum) if value.isdecimal() else default


Play = Callable[[Conversation], Turn]


@dataclass(frozen=True, kw_only=True)
class Script:
    """A named behaviour of the model.

    Attributes:
        description: One line that helps a person choose a script.
    """

    name: str
    description: str
    play: Play


def play_in_order(*stages: Turn | Play) -> Play:
    """Play one stage after another; then repeat the last one."""

    def play(conversation: Conversation) -> Turn:
        stage = stages[min(conversation.position, len(stages) - 1)]
        return stage if isinstance(stage, Turn) else stage(conversation)

    return play


def bash(command: str, description: str, *, timeout: timedelta | None = None) -> ToolCall:
    """A shell command; `timeout` is the tool's own limit (`None`: its default, 2 minutes)."""
    arguments: dict[str, Any] = {"command": command, "description": description}
    if timeout is not None:
        arguments["timeout"] = int(timeout.total_seconds() * 1000)
    return ToolCall("Bash", arguments)


def write(path: str, content: str) -> ToolCall:
    """Write a new file.  The tool wants absolute paths; it resolves relative ones."""
    return ToolCall("Write", {"file_path": path, "content": content})


def strip_tags(output: str) -> str:
    """A tool's output without the tags that the program adds to errors."""
    return re.sub(r"</?[a-z_-]+>", "", output).strip()
