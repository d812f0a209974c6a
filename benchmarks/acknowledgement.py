"""Time until a slash command is acknowledged, while 20 runs are live.

Signalbox executes 20 scripted runs at a time, each of which uses a tool every eight seconds,
like an agent on a real model; the measurement starts when all of them work.  Commands are
typed into the Slack sandbox, one after another: `status`, `list`, `help` and `run` (which
queues a run) in turn.  The sandbox measures the time from sending the envelope to its
acknowledgement.  The baseline is a Bolt app in its own process that only acknowledges.  It
is connected to a second sandbox in the benchmark's process and takes turns with Signalbox,
so both have the same load on the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from benchmarks.environment import BenchEnvironment, open_bench, run_module
from benchmarks.results import heading, line, median, percentile
from bot.sandbox.slack.people import BUILDS
from bot.sandbox.slack.server import open_sandbox

LIVE = 20
_TASK = "[scenario: long] [turns: 900] [delay: 8s] Work slowly."
_MEASURED = ("status", "list", "help", f"run implement --turns 1000 {_TASK}")
_WORKING = "status = 'running' AND tool_calls > 0"
# Starting twenty agents on few cores takes minutes.
_START_LIMIT = 600


async def measure(*, repetitions: int = 240) -> None:
    """Measure and print the results."""
    heading("acknowledgement", f"slash commands with {LIVE} runs live ÷ a Bolt app that only acks")
    ours: list[float] = []
    theirs: list[float] = []
    async with open_bench(slots=LIVE) as bench, open_sandbox() as other:
        app = run_module("benchmarks.bare_app", other.api_url, other.bot_token, other.app_token)
        async with app:
            await _until_live(bench)
            for number in range(repetitions):
                ours.append(await bench.command(_MEASURED[number % len(_MEASURED)]))
                bare = await other.human.slash(BUILDS, "/workflow", "status")
                if not bare.ok:
                    raise RuntimeError(f"the baseline failed: {bare.error}")
                theirs.append(bare.ack_ms)
                await asyncio.sleep(0.1)
            working = await bench.count(_WORKING)
            line("runs live at the end", str(working))
    line("Signalbox", _percentiles(ours))
    for number, words in enumerate(_MEASURED):
        line(f"  of which {words.split()[0]}", _percentiles(ours[number :: len(_MEASURED)]))
    line("Bolt app that only acks", _percentiles(theirs))
    line("ratio of medians", f"{median(ours) / median(theirs):.2f} ×")
    line("ratio of p99", f"{percentile(ours, 99) / percentile(theirs, 99):.2f} ×")


async def _until_live(bench: BenchEnvironment) -> None:
    """Start the runs and wait until all of them work: the start is not measured."""
    async with asyncio.timeout(_START_LIMIT):
        for wanted in range(LIVE):
            await bench.command(f"run implement --turns 1000 {_TASK}")
            await bench.wait_until_started(wanted)
        await bench.wait_until(_WORKING, LIVE)


def _percentiles(samples: Sequence[float]) -> str:
    parts = ", ".join(f"p{rank} {percentile(samples, rank):.1f}" for rank in (50, 95, 99))
    return f"{parts}, max {max(samples):.1f} ms (n={len(samples)})"
