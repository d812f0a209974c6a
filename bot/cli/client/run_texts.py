"""Runs as text for people: a list, a status, a line of a log, a kill.

Made from the API's JSON, whose words for states are those of every surface.  What a server of
another version leaves out is not shown.  This module loads nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from bot.cli.client.text_table import Column, fit, one_line, pair_lines, safe_text, table_lines
from bot.words import counts, money, times

Json = Mapping[str, Any]

# From this width on a list has turns and costs, too.
_WIDE = 110
# The task of a run that was killed.
_TASK_CELLS = 60
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
# By the status of a step.
STEP_MARKS: Mapping[str, str] = MappingProxyType(
    {
        "pending": "[ ]",
        "in_progress": "[>]",
        "completed": "[x]",
        "failed": "[!]",
        "skipped": "[-]",
    }
)


def list_text(answer: Json, *, now: datetime, width: int, nothing: str) -> str:
    """A page of runs as a table, newest first; `nothing` if there is none."""
    runs: Sequence[Json] = answer["runs"]
    if not runs:
        return nothing
    columns = [
        Column(title="RUN", most=20),
        Column(title="STATE", most=24),
        Column(title="WORKFLOW", most=12),
        Column(title="AGE", most=7),
    ]
    rows = [
        [_id(run), state_words(run), _text(run, "workflow_name"), age_words(run, now)]
        for run in runs
    ]
    if width >= _WIDE:
        columns += [Column(title="TURNS", most=9), Column(title="COST", most=10)]
        rows = [
            [*row, turns_words(run), cost_words(run)] for row, run in zip(rows, runs, strict=True)
        ]
    columns.append(Column(title="TASK", most=None))
    rows = [[*row, _text(run, "task")] for row, run in zip(rows, runs, strict=True)]
    lines = table_lines(columns, rows, width=width)
    if answer.get("next"):
        total = answer.get("total_count", 0)
        more = "" if answer.get("total_count_is_exact", True) else "more than "
        lines.append(f"{len(runs)} of {more}{total:,}; --limit and --cursor show others.")
    return "\n".join(lines)


def status_text(status: Json) -> str:
    """The status of one run."""
    lines = [f"{_id(status)}  {state_words(status)}"]
    lines += pair_lines(
        [
            ("Task", _task(status)),
            ("Workflow", _text(status, "workflow_name")),
            ("Session", _text(status, "session_id")),
            ("Turns", turns_words(status)),
            ("Tools", _tools(status)),
            ("Cost", cost_words(status)),
            ("Time", _took(status)),
            ("Progress", _progress(status)),
            ("Now", _now(status)),
            ("Commits", _commits(status)),
            ("Error", _text(status, "error")),
            ("Failure", _failure(status)),
            ("Next try", _next_try(status)),
        ]
    )
    lines += _failed_attempts(status)
    lines += _steps(status)
    result = _text(status, "final_result") or _text(status, "result")
    if result and not is_live(status):
        lines += ["", *safe_text(result).strip().splitlines()]
    if _text(status, "warning"):
        lines += ["", one_line(_text(status, "warning"))]
    return "\n".join(lines)


def next_words(status: Json) -> str:
    """What can be done about an ended run; empty if nothing offers itself."""
    if is_live(status) or not status.get("can_continue"):
        return ""
    if status.get("needs_recovery"):
        return (
            f"`signalbox continue --recover {_id(status)}` goes on in a new conversation, with a "
            "summary of the one that cannot be restored."
        )
    return f"`signalbox continue {_id(status)}` goes on from here."


def state_words(run: Json) -> str:
    """The state of a run, as every surface says it."""
    return one_line(_text(run, "headline")) or _text(run, "status")


def log_text(line: Json) -> str:
    """A line of a log: when, in UTC, and what."""
    at = _moment(line, "at")
    when = f"{at:%Y-%m-%dT%H:%M:%SZ} " if at is not None else ""
    return f"{when}{one_line(_text(line, 'text'))}"


def kill_text(kill: Json) -> str:
    """What became of a kill; it names the task, so that a person sees what they stopped."""
    run_id = _text(kill, "run_id")
    task = one_line(_text(kill, "task"))
    if task:
        leg = kill.get("leg", 1)
        run_id = f"{run_id} (“{fit(task, _TASK_CELLS)}”{f' · leg {leg}' if leg > 1 else ''})"
    if kill.get("is_confirmed"):
        took = kill.get("elapsed_milliseconds")
        after = "" if took is None else f" after {times.milliseconds(took)}"
        seen = kill.get("processes_seen", 0)
        ended = f" ({counts.plural(seen, 'process', 'processes')} ended)" if seen else ""
        return f"{run_id} is killed, nothing of it is left running{after}{ended}."
    survivors = kill.get("survivors") or ()
    if survivors:
        named = ", ".join(f"{one.get('pid')} {one_line(_text(one, 'name'))}" for one in survivors)
        return f"{run_id} is not confirmed dead. Still alive: {named}."
    return f"The kill of {run_id} is {_text(kill, 'phase')}, not yet confirmed."


def is_live(status: Json) -> bool:
    """Whether a run has not ended, from its status."""
    return status.get("exit_code") is None


def turns_words(run: Json) -> str:
    """The turns made, and the limit: `18/60`."""
    limit = run.get("max_turns")
    return f"{run.get('turns', 0)}" + ("" if limit is None else f"/{limit}")


def cost_words(run: Json) -> str:
    """The cost, with `~` if it is an estimate; empty while it is unknown."""
    cost = run.get("cost")
    if cost is None:
        return ""
    estimated = "~" if run.get("cost_source") == "estimated" else ""
    return f"{estimated}{money.dollars(Decimal(str(cost)))}"


def _task(status: Json) -> str:
    """The task, and the number of the leg if it is a later one."""
    leg = status.get("leg", 1)
    label = ", recovery" if status.get("is_recovery") else ""
    return _text(status, "task") + (f" · leg {leg}{label}" if leg > 1 else "")


def _tools(status: Json) -> str:
    calls = status.get("tool_calls")
    if not calls:
        return ""
    names = ", ".join(map(str, status.get("tools_used") or ()))
    return counts.plural(calls, "call") + (f": {names}" if names else "")


def _took(status: Json) -> str:
    seconds = status.get("execution_time")
    if seconds is None:
        seconds = status.get("elapsed_seconds")
    return times.duration(timedelta(seconds=seconds)) if seconds else ""


def _progress(status: Json) -> str:
    progress = status.get("progress_summary") or {}
    share, end = progress.get("completion_percentage"), _moment(progress, "estimated_completion")
    done = "" if share is None else f"{share:g} %"
    until = "" if end is None else f"probably until {times.utc_clock_time(end)}"
    return ", ".join(filter(None, [done, until]))


def _now(status: Json) -> str:
    if not is_live(status):
        return ""
    return _text(status.get("progress_summary") or {}, "recent_activity") or _text(
        status, "last_activity"
    )


def _commits(status: Json) -> str:
    commits = status.get("git_commits") or ()
    return f"{len(commits)}, newest {str(commits[0])[:7]}" if commits else ""


def _failure(status: Json) -> str:
    failure = status.get("failure") or {}
    retry = failure.get("retry") or {}
    advice = "" if is_live(status) else _text(failure, "advice_text")
    parts = [_text(failure, "title"), _text(retry, "summary"), advice]
    return " · ".join(filter(None, parts))


def _next_try(status: Json) -> str:
    at = _moment(status, "retry_at")
    if at is None:
        return ""
    return f"{times.utc_date_time(at)}; `signalbox kill {_id(status)}` cancels it"


def _failed_attempts(status: Json) -> list[str]:
    """The failed attempts, if there is more than one."""
    found = status.get("failed_attempts") or ()
    if len(found) < 2 and not is_live(status):
        return []
    lines = []
    for one in found:
        at = _moment(one, "failed_at")
        when = "" if at is None else f" {times.utc_clock_time(at)}"
        said = ": ".join(filter(None, [_text(one, "title"), _text(one, "error")]))
        lines.append(f"Attempt {_text(one, 'attempt')} failed{when}: {one_line(said)}")
    return ["", *lines] if lines else []


def _steps(status: Json) -> list[str]:
    steps = (status.get("workflow_steps") or {}).get("steps") or status.get("step_by_step_results")
    lines = [
        f"{STEP_MARKS.get(_text(step, 'status'), '[?]')} {one_line(_text(step, 'name'))}"
        for step in steps or ()
    ]
    return ["", *lines] if lines else []


def age_words(run: Json, now: datetime) -> str:
    """How long ago it was created, in the largest unit: `3 h`."""
    at = _moment(run, "created_at")
    if at is None:
        return ""
    seconds = max((now - at).total_seconds(), 0)
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _moment(found: Json, name: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(_text(found, name))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo is not None else None


def _id(run: Json) -> str:
    return one_line(_text(run, "run_id"))


def _text(found: Json, name: str) -> str:
    value = found.get(name)
    return "" if value is None else str(value)
