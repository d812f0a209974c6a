"""The rows of each table as lines for COPY."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

from benchmarks.seed.plans import (
    ATTEMPT,
    END,
    MESSAGE,
    RUN,
    SESSION,
    TERMINATION,
    USER,
    Plan,
    repository_address,
    run_id,
    users,
    uuid_hex,
)
from core.domain.runs.run import RunStatus, StopReason

Lines = Callable[[int, Sequence[Plan]], Iterator[str]]
_NULL = "\\N"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})
_TASKS = (
    "Add rate limiting to the API of service {}",
    "Fix the flaky test of the importer, ticket {}",
    "Review the change of the billing module, number {}",
    "Document the configuration of component {}",
    "Move the callers of the old client, part {}",
)


@cache
def _text(value: object) -> str:
    """The value for COPY; those of shapes come back often, and nothing else is given here."""
    return _NULL if value is None else str(value).translate(_ESCAPES)


def _at(seconds: float | None) -> str:
    return _NULL if seconds is None else (_EPOCH + timedelta(seconds=seconds)).isoformat()


def _line(*values: str) -> str:
    return "\t".join(values) + "\n"


def user_lines(seed: int, _: Sequence[Plan]) -> Iterator[str]:
    """The users, whatever the number of runs."""
    for number in range(users()):
        identity = uuid_hex(seed, USER, number)
        at = _at(END.timestamp())
        yield _line(identity, f"user {number}", "T0SEED", f"U{number:08d}", at, at)


def session_lines(seed: int, planned: Sequence[Plan]) -> Iterator[str]:
    """The sessions of the runs."""
    for plan in planned:
        if plan.leg == 1:
            yield _line(
                uuid_hex(seed, SESSION, plan.session),
                plan.shape.workflow,
                _NULL,
                _owner(seed, plan),
                repository_address(plan.repository),
                _branch(plan),
                f"ws-{plan.session}",
                "node-1",
                _at(plan.begins),
            )


RUN_COLUMNS = (
    "id", "run_id", "workflow_name", "agent_type", "ai_model", "task_input", "session_id",
    "git_repo", "git_branch", "initial_commit_hash", "final_commit_hash", "git_diff_added_lines",
    "git_diff_removed_lines", "git_diff_files_changed", "git_diff_stats", "status", "result",
    "error_message", "created_at", "started_at", "updated_at", "completed_at", "workspace_id",
    "cost_estimate", "cost_source", "input_tokens", "output_tokens", "total_tokens", "user_id",
    "metadata", "stop_reason", "turns", "max_turns", "tool_calls", "tools_used", "parent_run_id",
    "kill_requested_at", "last_activity_at", "last_activity", "version", "slack_team_id",
    "slack_channel_id", "thread_key", "request_key", "outcome", "outcome_reasons",
    "is_end_evaluated",
)  # fmt: skip


def run_lines(seed: int, planned: Sequence[Plan]) -> Iterator[str]:
    """The runs."""
    for plan in planned:
        shape, number = plan.shape, plan.number
        is_running = shape.status is RunStatus.RUNNING and not plan.is_pending
        has_ended = shape.reason is not None
        ends = plan.begins + shape.seconds
        last = ends if has_ended or is_running else plan.begins
        parent = uuid_hex(seed, RUN, number - 1) if plan.leg > 1 else _NULL
        continued = f"continue:{run_id(seed, number - 1)}" if plan.leg > 1 else f"seed:{number}"
        killed_at = ends - 2 if shape.reason is StopReason.KILLED else None
        yield _line(
            uuid_hex(seed, RUN, number),
            run_id(seed, number),
            shape.workflow,
            shape.workflow,
            "claude-sonnet-5",
            _TASKS[number % len(_TASKS)].format(number),
            uuid_hex(seed, SESSION, plan.session),
            repository_address(plan.repository),
            _branch(plan),
            f"{plan.session:040x}",
            f"{number:040x}" if has_ended else _NULL,
            _text(shape.added),
            _text(shape.removed),
            _text(shape.files),
            _text(shape.diff),
            RunStatus.PENDING if plan.is_pending else shape.status,
            _text(shape.result),
            _text(shape.error),
            _at(plan.begins - 1.5),
            _NULL if plan.is_pending else _at(plan.begins),
            _at(last),
            _at(ends) if has_ended else _NULL,
            f"ws-{plan.session}",
            _NULL if plan.is_pending else str(shape.cost),
            _NULL if plan.is_pending else "reported" if has_ended else "estimated",
            *_tokens(plan),
            _owner(seed, plan),
            _text(shape.metadata),
            _text(shape.reason),
            "0" if plan.is_pending else str(shape.turns),
            str(shape.max_turns),
            "0" if plan.is_pending else str(shape.calls),
            "[]" if plan.is_pending else _text(shape.tools),
            parent,
            _at(killed_at),
            _at(last),
            _NULL if plan.is_pending else "Edit core/limits.py",
            str(shape.calls + 3),
            "T0SEED",
            "C0SEED",
            run_id(seed, plan.first),
            continued,
            _text(shape.outcome),
            _text(shape.outcome_reasons),
            "true" if has_ended else "false",
        )


def step_lines(seed: int, planned: Sequence[Plan]) -> Iterator[str]:
    """The steps of all runs that were started."""
    for plan in _started(planned):
        identity = uuid_hex(seed, RUN, plan.number)
        for number, step in enumerate(plan.shape.steps, start=1):
            yield _line(
                identity,
                str(number),
                str(number),
                step.name,
                _NULL,
                step.status,
                _NULL if step.begins is None else _at(plan.begins + step.begins),
                _NULL if step.ends is None else _at(plan.begins + step.ends),
                _text(step.result),
                step.tools,
                str(step.calls),
                _text(step.cost),
                _NULL,
            )


def event_lines(seed: int, planned: Sequence[Plan]) -> Iterator[str]:
    """The events of all runs that were started."""
    written: dict[int, list[tuple[str, timedelta, str]]] = {}
    for plan in _started(planned):
        parts = written.get(id(plan.shape))
        if parts is None:
            parts = written[id(plan.shape)] = [
                (f"\t1\t{kind}\t", timedelta(seconds=after), f"\t{_text(data)}\n")
                for kind, after, data in plan.shape.events
            ]
        identity, begins = uuid_hex(seed, RUN, plan.number), _EPOCH + timedelta(seconds=plan.begins)
        for kind, after, data in parts:
            yield f"{identity}{kind}{begins + after}{data}"


def attempt_lines(seed: int, planned: Sequence[Plan]) -> Iterator[str]:
    """One attempt of each run that was started."""
    for plan in _started(planned):
        ends = plan.begins + plan.shape.seconds
        ended = _at(ends) if plan.shape.reason is not None else _NULL
        yield _line(
            uuid_hex(seed, ATTEMPT, plan.number),
            uuid_hex(seed, RUN, plan.number),
            *("1", "worker-1", "host-1", "4711", "1000", "claude"),
            _at(plan.begins),
            _at(ends),
            ended,
            ended,
        )


_PHASES = '{"requested": 0, "acknowledged": 12, "interrupted": 20, "confirmed": 480}'


def termination_lines(seed: int, planned: Sequence[Plan]) -> Iterator[str]:
    """The kills of all killed runs, each confirmed."""
    for plan in planned:
        if plan.shape.reason is StopReason.KILLED:
            ends = plan.begins + plan.shape.seconds
            yield _line(
                uuid_hex(seed, TERMINATION, plan.number),
                uuid_hex(seed, RUN, plan.number),
                "confirmed",
                _at(ends - 2),
                _owner(seed, plan),
                *("somebody", "slack", "not needed any more", "f", _PHASES, "3"),
                "process scan",
                _at(ends - 1.5),
            )


def message_lines(seed: int, planned: Sequence[Plan]) -> Iterator[str]:
    """The first message of each run."""
    for plan in planned:
        yield _line(
            uuid_hex(seed, MESSAGE, plan.number),
            uuid_hex(seed, SESSION, plan.session),
            uuid_hex(seed, RUN, plan.number),
            _owner(seed, plan),
            "user",
            "workflow_start",
            _TASKS[plan.number % len(_TASKS)].format(plan.number),
            _at(plan.begins - 1.5),
        )


def _started(planned: Sequence[Plan]) -> Iterator[Plan]:
    return (plan for plan in planned if not plan.is_pending)


def _owner(seed: int, plan: Plan) -> str:
    return _NULL if plan.owner is None else uuid_hex(seed, USER, plan.owner)


def _branch(plan: Plan) -> str:
    return "main" if plan.is_on_main else f"signalbox/work-{plan.session}"


def _tokens(plan: Plan) -> tuple[str, str, str]:
    shape = plan.shape
    if plan.is_pending:
        return "0", "0", "0"
    total = shape.input_tokens + shape.output_tokens
    return str(shape.input_tokens), str(shape.output_tokens), str(total)
