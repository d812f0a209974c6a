"""A run of 60 tool turns through all of Signalbox, compared with the bare SDK.

The script answers at once, so the measured time is that of the agent program and of Signalbox.
Both sides use the same scripted model, the same options and the same 60 shell commands.  The
baseline opens `ClaudeSDKClient` in a prepared directory, waits for the result and closes it.
Two times of Signalbox are measured: from the row's `running` to its end (workspace created,
agent run, diff computed, all rows written), and from the slash command to that end.  The two
sides alternate, in changing order; a ratio compares neighbours.  The first pair is a warm-up
and is excluded.  CPU time is that of the whole machine, with Postgres and the scripted model;
Signalbox waits while the baseline runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from uuid import uuid4

from claude_agent_sdk import ResultMessage, SystemMessage

from benchmarks.bare_agent import bare_client, bare_options
from benchmarks.environment import BenchEnvironment, open_bench
from benchmarks.machine import busy_cpu_seconds
from benchmarks.pairs import measured_pairs
from benchmarks.results import heading, line, median, quick_ratio, ratios, spread
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run
from core.store import events

TURNS = 60
TASK = f"[scenario: long] [turns: {TURNS}] Count."
_MAX_TURNS = 2 * TURNS


STAGES = ("setup", "start", "turns", "end")


@dataclass(frozen=True, kw_only=True)
class SpineRun:
    """Seconds of one run through all of Signalbox.

    Attributes:
        running: From the row's `running` to its end.
        command: From the slash command to that end.
        cpu: CPU time of the whole machine.
        stages: By the names in `STAGES`.
    """

    running: float
    command: float
    cpu: float
    stages: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class _Bare:
    wall: float
    cpu: float
    stages: Mapping[str, float]


async def measure(*, repetitions: int = 7) -> None:
    """Measure and print the results."""
    heading("spine_overhead", f"{TURNS} tool turns through Signalbox ÷ on the bare SDK")
    async with open_bench() as bench:
        spine, bare = await measured_pairs(
            partial(run_through_spine, bench), partial(_run_on_bare_sdk, bench), count=repetitions
        )
    wall = [one.wall for one in bare]
    line("bare SDK", spread(wall))
    line("running to ended", spread([one.running for one in spine]))
    line("command to ended", spread([one.command for one in spine]))
    line("ratio, running to ended", spread(ratios([o.running for o in spine], wall), unit="×"))
    line("ratio, command to ended", spread(ratios([o.command for o in spine], wall), unit="×"))
    line("ratio of medians, running to ended", _ratio_of_medians([o.running for o in spine], wall))
    line("ratio of medians, command to ended", _ratio_of_medians([o.command for o in spine], wall))
    line(
        "ratio of first quartiles, running to ended", quick_ratio([o.running for o in spine], wall)
    )
    cpu = [one.cpu for one in bare]
    line("CPU, through Signalbox", spread([one.cpu for one in spine]))
    line("CPU, bare SDK", spread(cpu))
    line("ratio of CPU", spread(ratios([one.cpu for one in spine], cpu), unit="×"))
    line("ratio of first quartiles of CPU", quick_ratio([one.cpu for one in spine], cpu))
    line("stages of Signalbox", _medians([one.stages for one in spine]))
    line("stages of the bare SDK", _medians([one.stages for one in bare]))


def _ratio_of_medians(ours: list[float], baseline: list[float]) -> str:
    return f"{median(ours) / median(baseline):.2f} ×"


def _medians(stages: Sequence[Mapping[str, float]]) -> str:
    return ", ".join(f"{name} {median([one[name] for one in stages]):.3f} s" for name in STAGES)


async def run_through_spine(bench: BenchEnvironment) -> SpineRun:
    """Start a run of 60 tool turns by a slash command, and wait for its end."""
    before = await bench.count()
    cpu = busy_cpu_seconds()
    sent = time.time()
    await bench.command(f"run implement --turns {_MAX_TURNS} {TASK}")
    # Its row has the times; frequent polling would disturb the measurement.
    run = await bench.wait_until_ended(
        (await bench.wait_until_started(before)).run_id, poll_seconds=0.5
    )
    if run.stop_reason != "success" or run.tool_calls != TURNS:
        raise RuntimeError(
            f"{run.run_id} ended with {run.stop_reason}, {run.tool_calls} tool calls"
        )
    if run.started_at is None or run.completed_at is None:
        raise RuntimeError(f"{run.run_id} has no times")
    # Cards are drawn for a little longer; this belongs to the run too.
    await asyncio.sleep(1)
    return SpineRun(
        running=(run.completed_at - run.started_at).total_seconds(),
        command=run.completed_at.timestamp() - sent,
        cpu=busy_cpu_seconds() - cpu,
        stages=await _stages(bench, run),
    )


async def _stages(bench: BenchEnvironment, run: Run) -> dict[str, float]:
    """The stages of the bare SDK, computed from the run's events."""
    async with bench.database.sessions() as session:
        at = {event.kind: event.at for event in await events.of_run(session, run.id)}
    marks = [
        at[kind]
        for kind in (
            EventKind.RUN_STARTED,
            EventKind.WORKSPACE_READY,
            EventKind.AGENT_STARTED,
            EventKind.AGENT_RESULT,
            EventKind.RUN_ENDED,
        )
    ]
    return _between([mark.timestamp() for mark in marks])


def _between(marks: Sequence[float]) -> dict[str, float]:
    return dict(zip(STAGES, (b - a for a, b in pairwise(marks)), strict=True))


async def _run_on_bare_sdk(bench: BenchEnvironment) -> _Bare:
    run_marker = f"bare_{uuid4().hex[:12]}"
    options = bare_options(
        bench.folder / run_marker, bench.model_url, run_marker=run_marker, max_turns=_MAX_TURNS
    )
    cpu = busy_cpu_seconds()
    # Its directory exists already: there is no setup to measure.
    began = started = ended = time.perf_counter()
    result: ResultMessage | None = None
    async with bare_client(options) as client:
        await client.query(TASK)
        async for message in client.receive_response():
            if isinstance(message, SystemMessage) and message.subtype == "init":
                started = time.perf_counter()
            if isinstance(message, ResultMessage):
                result, ended = message, time.perf_counter()
    closed = time.perf_counter()
    if result is None or result.is_error:
        raise RuntimeError(f"the baseline failed: {result}")
    return _Bare(
        wall=closed - began,
        cpu=busy_cpu_seconds() - cpu,
        stages=_between([began, began, started, ended, closed]),
    )
