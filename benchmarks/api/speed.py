"""The HTTP API with a thousand to a million runs: statuses at 100 clients, and lists.

Databases with seeded runs (`benchmarks/seed`) are made first, one of each size, on one Postgres.
Each is then read by a bare handler (`bare_handler.py`) and by real `signalbox bot` processes, each
a process of its own, one after another.  100 keep-alive clients ask for statuses of random runs,
each as soon as it has its last answer, so that the answering process is always busy: then the
share of the bare handler's throughput is what Signalbox's answer costs beside one select, and the
time of an answer is that in a queue of 100.

Then the same 100 clients ask once a second each, as programs that poll do: the times of these
answers are those that a client sees, and not those of a queue that is always full.

Kinds of answers: `whole` is the default one, with steps, summary and result, which is stored when
a run ends; with `cache off` each answer is composed from its rows, as at the first request of a run
that ended before answers were stored, or of one that is live; `base` is `?enhanced=false`, the
fields of the older API.  Lists are asked for by one such client and by four,
a page of 50 runs with `total_count`, for each filter.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.api.clients import STATUS_PATH, Load, Measured, measure_load
from benchmarks.api.console import Console, open_bare_handler, open_console
from benchmarks.api.filters import filter_paths
from benchmarks.machine import machine_line
from benchmarks.results import heading, line, median
from benchmarks.seed.load import new_database, seed, seed_server
from core.store.database.migrate import upgrade

SIZES = (1_000, 100_000, 1_000_000)
_SECONDS = 8.0
_LIST_SECONDS = 5.0
# Between two requests of a client that polls.
_POLL_SECONDS = 1.0
# One asks for one page after another: the time is that of a page.  With several, each page waits
# for the others.
_LIST_CLIENTS = (1, 4)
_BARE, _WHOLE, _UNCACHED, _BASE = "bare handler", "whole", "whole, cache off", "base"


@dataclass
class _Series:
    """The measurements of one kind of answer on one database.

    Attributes:
        polled: p50 and p99 of clients that ask once a second.
    """

    rates: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    polled: list[tuple[float, float]] = field(default_factory=list)
    bytes: float = 0

    def add(self, measured: Measured, cpu_seconds: float, answers: float) -> None:
        """Add one measurement."""
        self.rates.append(measured.rate)
        self.p50.append(measured.percentile(50))
        self.p99.append(measured.percentile(99))
        self.cpu.append(cpu_seconds / answers * 1e6)
        self.bytes = measured.bytes


async def measure(*, repetitions: int = 3, runs: Sequence[int] = SIZES) -> None:
    """Measure and print the results; with a million runs it takes about twenty minutes.

    Args:
        repetitions: Of each measurement of statuses; medians are printed.
        runs: The numbers of runs, in ascending order.
    """
    heading("api", "statuses at 100 clients ÷ a bare handler with one select, and lists")
    line("machine", machine_line())
    async with AsyncExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="signalbox-api-", ignore_cleanup_errors=True)
            )
        )
        server = await stack.enter_async_context(seed_server(folder / "postgres"))
        databases = {size: await _seeded(server, size) for size in runs}
        consoles: dict[tuple[int, str], Console] = {}
        for size, dsn in databases.items():
            consoles[size, _BARE] = await stack.enter_async_context(open_bare_handler(dsn))
            for kind in (_WHOLE, _UNCACHED):
                home = folder / f"{size}-{kind == _WHOLE}"
                home.mkdir()
                consoles[size, kind] = await stack.enter_async_context(
                    open_console(dsn, home, has_cache=kind == _WHOLE)
                )
            consoles[size, _BASE] = consoles[size, _WHOLE]
        await _statuses(consoles, repetitions)
        await _lists(consoles[runs[-1], _WHOLE], runs[-1])


async def _seeded(server: str, size: int) -> str:
    dsn = await new_database(server, f"runs_{size}")
    await asyncio.to_thread(upgrade, dsn)
    await seed(dsn, runs=size, report=lambda text: line(f"seeding {size:,}", text.strip()))
    return dsn


async def _statuses(consoles: dict[tuple[int, str], Console], repetitions: int) -> None:
    found: defaultdict[tuple[int, str], _Series] = defaultdict(_Series)
    for _ in range(repetitions):
        for (size, kind), console in consoles.items():
            before = console.cpu_seconds()
            load = Load(
                url=console.url,
                token=console.token,
                seconds=_SECONDS,
                runs=size,
                path=STATUS_PATH + ("?enhanced=false" if kind == _BASE else ""),
            )
            measured = await measure_load(load)
            answers = measured.rate * (load.warm_up + load.seconds)
            series = found[size, kind]
            series.add(measured, console.cpu_seconds() - before, answers)
            polled = await measure_load(replace(load, every=_POLL_SECONDS))
            series.polled.append((polled.percentile(50), polled.percentile(99)))
    smallest = min(size for size, _ in consoles)
    for (size, kind), series in found.items():
        bare = found[size, _BARE].rates
        share = median([ours / other for ours, other in zip(series.rates, bare, strict=True)])
        first = found[smallest, kind].rates
        slower = median([one / now for one, now in zip(first, series.rates, strict=True)])
        line(
            f"{size:,} runs, {kind}",
            f"{median(series.rates):.0f}/s = {share:.2f} × bare · p50 {median(series.p50):.1f} "
            f"p99 {median(series.p99):.1f} ms · CPU {median(series.cpu):.0f} µs · "
            f"{series.bytes:.0f} bytes · {slower:.2f} × slower than {smallest:,}",
        )
    for (size, kind), series in found.items():
        p50, p99 = (median(list(one)) for one in zip(*series.polled, strict=True))
        line(
            f"{size:,} runs, {kind}, 100 clients once a second",
            f"p50 {p50:.1f} p99 {p99:.1f} ms",
        )


async def _lists(console: Console, size: int) -> None:
    slowest = dict.fromkeys(_LIST_CLIENTS, 0.0)
    for name, path in filter_paths(size).items():
        figures: list[str] = []
        for clients in _LIST_CLIENTS:
            measured = await measure_load(
                Load(
                    url=console.url,
                    token=console.token,
                    clients=clients,
                    seconds=_LIST_SECONDS,
                    warm_up=1.0,
                    path=path,
                )
            )
            p99 = measured.percentile(99)
            slowest[clients] = max(slowest[clients], p99)
            figures.append(
                f"{_clients(clients)}: p50 {measured.percentile(50):.1f} p99 {p99:.1f} ms, "
                f"{measured.rate:.0f}/s"
            )
        line(f"list of {size:,}, {name}", " · ".join(figures))
    worst = " · ".join(f"{_clients(count)}: p99 {p99:.1f} ms" for count, p99 in slowest.items())
    line(f"list of {size:,}, slowest filter", worst)


def _clients(count: int) -> str:
    return f"{count} client{'' if count == 1 else 's'}"
