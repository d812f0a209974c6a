"""The progress of a running attempt, gathered from its events for the next write."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from core.agent.steps import end_steps, fold_steps
from core.domain.price import estimate_usd, plausible_usd
from core.domain.redact import redact
from core.domain.runs.changes import RunChanges
from core.domain.runs.event import (
    AgentEvent,
    AgentResult,
    AgentStarted,
    AgentText,
    EventKind,
    EventRecord,
    HostRefused,
    PlanChanged,
    PlanItem,
    RateLimit,
    ToolFinished,
    ToolStarted,
    TurnUsage,
)
from core.domain.runs.event_rows import record_of
from core.domain.runs.refused_hosts import REFUSED_HOSTS_KEY, RefusedHosts
from core.domain.runs.run import CostSource, StopReason, Usage
from core.domain.runs.step import MAX_TOOLS, Step
from core.runner.execution.parsed_tests import TestCounts, parse_test_counts
from core.runner.execution.prior_usage import Cost, PriorUsage

_ACTIVITY_CHARS = 200
# For English text and code; Anthropic's own rule of thumb.
_CHARS_PER_TOKEN = 4
# The report of an attempt is chosen among the last few texts only.
_MAX_TEXTS = 20
# Beyond the turns of any run: a program that floods its output must not fill the memory.
_MAX_ANSWERS = 20_000
NO_PRIOR_USAGE = PriorUsage()


class Progress:
    """The progress of one attempt, added to the usage of the run's earlier attempts.

    Attributes:
        prior_usage: The usage of earlier attempts; all totals include it.
        result: The last result that the agent program reported, if any.
        texts: The main agent's last texts, oldest first.
        tests: Counts of the last test run whose summary was seen.
        plan: The agent's newest task list; the session's next run starts with it.
        is_dirty: Whether there were events since the last `drain`.
    """

    def __init__(
        self,
        *,
        model: str | None,
        plan: tuple[PlanItem, ...] = (),
        prior_usage: PriorUsage = NO_PRIOR_USAGE,
    ) -> None:
        self.prior_usage = prior_usage
        self._attempt_refusals = RefusedHosts()
        self.result: AgentResult | None = None
        self.texts: list[str] = []
        self.plan = plan
        self.steps: tuple[Step, ...] = ()
        self.is_dirty = False
        self.model = model
        self.rate_limit: RateLimit | None = None
        self.tests: TestCounts | None = None
        self._usage: dict[str, TurnUsage] = {}
        self._tool_results = 0
        self._output_chars = 0
        self._tool_calls = prior_usage.tool_calls
        self._tools_used: dict[str, None] = dict.fromkeys(prior_usage.tools_used)
        self._activity: tuple[datetime, str] | None = None
        self._records: list[EventRecord] = []

    def add_event(self, event: AgentEvent, *, at: datetime) -> None:
        """Update the progress from an event of the agent."""
        self.is_dirty = True
        self._output_chars += _output_length(event)
        match event:
            case TurnUsage():
                count_answer_once(self._usage, event)
            case AgentStarted():
                self.model = event.model or self.model
            case AgentText(is_subagent=False):
                self.texts = [*self.texts[1 - _MAX_TEXTS :], event.text]
                self._set_activity(at, event.text)
            case ToolStarted():
                self._tool_calls += 1
                if len(self._tools_used) < MAX_TOOLS:
                    self._tools_used.setdefault(event.name)
                self._set_activity(
                    at, f"{event.name}: {event.summary}" if event.summary else event.name
                )
            case ToolFinished(is_subagent=False):
                self._tool_results += 1
                self.tests = parse_test_counts(event.output) or self.tests
                self._set_activity(at, None)
            case AgentResult():
                self.result = event
            case RateLimit():
                self.rate_limit = event
            case HostRefused():
                self._attempt_refusals = self._attempt_refusals.updated(event)
            case _:
                self._set_activity(at, None)
        self._record(event, at)

    def _record(self, event: AgentEvent, at: datetime) -> None:
        self.steps = fold_steps(self.steps, self.plan, [event], now=at)
        if isinstance(event, PlanChanged):
            self.plan = event.items
        record = record_of(event, at)
        if record is not None:
            self._records.append(record)

    def add_record(self, kind: EventKind, at: datetime, **data: object) -> None:
        """Add an event of Signalbox itself."""
        self.is_dirty = True
        self._records.append(EventRecord(kind=kind, at=at, data=data))

    def close_steps(self, stop_reason: StopReason, *, error: str | None, at: datetime) -> None:
        """Close the steps of an attempt that has ended, so that none stays in progress."""
        self.steps = end_steps(self.steps, stop_reason=stop_reason, now=at, error=error)

    def drain(self) -> list[EventRecord]:
        """The event records since the last call; clears `is_dirty`."""
        records, self._records = self._records, []
        self.is_dirty = False
        return records

    def restore_records(self, records: list[EventRecord]) -> None:
        """Put back records that could not be written; the next `drain` returns them first."""
        self._records = records + self._records
        self.is_dirty = True

    @property
    def usage(self) -> Usage:
        """Tokens so far: as the agent program reports them at its end, before that an estimate.

        While the agent works the program reports only placeholders for output tokens, so they
        are estimated from the length of the output.
        """
        return self.prior_usage.usage + self._attempt_usage

    @property
    def _attempt_usage(self) -> Usage:
        if self.result is not None and self.result.usage is not None:
            return self.result.usage
        total = Usage()
        for turn in self._usage.values():
            total += turn.usage
        return total + Usage(output_tokens=self._unreported_output(total))

    def _unreported_output(self, reported: Usage) -> int:
        return max(self._output_chars // _CHARS_PER_TOKEN - reported.output_tokens, 0)

    def cost(self) -> tuple[Decimal | None, CostSource | None]:
        """Cost so far and its source; both `None` while unknown."""
        has_answer = bool(self._usage) or self.result is not None
        return self.prior_usage.total_cost(self._attempt_cost(), has_answer=has_answer)

    def _attempt_cost(self) -> Cost:
        if self.result is not None and self.result.cost_usd is not None:
            return self.result.cost_usd, CostSource.REPORTED
        reported = Usage()
        parts: list[Decimal | None] = []
        for turn in self._usage.values():
            reported += turn.usage
            parts.append(estimate_usd(turn.model or self.model, turn.usage))
        unreported = Usage(output_tokens=self._unreported_output(reported))
        parts.append(
            estimate_usd(self.model, unreported) if unreported.output_tokens else Decimal(0)
        )
        known = [part for part in parts if part is not None]
        if not self._usage or len(known) < len(parts):
            return None, None
        cost = plausible_usd(sum(known, Decimal(0)))
        return cost, None if cost is None else CostSource.ESTIMATED

    @property
    def turns(self) -> int:
        """Turns of the main agent so far, counted as the agent program does.

        It counts the first answer, and one for each tool result that follows.
        """
        return self.prior_usage.turns + self._attempt_turns

    @property
    def _attempt_turns(self) -> int:
        if self.result is not None and self.result.turns is not None:
            return self.result.turns
        return self._tool_results + 1 if self._usage else 0

    @property
    def refused_hosts(self) -> RefusedHosts:
        """The hosts that were refused so far, with the refusals of earlier attempts."""
        return self.prior_usage.refused_hosts + self._attempt_refusals

    def columns(self) -> RunChanges:
        """The present values of the run's fields."""
        columns: RunChanges = {
            "turns": self.turns,
            "usage": self.usage,
            "tool_calls": self._tool_calls,
            "tools_used": tuple(self._tools_used),
        }
        columns["cost_usd"], columns["cost_source"] = self.cost()
        if self.model is not None:
            columns["ai_model"] = self.model
        if self._attempt_refusals.hosts:
            columns["metadata"] = {REFUSED_HOSTS_KEY: self.refused_hosts.to_json()}
        if self._activity is not None:
            columns["last_activity_at"], columns["last_activity"] = self._activity
        return columns

    def _set_activity(self, at: datetime, activity: str | None) -> None:
        if activity is None:
            activity = self._activity[1] if self._activity else ""
        lines = activity.strip().splitlines()
        first = lines[0] if lines else ""
        self._activity = (at, redact(first)[:_ACTIVITY_CHARS])


def count_answer_once(answers: dict[str, TurnUsage], turn: TurnUsage) -> None:
    """Count an answer once, with its largest usage: an incomplete answer reports less.

    The answers after the first 20,000 do not count.

    Args:
        answers: The answers counted so far, by message id.
        turn: A further report of an answer.
    """
    known = answers.get(turn.message_id)
    if known is None and len(answers) >= _MAX_ANSWERS:
        return
    if known is None or known.usage.output_tokens <= turn.usage.output_tokens:
        answers[turn.message_id] = turn


def _output_length(event: AgentEvent) -> int:
    """The number of characters that the model wrote for an event."""
    if isinstance(event, AgentText):
        return len(event.text)
    if isinstance(event, ToolStarted):
        return len(event.name) + sum(len(str(value)) for value in event.input.values())
    return 0
