"""The progress of a running attempt, gathered from its events for the next write."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.domain.redact import redact
from core.domain.runs.activity.awaited import AWAITED_KEY
from core.domain.runs.activity.refused_hosts import REFUSED_HOSTS_KEY, RefusedHosts
from core.domain.runs.changes import RunChanges
from core.domain.runs.event import (
    AgentEvent,
    AgentResult,
    AgentStarted,
    AgentText,
    ApiRetry,
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
from core.domain.runs.outcome import TESTS_KEY
from core.domain.runs.run import CostSource, StopReason, Usage
from core.domain.runs.step import MAX_TOOLS, Step
from core.domain.steps.fold import end_steps, fold_steps
from core.domain.test_output.counts import TestCounts, results_to_json, total_of
from core.runner.execution.answers import (
    Cost,
    count_answer_once,
    estimated_cost,
    sum_of_answers,
    turns_of_answers,
)
from core.runner.execution.awaiting import Awaiting
from core.runner.execution.usage.prior_usage import PriorUsage
from core.runner.execution.usage.step_costs import StepCosts

_ACTIVITY_CHARS = 200
# The report of an attempt is chosen among the last few texts only.
_MAX_TEXTS = 20
# Beyond the calls of any run: a program that floods its output must not fill the memory.
_MAX_CALLS = 100_000
NO_PRIOR_USAGE = PriorUsage()


class Progress:
    """The progress of one attempt, added to the usage of the run's earlier attempts.

    Attributes:
        prior_usage: The usage of earlier attempts; all totals include it.
        result: The last result that the agent program reported, if any.
        api_retries: How often the program repeated a call to the model's API.
        texts: The main agent's last texts, oldest first, one for each answer.
        plan: The agent's newest task list; the session's next run starts with it.
        stored_steps: The steps as they were written last; `None` before the first time.
        awaiting: What the attempt waits for.
        is_dirty: Whether there were events since the last `drain`.
        has_new_signs: Whether there were signs of life since then that are no events.
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
        self.stored_steps: tuple[Step, ...] | None = None
        self._step_costs = StepCosts()
        self.is_dirty = False
        self.has_new_signs = False
        self.model = model
        self.rate_limit: RateLimit | None = None
        self.api_retries = 0
        self._tests = dict(prior_usage.tests)
        self._usage: dict[str, TurnUsage] = {}
        self._calls: set[str] = set()
        self._text_id: str | None = None
        self._tools_used: dict[str, None] = dict.fromkeys(prior_usage.tools_used)
        self._activity: tuple[datetime, str] | None = None
        self._records: list[EventRecord] = []
        self.awaiting = Awaiting()

    def begin_with(self, plan: tuple[PlanItem, ...], steps: tuple[Step, ...]) -> None:
        """Begin with the task list and the steps of earlier attempts or legs."""
        self.plan, self.steps = plan, steps
        self._step_costs.begin(steps)

    def add_event(self, event: AgentEvent, *, at: datetime) -> None:
        """Update the progress from an event of the agent."""
        self.is_dirty = True
        self.awaiting.add_event(event, at=at)
        match event:
            case TurnUsage():
                self.add_answer(event)
            case AgentStarted():
                self.model = event.model or self.model
            case AgentText(is_subagent=False):
                self._add_text(event)
                self._set_activity(at, event.text)
            case ToolStarted():
                self._count_call(event.tool_use_id, event.name)
                self._set_activity(
                    at, f"{event.name}: {event.summary}" if event.summary else event.name
                )
            case ToolFinished(is_subagent=False):
                self._tests.update(event.tests)
                self._set_activity(at, None)
            case AgentResult():
                self.result = event
            case RateLimit():
                self.rate_limit = event
            case ApiRetry():
                self.api_retries += 1
                self._set_activity(at, None)
            case HostRefused():
                self._attempt_refusals = self._attempt_refusals.updated(event)
            case _:
                self._set_activity(at, None)
        self._record(event, at)

    def add_answer(self, answer: TurnUsage) -> None:
        """Count an answer that the transcript records; it is no activity of its own."""
        self.is_dirty = True
        count_answer_once(self._usage, answer)
        self._step_costs.add_answer(answer.message_id, self.steps)
        for call_id, name in answer.calls:
            self._count_call(call_id, name)

    def _count_call(self, call_id: str, name: str) -> None:
        if len(self._calls) < _MAX_CALLS:
            self._calls.add(call_id)
        if len(self._tools_used) < MAX_TOOLS:
            self._tools_used.setdefault(name)

    def _add_text(self, event: AgentText) -> None:
        """Add a text, to the one before it if both are of one answer."""
        if self.texts and event.message_id is not None and event.message_id == self._text_id:
            self.texts[-1] = f"{self.texts[-1]}\n\n{event.text}"
        else:
            self.texts = [*self.texts[1 - _MAX_TEXTS :], event.text]
        self._text_id = event.message_id

    def _record(self, event: AgentEvent, at: datetime) -> None:
        self.steps = fold_steps(self.steps, self.plan, [event], now=at)
        if isinstance(event, PlanChanged):
            self.plan = event.items
        self._step_costs.follow(event, self.steps)
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

    @property
    def priced_steps(self) -> tuple[Step, ...]:
        """The steps with the cost of each, where it is known."""
        reported_usd = self.result.cost_usd if self.result is not None else None
        return self._step_costs.priced(
            self.steps, self._usage, model=self.model, reported_usd=reported_usd
        )

    def drain(self) -> list[EventRecord]:
        """The event records since the last call; clears `is_dirty` and `has_new_signs`."""
        records, self._records = self._records, []
        self.is_dirty = self.has_new_signs = False
        return records

    def restore_records(self, records: list[EventRecord]) -> None:
        """Put back records whose write failed; the next `drain` returns them first.

        They may be stored all the same, if only the answer to the commit is missing.
        """
        unsure = [replace(record, may_be_stored=True) for record in records]
        self._records = unsure + self._records
        self.is_dirty = True

    @property
    def usage(self) -> Usage:
        """Tokens so far: as the agent program reports them at its end, before that of all answers.

        Zero if it is unknown for any part; see `Run.has_known_tokens`.
        """
        own = self.attempt_usage
        if own is None or not self.prior_usage.has_known_tokens:
            return Usage()
        return self.prior_usage.usage + own

    @property
    def has_answers(self) -> bool:
        """Whether this attempt has received an answer of the model."""
        return bool(self._usage)

    @property
    def attempt_turns(self) -> int:
        """The turns of this attempt alone."""
        return turns_of_answers(self._usage.values())

    @property
    def attempt_usage(self) -> Usage | None:
        """The tokens of this attempt alone; `None` if those of an answer are unknown."""
        if self.result is not None and self.result.usage is not None:
            return self.result.usage
        return sum_of_answers(self._usage.values())

    def cost(self) -> tuple[Decimal | None, CostSource | None]:
        """Cost so far and its source; both `None` while unknown."""
        has_answer = bool(self._usage) or (
            self.result is not None and self.result.usage is not None
        )
        return self.prior_usage.total_cost(self.attempt_cost, has_answer=has_answer)

    @property
    def attempt_cost(self) -> Cost:
        """The cost of this attempt alone and its source; both `None` while unknown."""
        if self.result is not None and self.result.cost_usd is not None:
            return self.result.cost_usd, CostSource.REPORTED
        return estimated_cost(self._usage.values(), model=self.model)

    @property
    def turns(self) -> int:
        """Answers of the model to the main agent so far.

        That is what the agent program's own limit counts, however many tools an answer calls.
        """
        return self.prior_usage.turns + self.attempt_turns

    @property
    def refused_hosts(self) -> RefusedHosts:
        """The hosts that were refused so far, with the refusals of earlier attempts."""
        return self.prior_usage.refused_hosts + self._attempt_refusals

    @property
    def tests(self) -> TestCounts | None:
        """The last test results that were seen in each ecosystem, added up."""
        return total_of(self._tests.values())

    @property
    def awaited_metadata(self) -> dict[str, Any]:
        """The part of the run's metadata that says what it waits for."""
        awaited = self.awaiting.awaited
        return {} if awaited is None else {AWAITED_KEY: awaited.to_json()}

    def columns(self) -> RunChanges:
        """The present values of the run's fields."""
        columns: RunChanges = {
            "turns": self.turns,
            "usage": self.usage,
            "tool_calls": self.prior_usage.tool_calls + len(self._calls),
            "tools_used": tuple(self._tools_used),
        }
        columns["cost_usd"], columns["cost_source"] = self.cost()
        if self.model is not None:
            columns["ai_model"] = self.model
        metadata = self.awaited_metadata
        if self._attempt_refusals.hosts:
            metadata[REFUSED_HOSTS_KEY] = self.refused_hosts.to_json()
        if self._tests:
            metadata[TESTS_KEY] = results_to_json(self._tests)
        if metadata:
            columns["metadata"] = metadata
        if self._activity is not None:
            columns["last_activity_at"], columns["last_activity"] = self._activity
        return columns

    def _set_activity(self, at: datetime, activity: str | None) -> None:
        if activity is None:
            activity = self._activity[1] if self._activity else ""
        lines = activity.strip().splitlines()
        first = lines[0] if lines else ""
        self._activity = (at, redact(first)[:_ACTIVITY_CHARS])
