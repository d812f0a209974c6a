"""Critical sections: tool calls that a kill lets come to their end.

A call is marked before it begins, by a hook that the agent program waits for, so that none
slips past a kill; it is unmarked by its result, which comes however the call ended.  The
same hook is the gate: once a kill has closed it, no further call begins.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from core.domain.redact import redact
from core.domain.termination import DRAIN_LIMIT, Waited

if TYPE_CHECKING:
    from claude_agent_sdk import HookContext, HookInput, HookJSONOutput

log = logging.getLogger(__name__)

# The tools that can reach beyond the work tree; a call of any other is not even asked about.
MATCHER = "^(Bash|mcp__.*)$"
DEFAULT_PATTERNS = (
    # Options before the subcommand, with a value of their own or without.  Each repetition is
    # bounded: an agent's command can be anything, and the loop waits for the search.
    (
        r"\bgit(?:\s{1,9}-[cC]\s{1,9}[^\s-]\S{0,99}|\s{1,9}--?[\w-]{1,50}(?:=\S{1,99})?){0,5}"
        r"\s{1,9}(?:commit|merge|rebase|push|cherry-pick|am)\b"
    ),
    r"\balembic(?:\s{1,9}-\S{1,50}(?:\s{1,9}[^\s-]\S{0,99})?){0,5}\s{1,9}(?:up|down)grade\b",
    r"\bmanage\.py\s+migrate\b",
    r"\bprisma\s+(?:migrate|db\s+push)\b",
    r"\b(?:rails|rake)\s+db:(?:migrate|rollback)\b",
    r"\b(?:npm|pnpm|yarn|cargo|poetry|uv)\s+publish\b",
    r"\btwine\s+upload\b",
    r"\bdocker\s+(?:image\s+)?push\b",
    r"\bterraform\s+(?:apply|destroy)\b",
    r"\bkubectl\s+(?:apply|delete|rollout)\b",
    r"\bhelm\s+(?:install|upgrade|rollback)\b",
    r"\bgh\s+(?:pr\s+merge|release\s+create)\b",
)
MAX_WAIT = timedelta(seconds=10)
# Longer commands carry a file's content; what they do is said before it, or after it.
_LOOKED_AT = 4 * 1024
_SUMMARY = 120
_DENIED = "This run is being stopped. Nothing more can be started; end your turn."


@dataclass(frozen=True, kw_only=True)
class CriticalRules:
    """Which calls are critical, and how long a kill waits for one.

    Attributes:
        patterns: Searched for in a shell command, or in an MCP tool's name and input.
            Without any, no call is critical and no hook is installed.
    """

    patterns: tuple[re.Pattern[str], ...] = ()
    wait: timedelta = DRAIN_LIMIT

    def find(self, tool: str, given: Mapping[str, Any]) -> tuple[str, str] | None:
        """The pattern that makes a call critical, and the line it was found in."""
        text = _text_of(tool, given)
        if len(text) > 2 * _LOOKED_AT:
            text = f"{text[:_LOOKED_AT]}\n{text[-_LOOKED_AT:]}"
        for pattern in self.patterns:
            found = pattern.search(text)
            if found is not None:
                start = text.rfind("\n", 0, found.start()) + 1
                line = text[start:].split("\n", 1)[0].strip()
                return pattern.pattern, line or found[0]
        return None


def compiled(patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """The patterns, ready for use.

    Raises:
        ValueError: For the first that is no regular expression, naming it.
    """
    ready = []
    for pattern in patterns:
        try:
            ready.append(re.compile(pattern))
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
    return tuple(ready)


DEFAULT_RULES = CriticalRules(patterns=compiled(DEFAULT_PATTERNS))


@dataclass(frozen=True, kw_only=True)
class _Call:
    tool: str
    summary: str
    pattern: str


class CriticalCalls:
    """The critical calls of one agent, and the gate before all that could become one."""

    def __init__(self, rules: CriticalRules, *, secrets: Iterable[str] = ()) -> None:
        self.rules = rules
        self._secrets = tuple(secrets)
        self._open: dict[str, _Call] = {}
        self._ended: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._is_closed = False

    async def before_tool(
        self,
        given: HookInput,
        tool_use_id: str | None,
        context: HookContext,  # noqa: ARG002 - the SDK passes it
    ) -> HookJSONOutput:
        """The hook before a call: no opinion on whether it is permitted, unless all is over."""
        if self._is_closed:
            return {
                "hookSpecificOutput": {
                    "hookEventName": "PreToolUse",
                    "permissionDecision": "deny",
                    "permissionDecisionReason": _DENIED,
                }
            }
        told: Mapping[str, Any] = given
        self.begin(tool_use_id or "", str(told.get("tool_name")), told.get("tool_input") or {})
        return {}

    def begin(self, tool_use_id: str, tool: str, given: Mapping[str, Any]) -> None:
        """Mark a call that is about to begin, if it is critical."""
        found = self.rules.find(tool, given)
        if found is not None:
            pattern, line = found
            line = redact(line, secrets=self._secrets)
            summary = line if len(line) <= _SUMMARY else f"{line[: _SUMMARY - 1]}…"
            self._open[tool_use_id] = _Call(tool=tool, summary=summary, pattern=pattern)

    def end(self, tool_use_id: str) -> None:
        """Note that a call came back, whatever it was."""
        if self._open.pop(tool_use_id, None) is not None:
            self._ended[tool_use_id] = time.monotonic()
            self._changed.set()

    def abandon(self) -> None:
        """The agent is gone: nothing comes back any more."""
        self._open.clear()
        self._changed.set()

    def close(self) -> bool:
        """Let no further call begin; whether a critical one is open."""
        self._is_closed = True
        return bool(self._open)

    async def drained(self, limit: timedelta, *, hurried: asyncio.Event) -> tuple[Waited, ...]:
        """Wait until the open ones have come back, time is up, or somebody is in a hurry.

        Returns:
            What was waited for, oldest first.
        """
        began = time.monotonic()
        waiting = dict(self._open)
        hurry = asyncio.create_task(hurried.wait(), name="hurry")
        try:
            async with asyncio.timeout(limit.total_seconds()):
                while self._open and not hurry.done():
                    self._changed.clear()
                    change = asyncio.create_task(self._changed.wait(), name="critical call")
                    try:
                        await asyncio.wait({hurry, change}, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        change.cancel()
        except TimeoutError:
            log.info("%d critical calls did not end in time", len(self._open))
        finally:
            hurry.cancel()
        now = time.monotonic()
        return tuple(
            Waited(
                tool=call.tool,
                summary=call.summary,
                pattern=call.pattern,
                milliseconds=round((self._ended.get(tool_use_id, now) - began) * 1000),
                finished=tool_use_id in self._ended,
            )
            for tool_use_id, call in waiting.items()
        )


def _text_of(tool: str, given: Mapping[str, Any]) -> str:
    command = given.get("command")
    if tool == "Bash" and isinstance(command, str):
        return command
    return f"{tool} {json.dumps(given, default=str, ensure_ascii=False)}"
