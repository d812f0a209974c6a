"""Critical sections: tool calls that a kill lets come to their end.

A call is marked when the program tells of it and unmarked by its result, which comes however
the call ended.  A kill closes the gate first: from then on every shell that begins for a call
ends at once (`gate.sh`), and calls to other servers are refused by a hook.  Then it listens
until it has heard all that was told before; what is marked now is under way, and nothing new
can come to it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.domain.kills.termination import DRAIN_LIMIT, CriticalWait
from core.domain.redact import redact
from core.waiting import wait_for_any

if TYPE_CHECKING:
    from claude_agent_sdk import HookContext, HookInput, HookJSONOutput

log = logging.getLogger(__name__)

GATE_VARIABLE = "SIGNALBOX_GATE"
# What a shell reads before anything else.
_GATE_SCRIPT = Path(__file__).with_name("gate.sh")
# The tools that can reach beyond the work tree.  The hook is a round trip of 2.6 ms for each
# call, so shells are stopped without it where they can be.
_SHELL_TOOL = "Bash"
_MCP_PREFIX = "mcp__"
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
_MAX_SCANNED_CHARS = 4 * 1024
_MAX_SUMMARY_CHARS = 120
_DENIED_MESSAGE = "This run is being stopped. Nothing more can be started; end your turn."


@dataclass(frozen=True, kw_only=True)
class CriticalRules:
    """Which calls are critical, and how long a kill waits for one.

    Attributes:
        patterns: Searched for in a shell command, or in an MCP tool's name and input.
            Without any, no call is critical and no hook is installed.
    """

    patterns: tuple[re.Pattern[str], ...] = ()
    wait: timedelta = DRAIN_LIMIT

    def find(self, tool: str, tool_input: Mapping[str, Any]) -> tuple[str, str] | None:
        """The pattern that makes a call critical, and the line it was found in."""
        text = _searchable_text(tool, tool_input)
        if len(text) > 2 * _MAX_SCANNED_CHARS:
            text = f"{text[:_MAX_SCANNED_CHARS]}\n{text[-_MAX_SCANNED_CHARS:]}"
        for pattern in self.patterns:
            found = pattern.search(text)
            if found is not None:
                start = text.rfind("\n", 0, found.start()) + 1
                line = text[start:].split("\n", 1)[0].strip()
                return pattern.pattern, line or found[0]
        return None


def compile_patterns(patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
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


DEFAULT_RULES = CriticalRules(patterns=compile_patterns(DEFAULT_PATTERNS))


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A call; critical if it has a pattern.

    Attributes:
        parent_tool_use_id: The call that started the subagent whose call this is.
        message_id: The model's answer that it is part of.
    """

    parent_tool_use_id: str | None
    message_id: str | None
    tool: str
    summary: str = ""
    pattern: str | None = None


