"""How long a kill takes beside big files, and what becomes of the work.

Each run's workspace gets 1 GB in large files and 50,000 small ones, all untracked, before the kill.
The times are those that a person sees: from the request to the proof, and to the run being
`killed`.  Saving and measuring follow; how long they take, and whether the work was saved or its
loss told, is printed too.  The files are hard to compress, as build output and data are.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text

from benchmarks.environment import BenchEnvironment, isolation_status, open_bench
from benchmarks.kill_kinds import KINDS, Family, Kind
from benchmarks.kill_report import percentiles
from benchmarks.process_watch import ProcessWatch, open_process_watch
from benchmarks.results import heading, line
from core.domain.isolation import IsolationMode
from core.domain.kills.termination import Phase
from core.domain.runs.run import Run
from core.store.runs import run_queries

_LARGE_FILES = 8
_LARGE_BYTES = 125_000_000
_SMALL_FILES = 50_000
_SMALL_BYTES = 200
_FILES_PER_FOLDER = 1_000
_START_LIMIT = 90
# Saving, measuring and storing are bounded; this is more than all of it.
_KEEP_LIMIT = 400
_TARGETS = {Family.COOPERATIVE: 3, Family.HOSTILE: 5}
_SCENARIOS = ("kill-me", "kill-hostile")


@dataclass(frozen=True, kw_only=True)
class _BigKill:
    """One kill; all times in seconds after its request.

    Attributes:
        is_told: Whether the work was saved, or the record says why not.
    """

    family: Family
    proof: float
    killed: float
    kept: float
    survivors: int
    is_saved: bool
    is_told: bool


async def measure(*, repetitions: int = 20) -> None:
    """Measure and print the results, `repetitions` kills of each family."""
    heading("kill-big", "kills beside 1 GB and 50,000 untracked files")
    status = isolation_status()
    line("isolation", status.detail)
    mode = IsolationMode.REQUIRED if status.is_active else IsolationMode.NONE
    kinds = [kind for kind in KINDS if kind.scenario in _SCENARIOS and kind.family in _TARGETS]
    kills: list[_BigKill] = []
    async with open_process_watch() as watch, open_bench(slots=1, isolation=mode) as bench:
        for number in range(repetitions * len(kinds)):
            kills.append(await _kill_one(bench, watch, kinds[number % len(kinds)]))
            line("… so far", f"{len(kills)} kills, the last killed after {kills[-1].killed:.2f} s")
    for family, seconds in _TARGETS.items():
        _report(family, [one for one in kills if one.family is family], seconds)
    line("survivors", str(sum(one.survivors for one in kills)))
    line("work saved", f"{sum(one.is_saved for one in kills)} of {len(kills)}")
    line("saved or its loss told", f"{sum(one.is_told for one in kills)} of {len(kills)}")


def _report(family: Family, kills: Sequence[_BigKill], target_seconds: int) -> None:
    if not kills:
        return
    line(f"{family}, proof after", percentiles([one.proof for one in kills]))
    goal = f"{family}, killed after (target p99 < {target_seconds} s)"
    line(goal, percentiles([one.killed for one in kills]))
    line(f"{family}, work saved and measured after", percentiles([one.kept for one in kills]))


async def _kill_one(bench: BenchEnvironment, watch: ProcessWatch, kind: Kind) -> _BigKill:
    marker = uuid4().hex
    await bench.command(f"run implement [scenario: {kind.scenario}] Hold still {marker}")
    run = await _working_run(bench, marker)
    await watch.wait_until_blocking(
        run.run_id, kind.blocking_processes or 1, gives_up=lambda: False
    )
    await asyncio.to_thread(_fill, Path(str(run.workspace_path)))
    await bench.command(f"kill {run.run_id} benchmark")
    ended = await bench.wait_until_ended(run.run_id, poll_seconds=0.05)
    survivors = await asyncio.to_thread(watch.survivors, run.run_id)
    async with asyncio.timeout(_KEEP_LIMIT):
        while (await bench.read_run(run.run_id)).is_work_pending:  # noqa: ASYNC110 - of a process
            await asyncio.sleep(0.2)
    kept_at = datetime.now(UTC)
    kill = await bench.termination(run)
    if kill is None or ended.completed_at is None:
        raise RuntimeError(f"{run.run_id} ended as {ended.status}, not by the kill")
    await asyncio.to_thread(shutil.rmtree, str(run.workspace_path), ignore_errors=True)
    return _BigKill(
        family=kind.family,
        proof=kill.phases.get(Phase.CONFIRMED, 0) / 1000,
        killed=(ended.completed_at - kill.requested_at).total_seconds(),
        kept=(kept_at - kill.requested_at).total_seconds(),
        survivors=len(survivors),
        is_saved=bool(kill.work_saved.get("commit")),
        is_told=bool(kill.work_saved.get("commit") or kill.work_saved.get("problem")),
    )


async def _working_run(bench: BenchEnvironment, marker: str) -> Run:
    """The run with this marker, once its workspace is there."""
    query = text(
        "SELECT run_id FROM workflow_runs"
        " WHERE task_input LIKE :mark AND initial_branches IS NOT NULL"
    )
    async with asyncio.timeout(_START_LIMIT):
        while True:
            async with bench.database.sessions() as session:
                run_id = await session.scalar(query, {"mark": f"%{marker}"})
                if run_id is not None:
                    return await run_queries.get(session, run_id)
            await asyncio.sleep(0.05)


def _fill(workspace: Path) -> None:
    """Leave many and large files, each with other content."""
    block = os.urandom(1_000_000)
    for number in range(_LARGE_FILES):
        with (workspace / f"large-{number}.bin").open("wb") as file:
            file.write(os.urandom(64))
            for _ in range(_LARGE_BYTES // len(block)):
                file.write(block)
    for number in range(_SMALL_FILES):
        folder = workspace / f"small-{number // _FILES_PER_FOLDER}"
        if number % _FILES_PER_FOLDER == 0:
            folder.mkdir()
        (folder / f"{number}.txt").write_bytes(os.urandom(_SMALL_BYTES).hex().encode())
