"""The events of a run as lines of a log: plain text, one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from core.domain.runs.event import EventKind, EventRecord

_MAX_LINE_CHARS = 400
_FREQUENT = frozenset({EventKind.AGENT_TEXT, EventKind.TOOL_STARTED, EventKind.TOOL_FINISHED})
Data = Mapping[str, Any]


def log_line(event: EventRecord) -> str:
    """An event as a line: its time in UTC, and what happened."""
    at = event.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{at} {log_text(event)}"


def log_text(event: EventRecord) -> str:
    """What happened, in one line."""
    return _one_line(TEXTS[event.kind](event.data))


def whole_text(event: EventRecord) -> str:
    """What happened, with all of the text that the event has, in as many lines as it has."""
    return TEXTS[event.kind](event.data)


def kinds_named(text: str) -> frozenset[EventKind]:
    """The kinds of events whose own words contain a text, in upper or lower case.

    Those of the agent's words and its tools, which most lines have, are left out.
    """
    wanted = text.casefold()
    return frozenset(
        kind for kind in TEXTS if kind not in _FREQUENT and wanted in TEXTS[kind]({}).casefold()
    )


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_LINE_CHARS else f"{line[: _MAX_LINE_CHARS - 1]}…"


def _value(data: Data, name: str) -> str:
    value = data.get(name)
    return "" if value is None else str(value)


def _with(words: str, *names: str) -> Callable[[Data], str]:
    """Words, followed by those of the values that there are."""

    def text(data: Data) -> str:
        return " ".join(filter(None, [words, *(_value(data, name) for name in names)]))

    return text


def _tool_finished(data: Data) -> str:
    end = "failed" if data.get("error") else "ended"
    output = _value(data, "output")
    return f"tool {end}: {output}" if output.strip() else f"tool {end}"


def _plan(data: Data) -> str:
    items = data.get("items")
    listed = [item for item in items if isinstance(item, list)] if isinstance(items, list) else []
    done = sum(item[-1:] == ["completed"] for item in listed)
    return f"plan: {done} of {len(listed)} steps completed"


def _retry(data: Data) -> str:
    limit = f" of {data['max_attempts']}" if data.get("max_attempts") is not None else ""
    return f"the model is asked again ({_value(data, 'attempt')}{limit}): {_value(data, 'error')}"


def _carried(data: Data) -> str:
    return f"work kept for the next run: {_value(data, 'commit') or 'nothing new'}"


TEXTS: Mapping[EventKind, Callable[[Data], str]] = MappingProxyType(
    {
        EventKind.RUN_QUEUED: _with("queued by", "by"),
        EventKind.RUN_STARTED: _with("started on worker", "worker"),
        EventKind.RUN_REQUEUED: _with("back in the queue:", "why"),
        EventKind.ATTEMPT_FAILED: _with("attempt failed:", "class", "error", "retry_at"),
        EventKind.RUN_ENDED: _with("ended:", "stop_reason"),
        EventKind.WORKSPACE_READY: _with("workspace ready", "commit"),
        EventKind.AGENT_STARTED: _with("agent started", "model"),
        EventKind.AGENT_TEXT: _with("agent:", "text"),
        EventKind.TOOL_STARTED: _with("tool", "name", "summary"),
        EventKind.TOOL_FINISHED: _tool_finished,
        EventKind.PLAN_CHANGED: _plan,
        EventKind.API_RETRY: _retry,
        EventKind.RATE_LIMIT: _with("usage limit:", "status", "resets_at"),
        EventKind.MESSAGE_CONSUMED: _with("the agent read a message"),
        EventKind.AGENT_RESULT: _with("agent ended:", "subtype", "error_type"),
        EventKind.KILL_PHASE: _with("kill:", "phase"),
        EventKind.CRITICAL_WAITED: _with("the kill waited for", "summary"),
        EventKind.KILL_UNCONFIRMED: _with("kill not confirmed, survivors:", "survivors"),
        EventKind.WORKER_LOST: _with("worker lost", "worker"),
        EventKind.LEFTOVERS_ENDED: _with("leftovers of an earlier attempt were ended"),
        EventKind.WORK_CARRIED: _carried,
        EventKind.WORK_RESTORED: _with("work restored", "commit"),
        EventKind.CHECKPOINT_RESTORED: _with("files at checkpoint", "checkpoint", "commit"),
        EventKind.HOST_REFUSED: _with("network: refused", "host", "port"),
        EventKind.MCP_SERVER_FAILED: _with("MCP server not connected:", "name", "reason"),
    }
)