class CriticalCalls:
    """The critical calls of one agent, and the gate before all that could become one."""

    def __init__(
        self, rules: CriticalRules, *, gate: Path | None = None, secrets: Iterable[str] = ()
    ) -> None:
        """Know of no call yet.

        Args:
            rules: Which are critical.
            gate: A file that is there as long as shells may begin, see `variables`.
            secrets: Not to be seen in summaries.
        """
        self.rules = rules
        self._gate = gate
        # macOS has a bash of 2007, which the agent program would rather not use.
        is_usable = gate is not None and sys.platform == "linux"
        self._shell = shutil.which("bash") if is_usable else None
        self._secrets = tuple(secrets)
        # Oldest first.
        self._open: dict[str, _Call] = {}
        self._ended: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._is_closed = False

    @property
    def matcher(self) -> str:
        """Which tools' calls the hook is asked about."""
        return f"^{_MCP_PREFIX}.*$" if self._shell else f"^({_SHELL_TOOL}|{_MCP_PREFIX}.*)$"

    @property
    def environment(self) -> dict[str, str]:
        """What the agent's environment needs for the gate."""
        if not self.rules.patterns or self._gate is None or self._shell is None:
            return {}
        return {
            "BASH_ENV": str(_GATE_SCRIPT),
            # Another shell would not read it, nor would a bash that takes itself for the first
            # of a remote login: its input is a socket.
            "CLAUDE_CODE_SHELL": self._shell,
            "SHLVL": "1",
            GATE_VARIABLE: str(self._gate),
        }

    def open_gate(self) -> None:
        """Let shells begin.

        Raises:
            OSError: If the file cannot be made.
        """
        if self.environment and self._gate is not None:
            self._gate.touch()

    async def pre_tool_use(
        self,
        hook_input: HookInput,
        tool_use_id: str | None,
        context: HookContext,  # noqa: ARG002 - the SDK passes it
    ) -> HookJSONOutput:
        """The hook before a call: no opinion on whether it is permitted, unless all is over."""
        if self._is_closed:
            return {
                "hookSpecificOutput": {
                    "hookEventName": "PreToolUse",
                    "permissionDecision": "deny",
                    "permissionDecisionReason": _DENIED_MESSAGE,
                }
            }
        hook_fields: Mapping[str, Any] = hook_input
        if tool_use_id not in self._open:
            self.begin(
                tool_use_id or "",
                str(hook_fields.get("tool_name")),
                hook_fields.get("tool_input") or {},
            )
        return {}

    def begin(
        self,
        tool_use_id: str,
        tool: str,
        tool_input: Mapping[str, Any],
        *,
        parent_tool_use_id: str | None = None,
        message_id: str | None = None,
    ) -> None:
        """Note a call that the agent makes, and mark it if it is critical.

        Args:
            tool_use_id: The call's id.
            tool: What is called.
            tool_input: Its input.
            parent_tool_use_id: The call that started the subagent whose call this is; none of the
                agent's own.
            message_id: The model's answer that the call is part of.  The next one comes when all
                calls of the one before are over, whether or not their results were told.
        """
        call = _Call(parent_tool_use_id=parent_tool_use_id, message_id=message_id, tool=tool)
        for other, earlier in list(self._open.items()):
            if (
                message_id
                and earlier.message_id
                and earlier.parent_tool_use_id == parent_tool_use_id
                and earlier.message_id != message_id
            ):
                self._open.pop(other)
                self._changed.set()
        is_checked = tool == _SHELL_TOOL or tool.startswith(_MCP_PREFIX)
        found = self.rules.find(tool, tool_input) if is_checked else None
        if found is not None:
            pattern, line = found
            line = redact(line, secrets=self._secrets)
            summary = (
                line if len(line) <= _MAX_SUMMARY_CHARS else f"{line[: _MAX_SUMMARY_CHARS - 1]}…"
            )
            call = replace(call, summary=summary, pattern=pattern)
        self._open[tool_use_id] = call

    def end(self, tool_use_id: str) -> None:
        """Note that a call came back, whatever it was."""
        if self._open.pop(tool_use_id, None) is not None:
            self._ended[tool_use_id] = time.monotonic()
            self._changed.set()

    @property
    def running(self) -> Mapping[str, _Call]:
        """The critical calls that are under way.

        Only calls that change nothing go on beside each other, so one that is critical has
        not begun while an earlier one of the same agent is open.
        """
        running: dict[str, _Call] = {}
        busy: set[str | None] = set()
        for tool_use_id, call in self._open.items():
            if call.pattern is not None and call.parent_tool_use_id not in busy:
                running[tool_use_id] = call
            busy.add(call.parent_tool_use_id)
        return running

    def discard_all(self) -> None:
        """The agent is gone: nothing comes back any more."""
        self._open.clear()
        self._changed.set()

    def close_gate(self) -> None:
        """Let no further call begin."""
        self._is_closed = True
        if self.environment and self._gate is not None:
            # Nothing that a full disk could refuse.
            self._gate.unlink(missing_ok=True)

    async def drain(
        self, limit: timedelta, *, force_requested: asyncio.Event
    ) -> tuple[CriticalWait, ...]:
        """Wait until the open calls have ended, the time is over, or force is requested.

        Returns:
            The calls it waited for, oldest first.
        """
        began = time.monotonic()
        waiting = dict(self.running)
        deadline = began + limit.total_seconds()
        while self.running and not force_requested.is_set():
            self._changed.clear()
            remaining = deadline - time.monotonic()
            if not await wait_for_any(force_requested, self._changed, seconds=remaining):
                log.info("%d critical calls did not end in time", len(self.running))
                break
        now = time.monotonic()
        return tuple(
            CriticalWait(
                tool=call.tool,
                summary=call.summary,
                pattern=call.pattern or "",
                milliseconds=round((self._ended.get(tool_use_id, now) - began) * 1000),
                finished=tool_use_id in self._ended,
            )
            for tool_use_id, call in waiting.items()
        )


def _searchable_text(tool: str, tool_input: Mapping[str, Any]) -> str:
    command = tool_input.get("command")
    if tool == "Bash" and isinstance(command, str):
        return command
    return f"{tool} {json.dumps(tool_input, default=str, ensure_ascii=False)}"
