"""What an agent says of itself while it works, as typed facts.

The agent's own messages are translated into these at the border (`core.agent`), and
stored as rows of `run_events` by their `kind`.
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


class EventKind(StrEnum):
    """Types of rows in `run_events`."""

    RUN_QUEUED = "run_queued"
    RUN_STARTED = "run_started"
    RUN_REQUEUED = "run_requeued"
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


@dataclass(frozen=True, kw_only=True)
class AgentStarted:
    """The program is up and has told its session."""

    session_id: str
    model: str | None
    program_version: str | None = None
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TurnUsage:
    """One API answer of the main agent or a subagent.

    Attributes:
        message_id: The API's id of the answer; blocks of one answer share it, and its
            usage counts once (the last one seen holds).
    """

    message_id: str
    usage: Usage
    model: str | None = None
    is_subagent: bool = False


@dataclass(frozen=True, kw_only=True)
class AgentText:
    """Words of the agent."""

    text: str
    message_uuid: str | None = None
    is_subagent: bool = False


@dataclass(frozen=True, kw_only=True)
class ToolStarted:
    """The agent calls a tool.

    Attributes:
        summary: One short line for people: the file, the command, the pattern.
    """

    tool_use_id: str
    name: str
    summary: str
    input: Mapping[str, Any] = field(default_factory=dict)
    is_subagent: bool = False


@dataclass(frozen=True, kw_only=True)
class ToolFinished:
    """A tool call came back.  `output` is clipped for keeping."""

    tool_use_id: str
    is_error: bool
    output: str
    is_subagent: bool = False


@dataclass(frozen=True, kw_only=True)
class PlanItem:
    """One item of the agent's task list."""

    source_id: str
    name: str
    status: StepStatus
    active_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlanChanged:
    """The whole task list as it now stands, in order."""

    items: tuple[PlanItem, ...]


@dataclass(frozen=True, kw_only=True)
class ApiRetry:
    """The program's call to the model failed; it tries again by itself."""

    attempt: int
    max_attempts: int | None
    delay_ms: int | None
    error: str


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """The account's usage limit was reported.

    Attributes:
        status: The program's word: `allowed`, `allowed_warning`, `rejected`.
    """

    status: str
    resets_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class MessageConsumed:
    """A message sent in mid-run has reached the agent."""

    message_uuid: str


@dataclass(frozen=True, kw_only=True)
class AgentResult:
    """The program's own account of how its work ended; of several the last one counts.

    Attributes:
        subtype: The program's word: `success`, `error_max_turns`, `error_max_budget_usd`,
            `error_during_execution`…
        cost_usd: Cumulative for the process, in US dollars.
        usage: Of this leg.
    """

    subtype: str
    is_error: bool
    turns: int
    text: str | None
    cost_usd: Decimal | None
    usage: Usage
    terminal_reason: str | None = None
    errors: tuple[str, ...] = ()
    api_error_status: int | None = None


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
    | AgentResult
)


@dataclass(frozen=True, kw_only=True)
class EventRecord:
    """One row of `run_events`.  `id` grows; it is 0 until stored."""

    kind: EventKind
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0
