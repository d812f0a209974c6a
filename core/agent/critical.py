"""Critical calls: tool calls that a kill waits for instead of cutting them in half.

The tracker adds a call when the agent program announces it and removes it when its result
arrives; every call gets a result, however it ended.  A kill closes the gate first: from then
on each shell that starts for a tool call exits at once (`gate.sh`), and a hook denies calls to
MCP servers.  Then the kill reads every message that the program sent before the gate closed.
The critical calls known at that point are the ones in progress, and no new one can start.
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
# A shell reads this file before it runs anything else.
GATE_SCRIPT = Path(__file__).with_name("gate.sh")
# The tools that can have effects outside the work tree.  The hook costs a round trip of 2.6 ms
# for each call, so shells are stopped by the gate file instead where that works.
_SHELL_TOOL = "Bash"
_MCP_PREFIX = "mcp__"
DEFAULT_PATTERNS = (
    # Git's options before the subcommand, with or without a value.  Each repetition is bounded:
    # an agent's command can be any text, and the search blocks the event loop.
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
# The longest wait that the configuration may ask for.
MAX_WAIT = timedelta(seconds=10)
# Longer commands carry a file's content; the command itself stands before or after it.
_MAX_SCANNED_CHARS = 4 * 1024
_MAX_SUMMARY_CHARS = 120
# An answer makes some ten calls.  A program that floods its output must not block the event loop,
# since each call is compared with the open ones.
_MAX_CALLS = 500
_DENIED_MESSAGE = "This run is being stopped. Nothing more can be started; end your turn."


@dataclass(frozen=True, kw_only=True)
class CriticalRules:
    """Which calls are critical, and how long a kill waits for them.

    Attributes:
        patterns: Searched for in a shell command, or in an MCP tool's name and input.
            If empty, no call is critical and no hook is installed.
        wait: The longest time a kill waits for all critical calls together.
    """

    patterns: tuple[re.Pattern[str], ...] = ()
    wait: timedelta = DRAIN_LIMIT

    def find(self, tool: str, tool_input: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the pattern that makes a call critical, and the line that matched it."""
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
    """Compile the patterns of a configuration.

    Raises:
        ValueError: If one is not a regular expression; the message names the first such one.
    """
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(re.compile(pattern))
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
    return tuple(compiled)


DEFAULT_RULES = CriticalRules(patterns=compile_patterns(DEFAULT_PATTERNS))


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A tool call that has not returned yet.

    Attributes:
        parent_tool_use_id: The call that started the subagent which makes this call; `None` for
            a call of the main agent.
        message_id: The API's id of the answer that contains the call.
        pattern: The pattern that makes the call critical; `None` if it is not.
    """

    parent_tool_use_id: str | None
    message_id: str | None
    tool: str
    summary: str = ""
    pattern: str | None = None


class CriticalCalls:
    """Tracks the open tool calls of one agent, and holds the gate that stops new ones."""

    def __init__(
        self, rules: CriticalRules, *, gate: Path | None = None, secrets: Iterable[str] = ()
    ) -> None:
        """Start with no open call.

        Args:
            rules: Which calls are critical.
            gate: A file that exists as long as new shells may start, see `environment`.
            secrets: Texts to redact from summaries.
        """
        self.rules = rules
        self._gate = gate
        # macOS ships bash 3.2 of 2007, which the agent program should not be made to use.
        is_usable = gate is not None and sys.platform == "linux"
        self._shell = shutil.which("bash") if is_usable else None
        self._secrets = tuple(secrets)
        # In the order in which they started.
        self._open: dict[str, _Call] = {}
        self._ended: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._is_closed = False

    @property
    def matcher(self) -> str:
        """The regular expression over tool names for which the hook is called."""
        return f"^{_MCP_PREFIX}.*$" if self._shell else f"^({_SHELL_TOOL}|{_MCP_PREFIX}.*)$"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the gate needs in the agent's environment; empty without a gate."""
        if not self.rules.patterns or self._gate is None or self._shell is None:
            return {}
        return {
            "BASH_ENV": str(GATE_SCRIPT),
            # Only bash reads BASH_ENV.  Bash ignores it if its input is a socket and SHLVL is
            # unset, because it then assumes that a remote login started it.
            "CLAUDE_CODE_SHELL": self._shell,
            "SHLVL": "1",
            GATE_VARIABLE: str(self._gate),
        }

    def open_gate(self) -> None:
        """Create the gate file, so that shells may start.

        Raises:
            OSError: If the file cannot be created.
        """
        if self.environment and self._gate is not None:
            self._gate.touch()

    async def pre_tool_use(
        self,
        hook_input: HookInput,
        tool_use_id: str | None,
        context: HookContext,  # noqa: ARG002 - the SDK passes it
    ) -> HookJSONOutput:
        """Record a call before it runs; deny it if the gate is closed.

        Otherwise the hook leaves the decision to the agent's other permission rules.
        """
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
        """Record a call that the agent makes, and whether it is critical.

        Args:
            tool_use_id: The call's id.
            tool: The tool's name.
            tool_input: The tool's input.
            parent_tool_use_id: The call that started the subagent which makes this call; `None`
                for a call of the main agent.
            message_id: The API's id of the answer that contains the call.  An agent's next answer
                comes only after all calls of its previous one have ended, even if their results
                were not reported, so a new id ends the older calls.
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
        _drop_oldest(self._open)

    def end(self, tool_use_id: str) -> None:
        """Record that a call, critical or not, has returned."""
        if self._open.pop(tool_use_id, None) is not None:
            self._ended[tool_use_id] = time.monotonic()
            _drop_oldest(self._ended)
            self._changed.set()

    @property
    def running(self) -> Mapping[str, _Call]:
        """The critical calls in progress, by the call's id.

        The program runs calls in parallel only if they change nothing.  So a critical call has
        not started yet while an earlier call of the same agent is open.
        """
        running: dict[str, _Call] = {}
        busy: set[str | None] = set()
        for tool_use_id, call in self._open.items():
            if call.pattern is not None and call.parent_tool_use_id not in busy:
                running[tool_use_id] = call
            busy.add(call.parent_tool_use_id)
        return running

    def discard_all(self) -> None:
        """Forget all open calls: the agent is gone, and none of them will return."""
        self._open.clear()
        self._changed.set()

    def close_gate(self) -> None:
        """Prevent any further call from starting."""
        self._is_closed = True
        if self.environment and self._gate is not None:
            # Deleting a file works on a full disk, too.
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
                log.info(
                    "%d critical calls did not end in time",
                    len(self.running),
                    extra={"event": "critical_call.timed_out", "count": len(self.running)},
                )
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


def _drop_oldest(calls: dict[str, Any]) -> None:
    while len(calls) > _MAX_CALLS:
        del calls[next(iter(calls))]


def _searchable_text(tool: str, tool_input: Mapping[str, Any]) -> str:
    command = tool_input.get("command")
    if tool == "Bash" and isinstance(command, str):
        return command
    return f"{tool} {json.dumps(tool_input, default=str, ensure_ascii=False)}"
