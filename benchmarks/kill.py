"""How long a kill takes, and what survives it.

Runs of several kinds are killed with `/workflow kill`, a few live at once: cooperative ones
(a tool that sleeps), hostile ones (trees that ignore signals, change session, fork all the
time, or daemonize without the run's mark), and runs that are killed while they start or end.
The times are those of the termination's row, from the wish to the proof.  What survives is
counted by the benchmark itself (`watch.py`).

The baseline does what the SDK offers: `interrupt()`, then closing the client, on the same
scripts with the same options.  What survives that is counted in the same way, and then ended.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from uuid import uuid4

from sqlalchemy import text

from benchmarks.bare_agent import bare_client, bare_options
from benchmarks.figures import heading, line, median, percentile
from benchmarks.plant import Plant, open_plant
from benchmarks.watch import Watch, watching
from core.domain.run import Run
from core.domain.termination import Phase, Termination
from core.store import runs

# On two processors: a start of the agent takes half a second of one.
LANES = 6
_LIMIT = 90
# Enough to compare with; each bare hostile close takes the SDK's own long waits.
_BASELINES = 3
# Of these scenarios the same order for everybody, so that two machines can be compared.
_SEED = 20_260_703


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """One way of being killed.

    Attributes:
        family: Whose percentiles it counts to.
        held: How many processes stand before the kill; `None`: it comes at any moment.
        share: How often it is among a hundred kills.
    """

    name: str
    scenario: str
    family: str
    share: int
    held: int | None = None


KINDS = (
    _Kind(name="sleeps", scenario="kill-me", family="cooperative", share=25, held=1),
    _Kind(name="ignores signals", scenario="kill-stubborn", family="hostile", share=15, held=1),
    _Kind(name="changes session", scenario="kill-escaped", family="hostile", share=15, held=2),
    _Kind(name="all of it", scenario="kill-hostile", family="hostile", share=15, held=3),
    _Kind(name="double fork", scenario="kill-daemon", family="hostile", share=8, held=2),
    _Kind(name="forks on", scenario="fork-storm", family="hostile", share=2, held=40),
    _Kind(name="races the start", scenario="kill-me", family="at the start", share=12),
    _Kind(name="races the end", scenario="long] [turns: 2", family="at the end", share=8),
)


@dataclass(frozen=True, kw_only=True)
class _Kill:
    kind: _Kind
    run: Run
    termination: Termination | None
    survivors: int

    @property
    def is_confirmed(self) -> bool:
        return self.termination is not None and self.termination.phase is Phase.CONFIRMED

    @property
    def seconds(self) -> float:
        if self.termination is None:
            return 0.0
        return self.termination.phases.get(Phase.CONFIRMED, 0) / 1000


async def measure(*, repetitions: int = 60) -> None:
    """Print the figures; for the long count give `--repetitions 1000`."""
    heading("kill", "from the wish to the proof, and what the benchmark finds alive after it")
    began = time.monotonic()
    async with open_plant(slots=LANES) as plant, watching() as watch:
        kills = await _in_lanes(plant, watch, _plan(repetitions))
        left = {one.run.run_id for one in kills if watch.survivors(one.run.run_id)}
        seconds = time.monotonic() - began
        bare = {
            kind: [await _closed(plant, watch, kind) for _ in range(_BASELINES)]
            for kind in KINDS
            if kind.scenario in ("kill-me", "kill-hostile") and kind.held is not None
        }
    _report(kills, left, seconds)
    for kind, closes in bare.items():
        line(f"bare SDK, {kind.name}: closed after", _percentiles([one[0] for one in closes]))
        line("  its survivors", str(sum(one[1] for one in closes)))


def _plan(repetitions: int) -> list[_Kind]:
    """So many kills, in the kinds' shares, mixed."""
    kinds = [kind for kind in KINDS for _ in range(kind.share)]
    plan = [kinds[number * len(kinds) // repetitions % len(kinds)] for number in range(repetitions)]
    if repetitions > len(kinds):
        plan = [kinds[number % len(kinds)] for number in range(repetitions)]
    random.Random(_SEED).shuffle(plan)
    return plan


async def _in_lanes(plant: Plant, watch: Watch, plan: Sequence[_Kind]) -> list[_Kill]:
    waiting = list(reversed(plan))
    done: list[_Kill] = []

    async def lane(number: int) -> None:
        chance = random.Random(_SEED + number)
        while waiting:
            done.append(await _killed(plant, watch, waiting.pop(), chance))
            if len(done) % 100 == 0:
                line("… so far", f"{len(done)} kills, {sum(k.survivors for k in done)} survivors")

    async with asyncio.TaskGroup() as group:
        for number in range(LANES):
            group.create_task(lane(number), name=f"lane {number}")
    return done


async def _killed(plant: Plant, watch: Watch, kind: _Kind, chance: random.Random) -> _Kill:
    mark = uuid4().hex
    await plant.command(f"run implement [scenario: {kind.scenario}] Hold still {mark}")
    run = await _run_of(plant, mark)
    async with asyncio.timeout(_LIMIT):
        if kind.held is not None:
            await watch.holds(run.run_id, kind.held, gives_up=lambda: False)
        elif kind.family == "at the start":
            await asyncio.sleep(chance.uniform(0, 2.5))
        else:
            while run.is_live and run.tool_calls < 1:
                await asyncio.sleep(0.03)
                run = await _look(plant, run)
            await asyncio.sleep(chance.uniform(0, 0.4))
        await plant.command(f"kill {run.run_id} benchmark")
        run = await plant.ended(run.run_id)
        termination = await _concluded(plant, run)
    survivors = await asyncio.to_thread(watch.survivors, run.run_id)
    return _Kill(kind=kind, run=run, termination=termination, survivors=len(survivors))


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


async def _look(plant: Plant, run: Run) -> Run:
    async with plant.database.sessions() as session:
        return await runs.get(session, run.run_id)


async def _concluded(plant: Plant, run: Run) -> Termination | None:
    """The termination once it has its end; a run that ended first may have none."""
    while True:
        found = await plant.termination(run)
        if found is None or found.completed_at is not None:
            return found
        await asyncio.sleep(0.1)


async def _closed(plant: Plant, watch: Watch, kind: _Kind) -> tuple[float, int]:
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


def _report(kills: Sequence[_Kill], left: set[str], seconds: float) -> None:
    stopped = [one for one in kills if one.termination is not None]
    line("kills", f"{len(kills)} in {seconds / 60:.1f} min, {LANES} at once")
    line("survivors, right after each", str(sum(one.survivors for one in kills)))
    line("runs with survivors at the very end", str(len(left)))
    confirmed = sum(one.is_confirmed for one in stopped)
    line("confirmed", f"{confirmed} of {len(stopped)} ({confirmed / max(len(stopped), 1):.2%})")
    unheard = len(kills) - len(stopped)
    line("ended by themselves before the kill", str(unheard))
    for status, count in sorted(Counter(one.run.status.value for one in kills).items()):
        line(f"  {status}", str(count))
    for family in dict.fromkeys(kind.family for kind in KINDS):
        of_family = [one for one in stopped if one.kind.family == family and one.is_confirmed]
        if of_family:
            line(f"{family}, confirmed after", _percentiles([one.seconds for one in of_family]))
            for name, times in _by(of_family).items():
                line(f"  {name}", _percentiles(times))
    _histogram(stopped)


def _by(kills: Iterable[_Kill]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for one in kills:
        found[one.kind.name].append(one.seconds)
    return found if len(found) > 1 else {}


def _histogram(kills: Sequence[_Kill]) -> None:
    """How many kills came to each phase, and how long they stayed in it."""
    stays: dict[Phase, list[float]] = defaultdict(list)
    for one in kills:
        phases = list((one.termination.phases if one.termination else {}).items())
        for (phase, began), (_, ended) in pairwise(phases):
            stays[phase].append((ended - began) / 1000)
    bounds = (0.1, 0.3, 1, 3, 9)
    line("histogram by phase", "".join(f"{f'<{b} s':>8}" for b in bounds) + f"{'more':>8}")
    for phase in Phase:
        times = stays.get(phase, [])
        if not times:
            continue
        below = [sum(t < b for t in times) for b in bounds] + [len(times)]
        counts = [n - before for n, before in zip(below, [0, *below[:-1]], strict=True)]
        shown = "".join(f"{count:>8}" for count in counts)
        line(f"  {phase}", f"{shown}   median {median(times):.2f} s (n={len(times)})")


def _percentiles(samples: Sequence[float]) -> str:
    figures = ", ".join(f"p{rank} {percentile(samples, rank):.2f}" for rank in (50, 95, 99))
    return f"{figures}, min {min(samples):.2f}, max {max(samples):.2f} s (n={len(samples)})"
