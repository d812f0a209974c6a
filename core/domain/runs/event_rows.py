"""The rows of `run_events` that store the events of an agent."""

from __future__ import annotations

from datetime import datetime

from core.domain.failure_cause import retry_cause
from core.domain.redact import redact
from core.domain.runs.event import (
    AgentEvent,
    AgentResult,
    AgentStarted,
    AgentText,
    ApiRetry,
    EventKind,
    EventRecord,
    HostRefused,
    McpServerFailed,
    MessageConsumed,
    PlanChanged,
    RateLimit,
    ToolFinished,
    ToolStarted,
    TurnUsage,
)

# The most characters of a text; the transcript has the whole text.
_MAX_TEXT_CHARS = 4_000


def record_of(event: AgentEvent, at: datetime) -> EventRecord | None:
    """The row of an event; `None` for counts, which are kept with the run itself."""
    found = _kind_and_data(event)
    return None if found is None else EventRecord(kind=found[0], at=at, data=found[1])


def _kind_and_data(event: AgentEvent) -> tuple[EventKind, dict[str, object]] | None:  # noqa: C901
    match event:
        case AgentStarted():
            return EventKind.AGENT_STARTED, {
                "model": event.model,
                "program_version": event.program_version,
            }
        case AgentText():
            return EventKind.AGENT_TEXT, {
                "text": _clip(event.text),
                "uuid": event.message_uuid,
                "subagent": event.is_subagent,
            }
        case ToolStarted():
            return EventKind.TOOL_STARTED, {
                "id": event.tool_use_id,
                "name": event.name,
                "summary": _clip(event.summary),
                "subagent": event.is_subagent,
            }
        case ToolFinished():
            return EventKind.TOOL_FINISHED, {
                "id": event.tool_use_id,
                "error": event.is_error,
                "output": _clip(event.output),
            }
        case PlanChanged():
            return EventKind.PLAN_CHANGED, {
                "items": [[item.source_id, item.name, item.status] for item in event.items]
            }
        case ApiRetry():
            return EventKind.API_RETRY, {
                "attempt": event.attempt,
                "max_attempts": event.max_attempts,
                "delay_ms": event.delay_ms,
                "error": _clip(event.error),
                "cause": retry_cause(event.status, event.error_type).value,
            }
        case RateLimit():
            return EventKind.RATE_LIMIT, {
                "status": event.status,
                "resets_at": event.resets_at.isoformat() if event.resets_at else None,
            }
        case HostRefused(count=1):
            return EventKind.HOST_REFUSED, {
                "host": event.host,
                "port": event.port,
                "address": event.address,
            }
        case McpServerFailed():
            return EventKind.MCP_SERVER_FAILED, {"name": event.name, "reason": event.reason}
        case MessageConsumed():
            return EventKind.MESSAGE_CONSUMED, {"uuid": event.message_uuid}
        case AgentResult():
            return EventKind.AGENT_RESULT, {
                "subtype": event.subtype,
                "terminal_reason": event.terminal_reason,
                "status": event.api_error_status,
                "error_type": event.error_type,
                "errors": [_clip(error) for error in event.errors],
            }
        case HostRefused() | TurnUsage():
            return None


def _clip(text: str) -> str:
    return redact(text)[:_MAX_TEXT_CHARS]
