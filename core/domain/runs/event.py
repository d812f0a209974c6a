"""The events of a run.

`core.agent` translates the messages of the agent program into the typed events of this module;
they are stored as rows of `run_events`, each with its kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from core.domain.runs.run import Usage
from core.domain.runs.step import StepStatus
from core.domain.test_output.counts import ResultsByEcosystem


class EventKind(StrEnum):
    """Types of rows in `run_events`."""

    RUN_QUEUED = "run_queued"
    RUN_STARTED = "run_started"
    RUN_REQUEUED = "run_requeued"
    ATTEMPT_FAILED = "attempt_failed"
    RUN_ENDED = "run_ended"
    WORKSPACE_READY = "workspace_ready"
    AGENT_STARTED = "agent_started"
    AGENT_TEXT = "agent_text"
    TOOL_STARTED = "tool_started"
    TOOL_FINISHED = "tool_finished"
    PLAN_CHANGED = "plan_changed"
    API_RETRY = "api_retry"
    RATE_LIMIT = "rate_limit"
    MESSAGE_CONSUMED = "message_consumed"
    AGENT_RESULT = "agent_result"
    KILL_PHASE = "kill_phase"
    CRITICAL_WAITED = "critical_waited"
    KILL_UNCONFIRMED = "kill_unconfirmed"
    WORKER_LOST = "worker_lost"
    LEFTOVERS_ENDED = "leftovers_ended"
    WORK_CARRIED = "work_carried"
    WORK_RESTORED = "work_restored"
    CHECKPOINT_RESTORED = "checkpoint_restored"
    HOST_REFUSED = "host_refused"
    MCP_SERVER_FAILED = "mcp_server_failed"


@dataclass(frozen=True, kw_only=True)
class AgentStarted:
    """The agent program has started its session."""

    session_id: str
    model: str | None
    program_version: str | None = None
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TurnUsage:
    """One API answer to the main agent or a subagent, and its token usage.

    Attributes:
        message_id: The API's id of the answer.  Several events may report the same answer; it
            counts once, with the usage of the last of them.
        usage: `None` if the answer has none, or none that can be true.
        is_final: Whether the answer was complete.  An answer's messages arrive before that, with
            the usage at its start; the transcript has the final one.
        calls: Id and name of tool calls of the answer.  Those of a subagent's subagents are in no
            message of the program, but in the transcript.
    """

    message_id: str
    usage: Usage | None
    model: str | None = None
    is_subagent: bool = False
    is_final: bool = False
    calls: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class AgentText:
    """A text of the agent; `message_id` is the API's id of the answer that contains it."""

    text: str
    message_uuid: str | None = None
    message_id: str | None = None
    is_subagent: bool = False


@dataclass(frozen=True, kw_only=True)
class ToolStarted:
    """The agent calls a tool.

    Attributes:
        summary: A short line for people: the file, the command, the pattern.
        input: The tool's input, redacted and clipped.
    """

    tool_use_id: str
    name: str
    summary: str
    input: Mapping[str, Any] = field(default_factory=dict)
    is_subagent: bool = False


@dataclass(frozen=True, kw_only=True)
class ToolFinished:
    """A tool call has returned.

    Attributes:
        output: Redacted and clipped.
        tests: The test results in the whole output of a command; empty for any other tool.
    """

    tool_use_id: str
    is_error: bool
    output: str
    tests: ResultsByEcosystem = field(default_factory=dict)
    is_subagent: bool = False


@dataclass(frozen=True, kw_only=True)
class PlanItem:
    """One item of the agent's task list.

    Attributes:
        source_id: The agent's own id of the item ("1" of "Task #1").
        active_name: The name while the item is in progress ("Running tests").
    """

    source_id: str
    name: str
    status: StepStatus
    active_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlanChanged:
    """The task list has changed; `items` is the whole new list in order."""

    items: tuple[PlanItem, ...]


@dataclass(frozen=True, kw_only=True)
class ApiRetry:
    """A call of the program to the model failed; the program retries it automatically.

    Attributes:
        error: Why it failed, as a text.
        status: The HTTP status; `None` if there was no answer.
        error_type: The program's class of the error.
    """

    attempt: int
    max_attempts: int | None
    delay_ms: int | None
    error: str
    status: int | None = None
    error_type: str | None = None


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """The program reported the state of the account's usage limit.

    Attributes:
        status: One of the program's values `allowed`, `allowed_warning`, `rejected`.
        resets_at: When the limit ends, if the program says so.
    """

    status: str
    resets_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class MessageConsumed:
    """A message sent to the agent has become part of its conversation."""

    message_uuid: str


@dataclass(frozen=True, kw_only=True)
class McpServerFailed:
    """An MCP server did not connect, so the agent works without its tools.

    Attributes:
        reason: Why, as the end of a sentence; redacted.
    """

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class HostRefused:
    """The agent, or a program that it started, asked for a host that it may not reach.

    Reported at the first refusal of each host and port in an attempt, and once more, with the
    final count, at the attempt's end.

    Attributes:
        host: `None` stands for all hosts after the first 50.
        count: The number of refusals so far.
        address: If the host is listed: the forbidden address to which its name leads.
    """

    host: str | None = None
    port: int | None = None
    count: int = 1
    address: str | None = None


@dataclass(frozen=True, kw_only=True)
class AgentResult:
    """The program's report on how its work ended; of several, the last one counts.

    Its number of turns is no part of this: the program counts tool results there, and only those
    since the last message of a person.

    Attributes:
        subtype: One of the program's values `success`, `error_max_turns`, `error_max_budget_usd`,
            `error_during_execution`…
        cost_usd: The cost since the process started, in US dollars, subagents included; `None` if
            unknown, also if the program used the price of another model.
        usage: The tokens of the same calls as the cost; `None` if unknown.
        error_type: The program's class of the API's error: `authentication_failed`,
            `model_not_found`, `rate_limit`…
        stop_reason: Why the model's last answer ended: `end_turn`, `refusal`…
    """

    subtype: str
    is_error: bool
    text: str | None
    cost_usd: Decimal | None
    usage: Usage | None
    terminal_reason: str | None = None
    errors: tuple[str, ...] = ()
    api_error_status: int | None = None
    error_type: str | None = None
    stop_reason: str | None = None


AgentEvent = (
    AgentStarted
    | TurnUsage
    | AgentText
    | ToolStarted
    | ToolFinished
    | PlanChanged
    | ApiRetry
    | RateLimit
    | MessageConsumed
    | HostRefused
    | McpServerFailed
    | AgentResult
)


@dataclass(frozen=True, kw_only=True)
class EventRecord:
    """One row of `run_events`.

    Attributes:
        id: Ids increase; 0 until the event is stored.
        may_be_stored: Whether a write of it failed in a way that leaves open if it took effect:
            its answer was lost, or it was cancelled.
    """

    kind: EventKind
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0
    may_be_stored: bool = field(default=False, compare=False)
