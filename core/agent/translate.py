"""Translation of the SDK's messages into events.  Pure: the same messages give the same events.

All texts in the events are redacted and clipped, and every other value is checked: no message
makes the translation fail, and no event holds what the database rejects.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from pathlib import PurePath
from typing import Any, TypeVar

from claude_agent_sdk import (
    AssistantMessage,
    Message,
    RateLimitEvent,
    ResultMessage,
    SystemMessage,
    TextBlock,
    ToolResultBlock,
    UserMessage,
)

from core.agent import program_values as read
from core.agent.plan import Plan
from core.agent.results.command_outputs import CommandOutputs
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

T = TypeVar("T")

# More than a model writes in one answer.
_MAX_TEXT_CHARS = 500_000
_MAX_OUTPUT_CHARS = 4_000
_MAX_INPUT_CHARS = 2_000
_MAX_KEY_CHARS = 200
_MAX_SUMMARY_CHARS = 120
_MAX_ERROR_CHARS = 4_000
_MAX_ERRORS = 20
# Of a tool's input.
_MAX_DEPTH = 6
_MAX_VALUES = 1_000
# A summary is the first line of a text, which begins with no more empty lines than this.
_MAX_SUMMARISED_CHARS = 10_000
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
        on_implausible: read.OnImplausible = lambda _name: None,
    ) -> None:
        """Begin with no message.

        Args:
            plan: The task list as the session's earlier runs left it.
            secrets: Texts to redact.
            cwd: The workspace; paths in it are shown relative to it.
            on_implausible: Called with the name of each value that cannot be true.
        """
        self.plan = Plan(items=plan)
        self.pending_message_ids: set[str] = set()
        self._secrets = tuple(secrets)
        self._cwd = cwd
        self._on_implausible = on_implausible
        self._last_usage: TurnUsage | None = None
        self._error_type: str | None = None
        self._commands = CommandOutputs()

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
            resets_at = self._checked("resets_at", info.resets_at, read.moment)
            return [RateLimit(status=read.word(info.status) or "unknown", resets_at=resets_at)]
        if isinstance(message, SystemMessage):
            return list(self._system(message))
        return []

    def _assistant(self, message: AssistantMessage) -> Iterator[AgentEvent]:
        is_subagent = message.parent_tool_use_id is not None
        # A text of the program in place of the model's: an API error, which the result repeats.
        is_synthetic = message.model == "<synthetic>"
        if not is_subagent:
            self._error_type = read.word(message.error)
        yield from self._consumed_messages(message.user_message_uuids)
        message_id = read.identifier(message.message_id)
        if message_id is not None and not is_synthetic:
            turn = TurnUsage(
                message_id=message_id,
                usage=read.answer_usage(message.usage, on_implausible=self._on_implausible),
                model=read.model_name(message.model),
                is_subagent=is_subagent,
            )
            # Each block of an answer arrives as a separate message with the same usage.
            if turn != self._last_usage:
                self._last_usage = turn
                yield turn
        for block in read.blocks(message.content):
            call = read.tool_call(block)
            text = block.text if isinstance(block, TextBlock) else None
            if isinstance(text, str) and text.strip() and not is_synthetic:
                yield AgentText(
                    text=self._clean(text, max_chars=_MAX_TEXT_CHARS),
                    message_uuid=read.identifier(message.uuid),
                    message_id=message_id,
                    is_subagent=is_subagent,
                )
            elif call is not None:
                self._commands.add_call(call.id, call.name, call.input)
                started = ToolStarted(
                    tool_use_id=call.id,
                    name=call.name,
                    summary=self._summary(call.input),
                    input=self._clip_values(call.input, left=iter(range(_MAX_VALUES))),
                    is_subagent=is_subagent,
                )
                yield started
                yield from self._plan_changes(started)

    def _user(self, message: UserMessage) -> Iterator[AgentEvent]:
        yield from self._consumed_messages([message.uuid])
        for block in read.blocks(message.content):
            if not isinstance(block, ToolResultBlock):
                continue
            call_id = read.identifier(block.tool_use_id)
            output = read.result_text(block.content)
            if call_id is not None:
                finished = ToolFinished(
                    tool_use_id=call_id,
                    is_error=bool(block.is_error),
                    output=self._clean(output, max_chars=_MAX_OUTPUT_CHARS),
                    tests=self._commands.test_results(call_id, output),
                    is_subagent=message.parent_tool_use_id is not None,
                )
                yield finished
                yield from self._plan_changes(finished)

    def _system(self, message: SystemMessage) -> Iterator[AgentEvent]:
        data = message.data
        if message.subtype == "init":
            yield AgentStarted(
                session_id=read.identifier(data.get("session_id")) or "",
                model=read.model_name(data.get("model")),
                program_version=read.word(data.get("claude_code_version")),
                tools=read.identifiers(data.get("tools")),
            )
            yield from self._consumed_messages(data.get("user_message_uuids"))
        elif message.subtype == "api_retry":
            yield ApiRetry(
                attempt=self._checked("attempt", data.get("attempt"), read.retries) or 1,
                max_attempts=self._checked("max_retries", data.get("max_retries"), read.retries),
                delay_ms=self._checked(
                    "retry_delay_ms", data.get("retry_delay_ms"), read.milliseconds
                ),
                error=self._clean(read.retry_error(data), max_chars=_MAX_ERROR_CHARS),
                status=read.http_status(data.get("error_status")),
                error_type=read.word(data.get("error")),
            )

    def _result(self, message: ResultMessage) -> AgentResult:
        text: Any = message.result
        errors: Any = message.errors
        usage, has_prices = read.attempt_usage(
            message.model_usage, on_implausible=self._on_implausible
        )
        cost_usd = self._checked("total_cost_usd", message.total_cost_usd, read.cost_usd)
        # A cost of 0 without a call that was answered reports nothing.
        is_cost_known = has_prices and (usage is not None or bool(cost_usd))
        return AgentResult(
            subtype=read.word(message.subtype) or "unknown",
            is_error=bool(message.is_error),
            text=self._clean(text, max_chars=_MAX_TEXT_CHARS) if isinstance(text, str) else None,
            cost_usd=cost_usd if is_cost_known else None,
            usage=usage,
            terminal_reason=read.word(message.terminal_reason),
            errors=tuple(
                self._clean(error, max_chars=_MAX_ERROR_CHARS)
                for error in islice(errors if isinstance(errors, list) else (), _MAX_ERRORS)
                if isinstance(error, str)
            ),
            api_error_status=read.http_status(message.api_error_status),
            error_type=self._error_type if message.is_error else None,
            stop_reason=read.word(message.stop_reason),
        )

    def _checked(self, name: str, value: Any, reader: Callable[[Any], T | None]) -> T | None:
        """Read a value that may be missing; report one that cannot be true."""
        found = reader(value)
        if found is None and value is not None:
            self._on_implausible(name)
        return found

    def _plan_changes(self, event: ToolStarted | ToolFinished) -> Iterator[PlanChanged]:
        before, self.plan = self.plan, self.plan.apply(event)
        if self.plan.items != before.items:
            yield PlanChanged(items=self.plan.items)

    def _consumed_messages(self, uuids: Any) -> Iterator[MessageConsumed]:
        for uuid in read.identifiers(uuids):
            if uuid in self.pending_message_ids:
                self.pending_message_ids.discard(uuid)
                yield MessageConsumed(message_uuid=uuid)

    def _clean(self, text: str, *, max_chars: int) -> str:
        if len(text) <= max_chars:
            return redact(text, secrets=self._secrets)
        clipped = redact(text[: max_chars + _REDACTION_MARGIN], secrets=self._secrets)
        if len(clipped) < max_chars:
            # So much was redacted that the cut shows, and it may be in the middle of a secret.
            clipped = clipped[: max(clipped.rfind(" "), clipped.rfind("\n"), 0)]
        return f"{clipped[:max_chars]}\n… ({len(text) - max_chars} more characters)"

    def _clip_values(
        self, value: Any, *, left: Iterator[int], name: str = "", depth: int = 0
    ) -> Any:
        """Redact and clip the texts of a value.

        Args:
            value: A tool's input, or a part of it.
            left: Has an item for each value that may still be kept; the others become "…".
            name: The key of the value.
            depth: The number of values around it.
        """
        if depth > _MAX_DEPTH or (depth > 0 and next(left, None) is None):
            return "…"
        if isinstance(value, str):
            shown = redact_field(name, value, secrets=self._secrets) if len(value) < 500 else value
            return self._clean(shown, max_chars=_MAX_INPUT_CHARS)
        if isinstance(value, Mapping):
            return {
                self._clean(str(key), max_chars=_MAX_KEY_CHARS): self._clip_values(
                    item, left=left, name=str(key)[:_MAX_KEY_CHARS], depth=depth + 1
                )
                for key, item in islice(value.items(), _MAX_VALUES)
            }
        if isinstance(value, list):
            return [
                self._clip_values(item, left=left, depth=depth + 1)
                for item in islice(value, _MAX_VALUES)
            ]
        return value

    def _summary(self, tool_input: Mapping[str, Any]) -> str:
        task_id = tool_input.get("taskId")
        if isinstance(task_id, str | int):
            status = read.word(tool_input.get("status")) or ""
            return f"#{task_id} {status}".strip()[:_MAX_SUMMARY_CHARS]
        text = next(
            (tool_input[key] for key in _SUMMARY_KEYS if isinstance(tool_input.get(key), str)), ""
        )
        line = next(iter(text[:_MAX_SUMMARISED_CHARS].strip().splitlines()), "")
        if line.startswith("/") and self._cwd:
            path = PurePath(line)
            if path.is_relative_to(self._cwd):
                line = str(path.relative_to(self._cwd))
        line = redact(line[: _MAX_SUMMARY_CHARS + _REDACTION_MARGIN], secrets=self._secrets)
        return line if len(line) <= _MAX_SUMMARY_CHARS else f"{line[: _MAX_SUMMARY_CHARS - 1]}…"
