"""The older API: its fields with their types, and the runs of its documents' examples."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any

from core.domain.runs.activity.awaited import AWAITED_KEY, Awaited, AwaitedKind
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run, StopReason, Usage
from core.domain.runs.step import Step, StepStatus
from core.store import events, steps
from core.store.runs import runs
from tests.api import ApiHarness
from tests.database import NOW, running_run
from tests.web.older_examples import RUNNING_EXAMPLE

# What a request for a run is answered with, and the types.
START_FIELDS: Mapping[str, tuple[type, ...]] = {
    "run_id": (str,),
    "status": (str,),
    "message": (str,),
    "session_id": (str,),
    "workflow_name": (str,),
    "started_at": (str,),
}
# The older API's fields with the types of their values.
BASE_FIELDS: Mapping[str, tuple[type, ...]] = {
    "run_id": (str,),
    "status": (str,),
    "session_id": (str,),
    "workflow_name": (str,),
    "started_at": (str,),
    "updated_at": (str,),
    "completed_at": (str, NoneType),
    "execution_time": (float, int, NoneType),
    "result": (str, NoneType),
    "error": (str, NoneType),
    "exit_code": (int, NoneType),
    "git_commits": (list,),
    "git_sha_end": (str, NoneType),
    "cost": (float, NoneType),
    "tokens": (int, NoneType),
    "turns": (int,),
    "tool_calls": (int,),
    "tools_used": (list,),
    "progress_indicator": (str,),
    "last_activity": (str, NoneType),
    "recent_steps": (list,),
    "elapsed_seconds": (float, int),
    "current_turns": (int,),
    "max_turns": (int, NoneType),
    "logs": (str, NoneType),
}
STEP_KEYS = {
    "step_id",
    "name",
    "status",
    "started_at",
    "completed_at",
    "duration_seconds",
    "result",
    "tools_used",
    "tool_calls",
    "cost",
    "error",
}
PLAN = RUNNING_EXAMPLE["workflow_steps"]


def example_steps() -> list[Step]:
    """The steps of the example as rows, with those that it only counts."""
    listed = [
        Step(
            step_id=one["step_id"],
            name=one["name"],
            status=StepStatus(one["status"]),
            started_at=moment(one["started_at"]),
            completed_at=moment(one["completed_at"]),
            result=one["result"],
            tools_used=tuple(one["tools_used"]),
            tool_calls=one["tool_calls"],
            cost_usd=Decimal(str(one["cost"])),
        )
        for one in PLAN["steps"]
    ]
    numbers = range(len(listed) + 1, PLAN["total_steps"] + 1)
    return [*listed, *(Step(step_id=number, name=f"Step {number}") for number in numbers)]


def moment(text: str | None) -> datetime | None:
    """A moment of the example."""
    return None if text is None else datetime.fromisoformat(text)


def check_base(body: Mapping[str, Any]) -> None:
    """The base fields are all there, with values of their types."""
    check_types(body, BASE_FIELDS)


def check_types(body: Mapping[str, Any], fields: Mapping[str, tuple[type, ...]]) -> None:
    """Fields are all there, with values of their types."""
    assert set(fields) <= set(body)
    for name, types in fields.items():
        assert type(body[name]) in types, (name, body[name])


def check_like(found: Any, example: Any, place: str = "") -> None:
    """Every field of an example is there, with a value of the example's type."""
    if isinstance(example, dict):
        assert isinstance(found, dict), place
        for name, value in example.items():
            assert name in found, f"{place}.{name}"
            check_like(found[name], value, f"{place}.{name}")
    elif isinstance(example, list):
        assert isinstance(found, list), place
        assert len(found) >= len(example), place
        for number, (one, wanted) in enumerate(zip(found, example, strict=False)):
            check_like(one, wanted, f"{place}[{number}]")
    elif isinstance(example, int | float) and not isinstance(example, bool):
        assert type(found) in (int, float), (place, found)
    else:
        assert type(found) is type(example), (place, found)


async def example_run(api: ApiHarness) -> Run:
    """The running run of the plan's example, at turn 51 with 22 tools used."""
    run = await running_run(
        api.database, workflow_name="implement", run_id=RUNNING_EXAMPLE["run_id"]
    )
    async with api.database.sessions.begin() as session:
        await steps.replace(session, run.id, example_steps())
        return await runs.change(
            session,
            run.run_id,
            attempt=1,
            now=NOW,
            turns=51,
            tool_calls=22,
            max_turns=60,
            tools_used=("Bash", "Edit"),
            usage=Usage(input_tokens=1000, output_tokens=234),
            last_activity="Editing configuration files",
        )


async def edit(api: ApiHarness, run: Run) -> None:
    """The agent called a tool, and the model is asked for the next answer."""
    awaited = Awaited(kind=AwaitedKind.MODEL, since=NOW, heard_at=NOW)
    call = EventRecord(
        kind=EventKind.TOOL_STARTED,
        at=NOW,
        data={"name": "Edit", "summary": "configuration files"},
    )
    async with api.database.sessions.begin() as session:
        await events.append(session, run.id, 1, [call])
        metadata = {AWAITED_KEY: awaited.to_json()}
        await runs.change(session, run.run_id, attempt=1, now=NOW, metadata=metadata)


async def completed_runs(api: ApiHarness, *, days: tuple[int, ...]) -> None:
    """Earlier runs of the example's workflow, of so many days."""
    for count in days:
        past = await running_run(api.database, workflow_name="implement")
        ended = NOW + timedelta(days=count)
        async with api.database.sessions.begin() as session:
            await runs.finish(
                session, past.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=ended
            )
