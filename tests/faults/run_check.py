"""Checks that the rows of a run are consistent: one start, one end, nothing left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.fleet import Fleet
from tests.faults.plan import Task, Work
from tests.faults.results import Violation, ViolationKind
from tests.faults.rows import FINAL, Row

_STATUS_OF = {"success": "completed", "killed": "killed"}
# A run fails after this many lost workers.
_MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class RunRecords:
    """All rows about one run."""

    run: Row
    events: list[Row]
    processes: list[Row]
    terminations: list[Row]
    audit: list[Row]
    messages: list[Row]
    jobs: list[Row]

    @property
    def open_jobs(self) -> list[Row]:
        """Jobs that the engine regards as pending or running."""
        return [job for job in self.jobs if job["status"] in ("todo", "doing")]

    @property
    def has_abandoned_job(self) -> bool:
        """Whether one of these jobs is assigned to a silent worker."""
        return any(job["status"] == "doing" and job["is_abandoned"] for job in self.jobs)

    @property
    def name(self) -> str:
        """The run's id."""
        return str(self.run["run_id"])


async def load_run_records(fleet: Fleet, run: Row) -> RunRecords:
    """Read everything about a run."""
    rows = fleet.rows
    return RunRecords(
        run,
        await rows.events(run),
        await rows.processes(run),
        await rows.terminations(run),
        await rows.audit(run),
        await rows.messages(run),
        await rows.jobs(run),
    )


def check_rows(records: RunRecords, task: Task, fleet: Fleet) -> Iterator[Violation]:
    """All violations that are visible in the rows alone."""
    yield from _ended_once(records)
    yield from _ended_as_expected(records, task, fleet)
    yield from _attempts(records)
    yield from _termination(records)
    yield from _audit(records)
    yield from _usage(records)
    open_jobs = [job["id"] for job in records.open_jobs]
    if open_jobs:
        yield Violation(
            ViolationKind.LEFTOVER, records.name, f"jobs {open_jobs} have not ended in the engine"
        )


def _ended_once(records: RunRecords) -> Iterator[Violation]:
    run = records.run
    ends = [event for event in records.events if event["kind"] == "run_ended"]
    if run["status"] not in FINAL:
        yield Violation(ViolationKind.LOST, records.name, f"is still {run['status']}")
        return
    if len(ends) != 1:
        yield Violation(ViolationKind.END, records.name, f"has {len(ends)} events run_ended")
    if run["completed_at"] is None or run["stop_reason"] is None:
        yield Violation(ViolationKind.END, records.name, "has ended without a time or a reason")
    wanted = _STATUS_OF.get(str(run["stop_reason"]), "failed")
    if run["status"] != wanted:
        yield Violation(
            ViolationKind.END, records.name, f"is {run['status']} for {run['stop_reason']}"
        )
    results = Counter(message["message_type"] for message in records.messages)
    if results["result"] > 1:
        yield Violation(ViolationKind.DUPLICATED, records.name, f"has {results['result']} results")
    if run["status"] == "completed" and not results["result"]:
        yield Violation(ViolationKind.END, records.name, "is completed and has no result")


def _ended_as_expected(records: RunRecords, task: Task, fleet: Fleet) -> Iterator[Violation]:
    run = records.run
    if run["status"] not in FINAL:
        return
    reason = str(run["stop_reason"])
    allowed = {"success"}
    if run["kill_requested_at"] is not None:
        allowed.add("killed")
    if task.work is Work.LIMITED:
        allowed.add("max_turns")
    if _was_hit(fleet, records):
        allowed |= {"agent_error", "no_result"}
    if run["attempt"] >= _MAX_ATTEMPTS:
        allowed.add("worker_lost")
    if _disk_was_full(fleet, run):
        allowed |= {"workspace_error", "agent_error", "setup_error", "no_result"}
    if reason not in allowed:
        yield Violation(
            ViolationKind.END,
            records.name,
            f"ended as {reason} ({run['error_message']}), attempt {run['attempt']}; expected one "
            f"of {', '.join(sorted(allowed))}",
        )


def _was_hit(fleet: Fleet, records: RunRecords) -> bool:
    return any(records.name in event.runs for event in fleet.journal)


def _disk_was_full(fleet: Fleet, run: Row) -> bool:
    began, ended = run["created_at"].timestamp(), run["completed_at"].timestamp()
    return any(
        "full" in event.what and event.began <= ended and event.ended >= began
        for event in fleet.journal
    )


def _attempts(records: RunRecords) -> Iterator[Violation]:
    starts = Counter(event["attempt"] for event in records.events if event["kind"] == "run_started")
    for attempt, times in starts.items():
        if times > 1:
            yield Violation(
                ViolationKind.DUPLICATED, records.name, f"attempt {attempt} started {times} times"
            )
    previous: Row | None = None
    for process in records.processes:
        if process["ended_at"] is None and records.run["status"] in FINAL:
            yield Violation(
                ViolationKind.LEFTOVER,
                records.name,
                f"attempt {process['attempt']} has no end in its row",
            )
        previous_end = previous["ended_at"] if previous is not None else None
        if (
            previous is not None
            and previous_end is not None
            and process["started_at"] < previous_end
        ):
            yield Violation(
                ViolationKind.DUPLICATED,
                records.name,
                f"attempts {previous['attempt']} and {process['attempt']} overlap in their rows",
            )
        previous = process


def _termination(records: RunRecords) -> Iterator[Violation]:
    run = records.run
    if run["status"] == "killed" and not records.terminations:
        yield Violation(ViolationKind.END, records.name, "is killed and has no termination")
    if run["kill_requested_at"] is not None and not records.terminations:
        yield Violation(ViolationKind.END, records.name, "has a kill request and no termination")
    for kill in records.terminations:
        if run["status"] in FINAL and kill["phase"] != "confirmed":
            yield Violation(
                ViolationKind.END,
                records.name,
                f"has ended, and its kill is {kill['phase']}, not confirmed",
            )
        if kill["phase"] == "confirmed" and kill["survivors"] not in ("[]", None):
            yield Violation(
                ViolationKind.SURVIVOR, records.name, f"confirmed with {kill['survivors']}"
            )


def _audit(records: RunRecords) -> Iterator[Violation]:
    run = records.run
    lines = Counter(line["action"] for line in records.audit if line["allowed"])
    entry = "start" if run["parent_run_id"] is None else "continue"
    if lines[entry] != 1:
        yield Violation(ViolationKind.AUDIT, records.name, f"has {lines[entry]} lines of {entry}")
    if run["kill_requested_at"] is not None and not lines["kill"]:
        yield Violation(
            ViolationKind.AUDIT, records.name, "has a kill request without an audit entry"
        )
    if run["kill_requested_at"] is None and lines["kill"]:
        yield Violation(
            ViolationKind.AUDIT, records.name, "has an audit entry of a kill without a request"
        )


def _usage(records: RunRecords) -> Iterator[Violation]:
    run = records.run
    if run["status"] == "completed" and run["cost_estimate"] is None:
        yield Violation(ViolationKind.COST, records.name, "is completed, and its cost is not known")
    negative = [
        name
        for name in ("cost_estimate", "input_tokens", "output_tokens", "turns", "tool_calls")
        if run[name] is not None and run[name] < 0
    ]
    if negative:
        yield Violation(ViolationKind.COST, records.name, f"has negative {', '.join(negative)}")
