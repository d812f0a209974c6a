"""Translation of the SDK's messages into events.  Pure: the same messages give the same events.

All texts in the events are redacted, and clipped where they may be huge.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from claude_agent_sdk import (
    AssistantMessage,
    Message,
    RateLimitEvent,
    ResultMessage,
    SystemMessage,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from core.agent.plan import Plan
from core.domain.redact import redact, redact_field
from core.domain.runs.event import (
    AgentEvent,
    AgentResult,
    AgentStarted,
    AgentText,
    ApiRetry,
    MessageConsumed,
    PlanChanged,
    PlanItem,
    RateLimit,
    ToolFinished,
    ToolStarted,
    TurnUsage,
)
from core.domain.runs.run import Usage

_MAX_OUTPUT_CHARS = 4_000
_MAX_INPUT_CHARS = 2_000
_MAX_SUMMARY_CHARS = 120
# The most that is believed of one answer: over a thousand times a model's context.
_MAX_TOKENS = 10**9
# Characters beyond the limit that are redacted too: a secret must not be cut in half, because
# its first half would not be recognised.
_REDACTION_MARGIN = 1_000
# The fields of a tool's input that describe a call in one line, best first.
_SUMMARY_KEYS = (
    "subject", "description", "command", "file_path", "notebook_path", "path", "pattern", "query",
    "url", "skill", "prompt",
)  # fmt: skip


class Translator:
    """Translates the messages of one attempt, in order.

    Attributes:
        plan: The agent's task list so far.
        pending_message_ids: Ids of messages to the agent that it has not consumed yet.
    """

    def __init__(
        self,
        *,
        plan: tuple[PlanItem, ...] = (),
        secrets: Collection[str] = (),
        cwd: str = "",
    ) -> None:
        self.plan = Plan(items=plan)
        self.pending_message_ids: set[str] = set()
        self._secrets = tuple(secrets)
        self._cwd = cwd
        self._last_usage: TurnUsage | None = None

    def translate(self, message: Message) -> list[AgentEvent]:
        """Return the events of one message, in the order in which they happened."""
        if isinstance(message, AssistantMessage):
            return list(self._assistant(message))
        if isinstance(message, UserMessage):
            return list(self._user(message))
        if isinstance(message, ResultMessage):
            return [self._result(message)]
        if isinstance(message, RateLimitEvent):
            info = message.rate_limit_info
            return [RateLimit(status=info.status, resets_at=_to_datetime(info.resets_at))]
        if isinstance(message, SystemMessage):
            return list(self._system(message))
        return []

    def _assistant(self, message: AssistantMessage) -> Iterator[AgentEvent]:
        is_subagent = message.parent_tool_use_id is not None
        # A text of the program in place of the model's: an API error, which the result repeats.
        is_synthetic = message.model == "<synthetic>"
        yield from self._consumed_messages(message.user_message_uuids or ())
        if message.message_id and message.usage and not is_synthetic:
            turn = TurnUsage(
                message_id=message.message_id,
                usage=_usage(message.usage),
                model=message.model,
                is_subagent=is_subagent,
            )
            # Each block of an answer arrives as a separate message with the same usage.
            if turn != self._last_usage:
                self._last_usage = turn
                yield turn
        for block in message.content:
            if isinstance(block, TextBlock) and block.text.strip() and not is_synthetic:
                yield AgentText(
                    text=self._clean(block.text),
                    message_uuid=message.uuid,
                    is_subagent=is_subagent,
                )
            elif isinstance(block, ToolUseBlock):
                started = ToolStarted(
                    tool_use_id=block.id,
                    name=block.name,
                    summary=self._summary(block.input),
                    input=self._clip_values(block.input),
                    is_subagent=is_subagent,
                )
                yield started
                yield from self._plan_changes(started)

    def _user(self, message: UserMessage) -> Iterator[AgentEvent]:
        if message.uuid is not None:
            yield from self._consumed_messages((message.uuid,))
        if isinstance(message.content, str):
            return
        for block in message.content:
            if isinstance(block, ToolResultBlock):
                finished = ToolFinished(
                    tool_use_id=block.tool_use_id,
                    is_error=bool(block.is_error),
                    output=self._clean(_text(block.content), max_chars=_MAX_OUTPUT_CHARS),
                    is_subagent=message.parent_tool_use_id is not None,
                )
                yield finished
                yield from self._plan_changes(finished)

    def _system(self, message: SystemMessage) -> Iterator[AgentEvent]:
        data = message.data
        if message.subtype == "init":
            yield AgentStarted(
                session_id=str(data.get("session_id") or ""),
                model=data.get("model"),
                program_version=data.get("claude_code_version"),
                tools=tuple(data.get("tools") or ()),
            )
            yield from self._consumed_messages(data.get("user_message_uuids") or ())
        elif message.subtype == "api_retry":
            yield ApiRetry(
                attempt=int(data.get("attempt") or 1),
                max_attempts=data.get("max_retries"),
                delay_ms=_to_int(data.get("retry_delay_ms")),
                error=self._clean(_retry_error(data)),
            )

    def _result(self, message: ResultMessage) -> AgentResult:
        cost = message.total_cost_usd
        return AgentResult(
            subtype=message.subtype,
            is_error=message.is_error,
            turns=message.num_turns,
            text=None if message.result is None else self._clean(message.result),
            # Rounded to the column's seven decimals, since the rest is binary-fraction noise.
            cost_usd=None if cost is None else round(Decimal(str(cost)), 7),
            usage=_usage(message.usage or {}),
            terminal_reason=message.terminal_reason,
            errors=tuple(self._clean(str(error)) for error in message.errors or ()),
            api_error_status=message.api_error_status,
        )

    def _plan_changes(self, event: ToolStarted | ToolFinished) -> Iterator[PlanChanged]:
        before, self.plan = self.plan, self.plan.apply(event)
        if self.plan.items != before.items:
            yield PlanChanged(items=self.plan.items)

    def _consumed_messages(self, uuids: Collection[str]) -> Iterator[MessageConsumed]:
        for uuid in uuids:
            if uuid in self.pending_message_ids:
                self.pending_message_ids.discard(uuid)
                yield MessageConsumed(message_uuid=uuid)

    def _clean(self, text: str, *, max_chars: int | None = None) -> str:
        if max_chars is None or len(text) <= max_chars:
            return redact(text, secrets=self._secrets)
        clipped = redact(text[: max_chars + _REDACTION_MARGIN], secrets=self._secrets)
        if len(clipped) < max_chars:
            # So much was redacted that the cut shows, and it may be in the middle of a secret.
            clipped = clipped[: max(clipped.rfind(" "), clipped.rfind("\n"), 0)]
        return f"{clipped[:max_chars]}\n… ({len(text) - max_chars} more characters)"

    def _clip_values(self, value: Any, *, name: str = "", depth: int = 0) -> Any:
        if isinstance(value, str):
            shown = redact_field(name, value, secrets=self._secrets) if len(value) < 500 else value
            return self._clean(shown, max_chars=_MAX_INPUT_CHARS)
        if depth > 6:
            return "…"
        if isinstance(value, Mapping):
            return {
                self._clean(str(key)): self._clip_values(item, name=str(key), depth=depth + 1)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._clip_values(item, depth=depth + 1) for item in value]
        return value

    def _summary(self, tool_input: Mapping[str, Any]) -> str:
        if "taskId" in tool_input:
            return f"#{tool_input['taskId']} {tool_input.get('status') or ''}".strip()[
                :_MAX_SUMMARY_CHARS
            ]
        text = next(
            (tool_input[key] for key in _SUMMARY_KEYS if isinstance(tool_input.get(key), str)), ""
        )
        line = next(iter(text.strip().splitlines()), "")
        if line.startswith("/") and self._cwd:
            path = PurePath(line)
            if path.is_relative_to(self._cwd):
                line = str(path.relative_to(self._cwd))
        line = redact(line[: _MAX_SUMMARY_CHARS + _REDACTION_MARGIN], secrets=self._secrets)
        return line if len(line) <= _MAX_SUMMARY_CHARS else f"{line[: _MAX_SUMMARY_CHARS - 1]}…"


def usage_of_entry(entry: Any) -> TurnUsage | None:
    """Return the usage that a transcript entry records; `None` if it is no model's answer.

    An answer's message arrives before the answer is complete, with the usage at its start.  The
    transcript has the final usage.
    """
    message = entry.get("message")
    if entry.get("type") != "assistant" or not isinstance(message, dict):
        return None
    model = message.get("model")
    if not message.get("id") or not message.get("usage") or model == "<synthetic>":
        return None
    return TurnUsage(
        message_id=str(message["id"]),
        usage=_usage(message["usage"]),
        model=model if isinstance(model, str) else None,
        is_subagent=bool(entry.get("isSidechain")),
    )


def _usage(value: Any) -> Usage:
    counts = value if isinstance(value, Mapping) else {}
    return Usage(
        input_tokens=_tokens(counts.get("input_tokens")),
        output_tokens=_tokens(counts.get("output_tokens")),
        cache_read_tokens=_tokens(counts.get("cache_read_input_tokens")),
        cache_creation_tokens=_tokens(counts.get("cache_creation_input_tokens")),
    )


def _tokens(value: Any) -> int:
    """Read a count of tokens; anything implausible counts as 0."""
    return value if isinstance(value, int) and 0 <= value <= _MAX_TOKENS else 0


def _text(content: str | list[dict[str, Any]] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(
        str(part.get("text") or "") if part.get("type") == "text" else f"[{part.get('type')}]"
        for part in content
    )


def _retry_error(fields: Mapping[str, Any]) -> str:
    status = fields.get("error_status")
    error = str(fields.get("error") or "the call failed")
    return error if status is None else f"{error} (HTTP {status})"


def _to_datetime(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _to_int(value: Any) -> int | None:
    return round(value) if isinstance(value, int | float) else None
