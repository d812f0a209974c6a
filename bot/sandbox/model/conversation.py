"""Reads a request to the Messages API: the task, its progress and the tool results."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from bot.sandbox.model.script import Conversation, ToolResult

_DIRECTIVE = re.compile(r"\[\s*([a-z-]+)\s*:\s*([^\]\n]{1,200}?)\s*\]", re.IGNORECASE)
_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
# How the program shows the model a message that a person sent during a turn.
_STEERED = re.compile(
    r"The user sent a new message while you were working:\n(.*?)"
    r"(?=\n\n(?:This is how Claude Code|IMPORTANT:|Address the message)|\Z)",
    re.DOTALL,
)
# Put into the conversation by the program itself, not by a person or the model.
_PROGRAM_PREFIXES = (
    "[Request interrupted by user",
    "[Your previous response had no visible output",
    "Output token limit hit.",
    "Your response above was stopped by a safety classifier",
    "<local-command",
    "<command-name>",
)
_PROGRAM_REPLY_PREFIXES = (
    "No response requested",
    "API Error",
    "Failed to auth",
    "You've hit your",
)
# How Signalbox lets a conversation go on: no task, even if the agent had just finished.
_RESUMED = "Your work was interrupted "
_CALL_ID = re.compile(r"toolu_01t(\d+)c")


def call_id(turn: int) -> str:
    """An id for a tool call that contains the number of the turn that made it."""
    return f"toolu_01t{turn}c{uuid4().hex[:16]}"


def parse_directives(text: str) -> dict[str, str]:
    """The `[name: value]` pairs of a text, names in lower case; the last one of a name counts."""
    return {name.lower(): value for name, value in _DIRECTIVE.findall(text)}


def without_directives(text: str) -> str:
    """The text without its `[name: value]` pairs."""
    return " ".join(_DIRECTIVE.sub(" ", text).split())


@dataclass
class _ConversationState:
    task: str | None = None
    is_finished: bool = False
    position: int = 0
    results: list[ToolResult] = field(default_factory=list)
    follow_ups: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    calls: dict[str, tuple[int, str, Mapping[str, Any]]] = field(default_factory=dict)

    def add_user_text(self, text: str) -> None:
        """Add a person's words: a new task, or a follow-up to the current one."""
        if self.task is not None and text.startswith(_RESUMED):
            self.is_finished = False
        if self.task is None or self.is_finished or "scenario" in parse_directives(text):
            self.task, self.is_finished, self.position = text, False, 0
            self.results, self.follow_ups, self.unanswered = [], [], []
        else:
            self.follow_ups.append(text)
            self.unanswered.append(text)

    def add_assistant_turn(self, blocks: Sequence[Mapping[str, Any]]) -> None:
        """Add a turn of the model."""
        calls = [block for block in blocks if block.get("type") == "tool_use"]
        texts = [str(block.get("text", "")) for block in blocks if block.get("type") == "text"]
        if not calls:
            if not texts or not all(text.startswith(_PROGRAM_REPLY_PREFIXES) for text in texts):
                self.is_finished = True
            return
        self.unanswered = []
        turn = self.position
        for call in calls:
            known = _CALL_ID.match(call["id"])
            turn = int(known[1]) if known else turn
            self.calls[call["id"]] = (turn, call["name"], call.get("input") or {})
        self.position = turn + 1

    def add_tool_result(self, block: Mapping[str, Any]) -> None:
        """Add a tool's result."""
        turn, name, arguments = self.calls.get(block["tool_use_id"], (self.position, "", {}))
        self.results.append(
            ToolResult(
                turn=turn,
                name=name,
                input=arguments,
                text=_text_of(block.get("content")),
                is_error=bool(block.get("is_error")),
            )
        )


def read_conversation(body: Mapping[str, Any]) -> Conversation:
    """Rebuild the script's position in the conversation from the request's messages alone.

    A person's text starts a task if none is in progress; otherwise it is a follow-up to the
    current one.  A text with a `[scenario: …]` directive always starts a task, and the words with
    which an interrupted run goes on never do.
    """
    state = _ConversationState()
    for message in body.get("messages", ()):
        blocks = _blocks(message.get("content"))
        if message.get("role") == "assistant":
            state.add_assistant_turn(blocks)
            continue
        for block in blocks:
            if block.get("type") == "tool_result":
                state.add_tool_result(block)
            for text in _user_texts(message.get("role"), block):
                state.add_user_text(text)
    task = state.task or ""
    return Conversation(
        task=task,
        position=state.position,
        directives=parse_directives(task),
        results=tuple(state.results),
        follow_ups=tuple(state.follow_ups),
        unanswered=tuple(state.unanswered),
        tools=frozenset(str(tool.get("name")) for tool in body.get("tools") or ()),
    )


def _user_texts(role: str | None, block: Mapping[str, Any]) -> Iterator[str]:
    """A person's texts in a block, without notes and reminders of the program."""
    text = _text_of(block.get("content")) if block.get("type") == "tool_result" else ""
    text = str(block.get("text", "")) if block.get("type") == "text" else text
    steered = _STEERED.findall(text)
    yield from (words.strip() for words in steered)
    if role != "user" or block.get("type") != "text" or steered:
        return
    text = _REMINDER.sub("", text).strip()
    if text and not text.startswith(_PROGRAM_PREFIXES):
        yield text


def _blocks(content: object) -> list[Mapping[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if content else []  # type: ignore[attr-defined]


def _text_of(content: object) -> str:
    return "\n".join(str(block.get("text", "")) for block in _blocks(content))
