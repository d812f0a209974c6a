"""How long a kill takes, and what survives it.

Runs of several kinds are killed with `/workflow kill`, a few at a time: cooperative ones (a
tool that sleeps), hostile ones (trees that ignore signals, change session, keep forking, or
daemonize without the run's marker), runs in the middle of a commit, which must be complete
afterwards, and runs that are killed while they start or end.  The times come from the
termination's row, from the request to the proof.  The benchmark counts the survivors
independently (`process_watch.py`).

Where the machine can isolate agents, two Signalboxes work side by side: one isolates its agents
and takes all kills of the plan, the other does not and takes every third kill between them, so
that both meet the same load.

A further baseline uses what the SDK offers: `interrupt()`, then closing the client, for the same
scripts with the same options.  Its survivors are counted in the same way and then ended.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text

from benchmarks.bare_agent import bare_client, bare_options
from benchmarks.environment import BenchEnvironment, isolation_status, open_bench
from benchmarks.kill_kinds import KINDS, SEED, Family, Kill, Kind, plan_of
from benchmarks.kill_report import compare, percentiles, report
from benchmarks.kill_timing import EndPrediction
from benchmarks.process_watch import ProcessWatch, open_process_watch
from benchmarks.results import heading, line
from core.domain.isolation import IsolationMode
from core.domain.kills.termination import Termination
from core.domain.runs.run import Run
from core.store.runs import run_queries

# For two processors: the start of an agent takes half a second of one.
CONCURRENCY = 6
_LIMIT = 90
# Enough for a comparison; each hostile close on the bare SDK takes the SDK's own long waits.
_BASELINES = 3
# One kill without isolation after so many with it.
_BASELINE_EVERY = 3


async def measure(*, repetitions: int = 60) -> None:
    """Measure and print the results; use `--repetitions 1000` for the full count."""
    heading("kill", "from the request to the proof, and the processes still alive after it")
    began = time.monotonic()
    status = isolation_status()
    line("isolation", status.detail)
    async with AsyncExitStack() as stack:
        watch = await stack.enter_async_context(open_process_watch())
        bench = await stack.enter_async_context(
            open_bench(slots=CONCURRENCY, isolation=IsolationMode.NONE)
        )
        isolating = None
        if status.is_active:
            isolating = await stack.enter_async_context(
                open_bench(slots=CONCURRENCY, isolation=IsolationMode.REQUIRED)
            )
        plan = _plan(repetitions, isolating, without=bench)
        kills = await _run_concurrently(watch, plan)
        survivor_ids = {one.run.run_id for one in kills if watch.survivors(one.run.run_id)}
        seconds = time.monotonic() - began
        bare = {
            kind: [await _close_bare_sdk(bench, watch, kind) for _ in range(_BASELINES)]
            for kind in KINDS
            if kind.scenario in ("kill-me", "kill-hostile") and kind.blocking_processes is not None
        }
    line("kills", f"{len(kills)} in {seconds / 60:.1f} min, {CONCURRENCY} at once")
    isolated = [one for one in kills if one.is_isolated]
    not_isolated = [one for one in kills if not one.is_isolated]
    for name, those in (("with isolation", isolated), ("without isolation", not_isolated)):
        if those:
            line(name, "")
            report(those, survivor_ids)
    if isolated and not_isolated:
        compare(isolated, not_isolated)
    for kind, results in bare.items():
        line(f"bare SDK, {kind.name}: closed after", percentiles([one[0] for one in results]))
        line("  its survivors", str(sum(one[1] for one in results)))


@dataclass(frozen=True, kw_only=True)
class _Planned:
    """A kill to be made, and the Signalbox that executes the run."""

    bench: BenchEnvironment
    kind: Kind


def _plan(
    repetitions: int, isolating: BenchEnvironment | None, *, without: BenchEnvironment
) -> list[_Planned]:
    kinds = plan_of(repetitions)
    baseline = [_Planned(bench=without, kind=kind) for kind in kinds if not kind.needs_isolation]
    if isolating is None:
        return baseline
    plan: list[_Planned] = []
    for number, kind in enumerate(kinds, 1):
        plan.append(_Planned(bench=isolating, kind=kind))
        if number % _BASELINE_EVERY == 0 and baseline:
            plan.append(baseline.pop())
    return plan


async def _run_concurrently(watch: ProcessWatch, plan: Sequence[_Planned]) -> list[Kill]:
    waiting = list(reversed(plan))
    done: list[Kill] = []
    end_predictions: dict[int, EndPrediction] = defaultdict(EndPrediction)

    async def kill_in_turn(number: int) -> None:
        rng = random.Random(SEED + number)
        while waiting:
            planned = waiting.pop()
            prediction = end_predictions[id(planned.bench)]
            done.append(await _kill_one(planned.bench, watch, planned.kind, rng, prediction))
            if len(done) % 100 == 0:
                line("… so far", f"{len(done)} kills, {sum(k.survivors for k in done)} survivors")

    async with asyncio.TaskGroup() as group:
        for number in range(CONCURRENCY):
            group.create_task(kill_in_turn(number), name=f"lane {number}")
    return done


async def _kill_one(
    bench: BenchEnvironment,
    watch: ProcessWatch,
    kind: Kind,
    rng: random.Random,
    end_prediction: EndPrediction,
) -> Kill:
    marker = uuid4().hex
    await bench.command(f"run implement [scenario: {kind.scenario}] Hold still {marker}")
    run = await _run_of(bench, marker)
    async with asyncio.timeout(_LIMIT):
        if kind.blocking_processes is not None:
            await watch.wait_until_blocking(
                run.run_id, kind.blocking_processes, gives_up=lambda: False
            )
        elif kind.family is Family.AT_START:
            await asyncio.sleep(rng.uniform(0, 2.5))
        else:
            await end_prediction.wait(bench, run, rng)
        await bench.command(f"kill {run.run_id} benchmark")
        run = await bench.wait_until_ended(run.run_id)
        termination = await _wait_until_concluded(bench, run)
    end_prediction.record_end(run)
    survivors = await asyncio.to_thread(watch.survivors, run.run_id)
    is_whole = kind.family is not Family.CRITICAL or await asyncio.to_thread(_is_whole, run)
    return Kill(
        kind=kind,
        run=run,
        termination=termination,
        survivors=len(survivors),
        is_whole=is_whole,
        is_isolated=bench.is_isolated,
    )


def _is_whole(run: Run) -> bool:
    """Whether the commit in progress is complete, the next is absent, and git is usable."""
    path = str(run.workspace_path)
    commits, changes = (
        subprocess.run(
            ["git", "-C", path, *arguments], check=False, capture_output=True, text=True, timeout=20
        ).stdout.split()
        for arguments in (
            ("log", "--format=%s"),
            ("status", "--porcelain", "--", "precious.txt"),
        )
    )
    return commits[:1] == ["first"] and not changes and not Path(path, ".git/index.lock").exists()


async def _run_of(bench: BenchEnvironment, marker: str) -> Run:
    async with asyncio.timeout(_LIMIT):
        while True:
            async with bench.database.sessions() as session:
                run_id = await session.scalar(
                    text("SELECT run_id FROM workflow_runs WHERE task_input LIKE :mark"),
                    {"mark": f"%{marker}"},
                )
                if run_id is not None:
                    return await run_queries.get(session, run_id)
            await asyncio.sleep(0.05)


async def _wait_until_concluded(bench: BenchEnvironment, run: Run) -> Termination | None:
    """Wait for the termination's end; a run that ended first may have no termination."""
    while True:
        found = await bench.termination(run)
        if found is None or found.completed_at is not None:
            return found
        await asyncio.sleep(0.1)


async def _close_bare_sdk(
    bench: BenchEnvironment, watch: ProcessWatch, kind: Kind
) -> tuple[float, int]:
    run_marker = f"bare_{uuid4().hex[:12]}"
    options = bare_options(
        bench.folder / run_marker, bench.model_url, run_marker=run_marker, max_turns=30
    )
    async with bare_client(options) as client:
        await client.query(f"[scenario: {kind.scenario}] Hold still.")
        async with asyncio.timeout(_LIMIT):
            await watch.wait_until_blocking(
                run_marker, kind.blocking_processes or 0, gives_up=lambda: False
            )
        began = time.perf_counter()
        try:
            async with asyncio.timeout(_LIMIT):
                await client.interrupt()
        # The SDK raises bare exceptions; only the close that follows is measured.
        except Exception as error:  # noqa: BLE001
            line("  the baseline's interrupt failed", repr(error)[:80])
    seconds = time.perf_counter() - began
    survivors = await asyncio.to_thread(watch.survivors, run_marker)
    for pid, _ in survivors:
        os.kill(pid, signal.SIGKILL)
    return seconds, len(survivors)
