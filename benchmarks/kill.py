"""How long a kill takes, and what survives it.

Runs of several kinds are killed with `/workflow kill`, a few live at once: cooperative ones
(a tool that sleeps), hostile ones (trees that ignore signals, change session, fork all the
time, or daemonize without the run's mark), runs in the middle of a commit, which must be whole
afterwards, and runs that are killed while they start or end.  The times are those of the
termination's row, from the wish to the proof.  What survives is counted by the benchmark
itself (`watch.py`).

The baseline does what the SDK offers: `interrupt()`, then closing the client, on the same
scripts with the same options.  What survives that is counted in the same way, and then ended.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text

from benchmarks.bare_agent import bare_client, bare_options
from benchmarks.figures import heading, line
from benchmarks.kill_aim import LastMoment
from benchmarks.kill_kinds import KINDS, SEED, Family, Kill, Kind, plan_of
from benchmarks.kill_report import percentiles, report
from benchmarks.plant import Plant, open_plant
from benchmarks.watch import Watch, watching
from core.domain.kills.termination import Termination
from core.domain.runs.run import Run
from core.store.runs import runs

# On two processors: a start of the agent takes half a second of one.
LANES = 6
_LIMIT = 90
# Enough to compare with; each bare hostile close takes the SDK's own long waits.
_BASELINES = 3


async def measure(*, repetitions: int = 60) -> None:
    """Print the figures; for the long count give `--repetitions 1000`."""
    heading("kill", "from the wish to the proof, and what the benchmark finds alive after it")
    began = time.monotonic()
    async with open_plant(slots=LANES) as plant, watching() as watch:
        kills = await _in_lanes(plant, watch, plan_of(repetitions))
        left = {one.run.run_id for one in kills if watch.survivors(one.run.run_id)}
        seconds = time.monotonic() - began
        bare = {
            kind: [await _closed(plant, watch, kind) for _ in range(_BASELINES)]
            for kind in KINDS
            if kind.scenario in ("kill-me", "kill-hostile") and kind.held is not None
        }
    report(kills, left, seconds, lanes=LANES)
    for kind, closes in bare.items():
        line(f"bare SDK, {kind.name}: closed after", percentiles([one[0] for one in closes]))
        line("  its survivors", str(sum(one[1] for one in closes)))


async def _in_lanes(plant: Plant, watch: Watch, plan: Sequence[Kind]) -> list[Kill]:
    waiting = list(reversed(plan))
    done: list[Kill] = []
    last_moment = LastMoment()

    async def lane(number: int) -> None:
        chance = random.Random(SEED + number)
        while waiting:
            done.append(await _killed(plant, watch, waiting.pop(), chance, last_moment))
            if len(done) % 100 == 0:
                line("… so far", f"{len(done)} kills, {sum(k.survivors for k in done)} survivors")

    async with asyncio.TaskGroup() as group:
        for number in range(LANES):
            group.create_task(lane(number), name=f"lane {number}")
    return done


async def _killed(
    plant: Plant, watch: Watch, kind: Kind, chance: random.Random, last_moment: LastMoment
) -> Kill:
    mark = uuid4().hex
    await plant.command(f"run implement [scenario: {kind.scenario}] Hold still {mark}")
    run = await _run_of(plant, mark)
    async with asyncio.timeout(_LIMIT):
        if kind.held is not None:
            await watch.holds(run.run_id, kind.held, gives_up=lambda: False)
        elif kind.family is Family.AT_START:
            await asyncio.sleep(chance.uniform(0, 2.5))
        else:
            await last_moment.wait(plant, run, chance)
        await plant.command(f"kill {run.run_id} benchmark")
        run = await plant.ended(run.run_id)
        termination = await _concluded(plant, run)
    last_moment.learn(run)
    survivors = await asyncio.to_thread(watch.survivors, run.run_id)
    is_whole = kind.family is not Family.CRITICAL or await asyncio.to_thread(_is_whole, run)
    return Kill(
        kind=kind, run=run, termination=termination, survivors=len(survivors), is_whole=is_whole
    )


def _is_whole(run: Run) -> bool:
    """Whether the commit under way is there, the next is not, and git can go on."""
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


async def _run_of(plant: Plant, mark: str) -> Run:
    async with asyncio.timeout(_LIMIT):
        while True:
            async with plant.database.sessions() as session:
                run_id = await session.scalar(
                    text("SELECT run_id FROM workflow_runs WHERE task_input LIKE :mark"),
                    {"mark": f"%{mark}"},
                )
                if run_id is not None:
                    return await runs.get(session, run_id)
            await asyncio.sleep(0.05)


async def _concluded(plant: Plant, run: Run) -> Termination | None:
    """The termination once it has its end; a run that ended first may have none."""
    while True:
        found = await plant.termination(run)
        if found is None or found.completed_at is not None:
            return found
        await asyncio.sleep(0.1)


async def _closed(plant: Plant, watch: Watch, kind: Kind) -> tuple[float, int]:
    cookie = f"bare_{uuid4().hex[:12]}"
    options = bare_options(plant.folder / cookie, plant.model_url, cookie=cookie, max_turns=30)
    async with bare_client(options) as client:
        await client.query(f"[scenario: {kind.scenario}] Hold still.")
        async with asyncio.timeout(_LIMIT):
            await watch.holds(cookie, kind.held or 0, gives_up=lambda: False)
        began = time.perf_counter()
        try:
            async with asyncio.timeout(_LIMIT):
                await client.interrupt()
        # The SDK raises bare exceptions; the close that follows is what counts.
        except Exception as error:  # noqa: BLE001
            line("  the baseline's interrupt failed", repr(error)[:80])
    seconds = time.perf_counter() - began
    left = await asyncio.to_thread(watch.survivors, cookie)
    for pid, _ in left:
        os.kill(pid, signal.SIGKILL)
    return seconds, len(left)
