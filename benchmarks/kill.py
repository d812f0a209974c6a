"""How long a kill takes, and what survives it.

Each run is killed with `/workflow kill` once its tool works: a cooperative one (a tool that
sleeps) and a hostile one (children that ignore signals, and have left the session).  The
times are those of the termination's row, from the request on.  What survives is counted by
the benchmark itself, not by Signalbox: it remembers the tree of processes before the kill and
looks for those and for the run's mark in every process's environment after it.

The baseline does what the SDK offers: `interrupt()`, then closing the client, on the same
script with the same options.  What survives that is counted in the same way, and then ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from benchmarks.bare_agent import bare_client, bare_options
from benchmarks.figures import heading, line, median, percentile
from benchmarks.plant import Plant, open_plant
from core.agent.process import COOKIE
from core.domain.termination import Phase, Termination

KINDS = {"cooperative": "kill-me", "hostile": "kill-hostile"}
_LIMIT = 60
# Enough to compare with; each bare hostile close takes the SDK's own long waits.
_BASELINES = 5


@dataclass(frozen=True, kw_only=True)
class _Kill:
    termination: Termination
    survivors: int

    @property
    def seconds(self) -> float:
        return self.termination.phases[Phase.CONFIRMED] / 1000


async def measure(*, repetitions: int = 30) -> None:
    """Print the figures; for the long count give `--repetitions 1000`."""
    heading("kill", "from the wish to the proof ÷ interrupt and close on the bare SDK")
    async with open_plant(slots=1) as plant:
        kills: dict[str, list[_Kill]] = defaultdict(list)
        bare: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for number in range(repetitions):
            for kind, scenario in KINDS.items():
                kills[kind].append(await _killed(plant, scenario))
                if number % max(repetitions // _BASELINES, 1) == 0:
                    bare[kind].append(await _closed(plant, scenario))
    for kind in KINDS:
        ours = [one.seconds for one in kills[kind]]
        theirs = [seconds for seconds, _ in bare[kind]]
        line(f"{kind}, confirmed after", _percentiles(ours))
        for phase, milliseconds in _by_phase(kills[kind]).items():
            line(f"  {phase}", _percentiles([one / 1000 for one in milliseconds]))
        line("  survivors", str(sum(one.survivors for one in kills[kind])))
        line("  bare SDK closed after", _percentiles(theirs))
        line("  its survivors", str(sum(left for _, left in bare[kind])))
        line("  ratio of medians", f"{median(ours) / median(theirs):.2f} ×")


def _by_phase(kills: Sequence[_Kill]) -> dict[str, list[int]]:
    """Milliseconds at which each phase began, in the ladder's order."""
    found: dict[str, list[int]] = {}
    for phase in Phase:
        reached = [k.termination.phases[phase] for k in kills if phase in k.termination.phases]
        if reached and phase not in (Phase.REQUESTED, Phase.CONFIRMED):
            found[phase] = reached
    return found


async def _killed(plant: Plant, scenario: str) -> _Kill:
    before = await plant.count()
    await plant.command(f"run implement [scenario: {scenario}] Hold still.")
    run = await plant.started(before)
    tree = await _working(lambda: _marked(run.run_id), scenario)
    await plant.command(f"kill {run.run_id} benchmark")
    run = await plant.ended(run.run_id)
    termination = await plant.termination(run)
    if run.status != "killed" or termination is None:
        raise RuntimeError(f"{run.run_id} was not killed: {run.status}, {run.stop_reason}")
    return _Kill(termination=termination, survivors=len(_alive(tree) | _marked(run.run_id)))


async def _closed(plant: Plant, scenario: str) -> tuple[float, int]:
    cookie = f"bare_{uuid4().hex[:12]}"
    options = bare_options(plant.folder / cookie, plant.model_url, cookie=cookie, max_turns=30)
    async with bare_client(options) as client:
        await client.query(f"[scenario: {scenario}] Hold still.")
        tree = await _working(lambda: _marked(cookie), scenario)
        began = time.perf_counter()
        try:
            async with asyncio.timeout(_LIMIT):
                await client.interrupt()
        # The SDK raises bare exceptions; the close that follows is what counts.
        except Exception as error:  # noqa: BLE001
            line("  the baseline's interrupt failed", repr(error)[:80])
    seconds = time.perf_counter() - began
    left = _alive(tree) | _marked(cookie)
    for pid, _ in left:
        os.kill(pid, signal.SIGKILL)
    return seconds, len(left)


async def _working(tree: Callable[[], set[tuple[int, str]]], scenario: str) -> set[tuple[int, str]]:
    """Wait until the scenario's last process is there; the tree as it then is."""
    wanted = 4 if scenario == "kill-hostile" else 2
    async with asyncio.timeout(_LIMIT):
        while True:
            found = tree()
            if sum(_is_held(pid) for pid, _ in found) >= wanted - 1:
                return found
            await asyncio.sleep(0.1)


def _is_held(pid: int) -> bool:
    """Whether it is one of those that a kill is about: what sleeps, or ignores signals."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0].endswith(b"sleep") or (b"python3" in words[0] and b"-c" in words)


def _marked(cookie: str) -> set[tuple[int, str]]:
    """Every living process with the run's mark: pid and start time."""
    wanted = f"{COOKIE}={cookie}".encode()
    found = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            is_marked = wanted in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        started = _started(int(folder.name))
        if is_marked and started is not None:
            found.add((int(folder.name), started))
    return found


def _alive(tree: set[tuple[int, str]]) -> set[tuple[int, str]]:
    return {(pid, started) for pid, started in tree if _started(pid) == started}


def _started(pid: int) -> str | None:
    """Its start time, by which a pid used again is told apart; `None` for the dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "XZx" else fields[19]


def _percentiles(samples: Sequence[float]) -> str:
    figures = ", ".join(f"p{rank} {percentile(samples, rank):.2f}" for rank in (50, 95, 99))
    return f"{figures}, min {min(samples):.2f}, max {max(samples):.2f} s (n={len(samples)})"
