"""How far a conversation has come, and whether a tool call may be changing files right now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from itertools import takewhile
from typing import Any
from uuid import UUID

from core.agent.definitions.tool_effects import ToolEffect, effect_of
from core.agent.program_values import blocks, identifier

# Subagents call tools of their own.
_DELEGATING_TOOLS = frozenset({"Agent", "Task"})
# An answer makes some ten calls.  A program that floods its output must not fill the memory.
_MAX_CALLS = 500
_MAX_EFFECTS = 100_000


class ConversationPoint:
    """Follows the main transcript of an agent, and the calls that its messages announce.

    A conversation is settled when every tool call of its last answer has its result in the
    transcript.  What the calls did is then complete, and the agent waits for the model.

    Attributes:
        message_uuid: The last entry of the transcript at which the conversation was settled;
            `None` if there was none.
    """

    def __init__(self) -> None:
        """Begin with an empty conversation."""
        self.message_uuid: UUID | None = None
        self._answer_id: str | None = None
        # Calls without a result in the transcript.
        self._open: dict[str, None] = {}
        # Calls that the messages announced, and whose result the transcript does not have yet; each
        # with the id of its answer.
        self._announced: dict[str, str | None] = {}
        self._finished: dict[str, None] = {}
        self._effects: set[str] = set()
        self._changed = asyncio.Event()

    @property
    def is_settled(self) -> bool:
        """Whether no tool call is open."""
        return not self._open and not self._announced

    @property
    def effects(self) -> int:
        """How many calls have begun so far that can change files."""
        return len(self._effects)

    async def wait_until_settled(self, limit: timedelta) -> bool:
        """Wait until no tool call is open; return whether that happened within the limit."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit.total_seconds()):
                while not self.is_settled:
                    self._changed.clear()
                    await self._changed.wait()
        return self.is_settled

    def announce(
        self, call_id: str, name: str, call_input: Mapping[str, Any], *, answer_id: str | None
    ) -> None:
        """Take in a call of the main agent that a message announces, before it runs."""
        self._count(call_id, name, call_input)
        if call_id not in self._finished:
            self._announced[call_id] = answer_id
            _drop_oldest(self._announced)

    def add_entry(self, entry: Mapping[str, Any]) -> None:
        """Take in an entry of the main transcript, whatever it contains."""
        if entry.get("isSidechain") is True or entry.get("type") not in ("assistant", "user"):
            return
        message = entry.get("message")
        fields: Mapping[str, Any] = message if isinstance(message, Mapping) else {}
        if entry.get("type") == "assistant":
            self._begin_answer(identifier(fields.get("id")))
        for block in blocks(fields.get("content")):
            if isinstance(block, Mapping):
                self._add_block(block)
        if not self._open:
            self.message_uuid = _uuid_of(entry.get("uuid")) or self.message_uuid
        self._changed.set()

    def end(self) -> None:
        """Forget that calls are announced: the agent is gone, and begins none of them."""
        self._announced.clear()
        self._changed.set()

    def _begin_answer(self, answer_id: str | None) -> None:
        # The next answer comes only after all calls of the one before have ended, even if their
        # results were not reported.
        if answer_id is None or answer_id == self._answer_id:
            return
        self._answer_id = answer_id
        older = list(self._open)
        # The messages can be ahead of the transcript.
        if answer_id in self._announced.values():
            older += takewhile(lambda one: self._announced[one] != answer_id, self._announced)
        for call_id in older:
            self._finish(call_id)

    def _add_block(self, block: Mapping[str, Any]) -> None:
        kind = block.get("type")
        if kind == "tool_use" and (call_id := identifier(block.get("id"))) is not None:
            given = block.get("input")
            name = identifier(block.get("name")) or ""
            self._count(call_id, name, given if isinstance(given, Mapping) else {})
            self._open[call_id] = None
            _drop_oldest(self._open)
        elif kind == "tool_result" and (call_id := identifier(block.get("tool_use_id"))):
            self._finish(call_id)

    def _finish(self, call_id: str) -> None:
        self._open.pop(call_id, None)
        self._announced.pop(call_id, None)
        self._finished[call_id] = None
        _drop_oldest(self._finished)

    def _count(self, call_id: str, name: str, call_input: Mapping[str, Any]) -> None:
        if len(self._effects) < _MAX_EFFECTS and can_change_files(name, call_input):
            self._effects.add(call_id)


def can_change_files(name: str, call_input: Mapping[str, Any]) -> bool:
    """Whether a tool call may change files of the workspace."""
    if name in _DELEGATING_TOOLS:
        return True
    command = call_input.get("command")
    rule = f"Bash({command})" if name == "Bash" and isinstance(command, str) else name
    return effect_of(rule) is not ToolEffect.READS


def _uuid_of(value: object) -> UUID | None:
    if not isinstance(value, str):
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def _drop_oldest(calls: dict[str, Any]) -> None:
    while len(calls) > _MAX_CALLS:
        del calls[next(iter(calls))]
