"""Viewers of one run's page: what 200 open pages cost the bot while the run works.

A `signalbox bot` serves.  The run has no agent: this script writes its rows as a worker does, and
is the client of all pages, each signed in as a browser of its own.  The bot's CPU time is taken
with nobody looking while the run has two writes a second, each with a tool call, and then the same
with all viewers.  The delay is the time from a write to the arrival of a page that shows it, in
each viewer; a page is read at most once a second.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import aiohttp

from benchmarks.environment import BenchEnvironment, open_bench
from benchmarks.results import heading, line, percentile
from benchmarks.streams import add_run, now
from core.domain.actor import SYSTEM, Role
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import CostSource, Run
from core.domain.runs.step import Step, StepStatus
from core.domain.token import NewToken
from core.services.context import ServiceContext
from core.services.tokens import TokenService
from core.store import events, steps
from core.store.runs import runs

VIEWERS = 200
_STEPS = 8
_EARLIER_CALLS = 200
_SETTLE_SECONDS = 5
_WRITES_A_SECOND = 2
_CONNECT_LIMIT = 120
_TURNS = re.compile(r"<dt>Turns</dt><dd>(\d+)")


@dataclass
class _Viewers:
    """The clients of all pages.

    Attributes:
        connected: How many have received the page.
        written: When the row had so many turns.
        delays: From a write until a page showed it, in milliseconds.
        received: The bytes that arrived.
    """

    bench: BenchEnvironment
    connected: int = 0
    written: dict[int, float] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    received: int = 0
    signing_in: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))

    async def look(self, run: Run, link: str) -> None:
        """Sign in, and follow the page of a run until cancelled."""
        async with aiohttp.ClientSession(
            self.bench.url,
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=2**20,
        ) as http:
            key = link.rpartition("key=")[2]
            headers = {"Origin": self.bench.url}
            async with (
                self.signing_in,
                http.post("/sign-in", data={"key": key}, headers=headers) as answer,
            ):
                answer.raise_for_status()
            async with http.get(f"/live/runs/{run.run_id}") as answer:
                answer.raise_for_status()
                is_first = True
                async for raw in answer.content:
                    self.received += len(raw)
                    if not raw.startswith(b"data: "):
                        continue
                    if b'"name": "head"' in raw[:60]:
                        self._note(json.loads(raw[len(b"data: ") :])["html"])
                    self.connected += is_first
                    is_first = False
        raise RuntimeError(f"the page of {run.run_id} ended")

    async def until_connected(self) -> None:
        """Wait until all are connected."""
        async with asyncio.timeout(_CONNECT_LIMIT):
            while self.connected < VIEWERS:  # noqa: ASYNC110 - waiting is not measured
                await asyncio.sleep(0.1)

    def _note(self, html: str) -> None:
        found = _TURNS.search(html)
        written = None if found is None else self.written.get(int(found[1]))
        if written is not None:
            self.delays.append(1000 * (time.monotonic() - written))


async def measure(*, repetitions: int = 60) -> None:
    """Measure and print the results; `repetitions` is the number of writes of each part."""
    heading("dashboard-viewers", f"{VIEWERS} viewers of one run's page while the run works")
    async with AsyncExitStack() as stack:
        bench = await stack.enter_async_context(open_bench(command="bot"))
        run = await _working_run(bench)
        links = await _links(bench)
        viewers = _Viewers(bench)
        await asyncio.sleep(_SETTLE_SECONDS)
        without = await _write(bench, run, viewers, first=1, count=repetitions)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = [group.create_task(viewers.look(run, link)) for link in links]
        await viewers.until_connected()
        await asyncio.sleep(_SETTLE_SECONDS)
        viewers.written.clear()
        viewers.delays.clear()
        viewers.received, memory = 0, bench.signalbox.memory_full_info().uss
        with_viewers = await _write(bench, run, viewers, first=300, count=repetitions)
        for task in tasks:
            task.cancel()
    seconds = repetitions / _WRITES_A_SECOND
    line("the bot while nobody looks", f"{without:.1%} of a processor")
    line(f"with {VIEWERS} viewers", f"{with_viewers:.1%}")
    line("  which they cost", f"{with_viewers - without:.1%}")
    line("  sent", f"{viewers.received / seconds / 1e6:.2f} MB a second to all of them")
    line("  memory of the bot", f"{memory / 1e6:.0f} MB")
    line("from a write to a page that shows it", _percentiles(viewers.delays))


async def _links(bench: BenchEnvironment) -> list[str]:
    service = TokenService(ServiceContext(bench.database, now))
    _, secret = await service.create(NewToken(name="viewers", role=Role.VIEWER), by=SYSTEM)
    url = f"{bench.url}/api/v1/dashboard/links"
    async with aiohttp.ClientSession(headers={"x-api-key": secret}) as http:
        links = []
        for _ in range(VIEWERS):
            async with http.post(url, json={}) as answer:
                answer.raise_for_status()
                links.append((await answer.json())["path"])
    return links


async def _working_run(bench: BenchEnvironment) -> Run:
    """A run with steps and tool calls, as after ten minutes of work."""
    run = await add_run(bench)
    began = now() - timedelta(minutes=10)
    found = []
    for number in range(_EARLIER_CALLS):
        at, key = began + timedelta(seconds=3 * number), uuid4().hex
        started = {"id": key, "name": "Bash", "summary": f"Bash: part {number}"}
        found.append(EventRecord(kind=EventKind.TOOL_STARTED, at=at, data=started))
        ended = {"id": key, "error": False, "output": "done"}
        later = at + timedelta(seconds=2)
        found.append(EventRecord(kind=EventKind.TOOL_FINISHED, at=later, data=ended))
    planned = [
        Step(
            step_id=number,
            name=f"Part {number} of the work",
            status=StepStatus.COMPLETED if number < _STEPS else StepStatus.IN_PROGRESS,
            started_at=began + timedelta(minutes=number - 1),
            completed_at=began + timedelta(minutes=number) if number < _STEPS else None,
            tool_calls=20,
        )
        for number in range(1, _STEPS + 1)
    ]
    async with bench.database.sessions.begin() as session:
        await events.append(session, run.id, 1, found)
        await steps.replace(session, run.id, planned)
    return run


async def _write(
    bench: BenchEnvironment, run: Run, viewers: _Viewers, *, first: int, count: int
) -> float:
    """Write progress again and again, as a worker does; return the bot's share of a processor."""
    cpu, began = bench.cpu_seconds(), time.monotonic()
    for number in range(first, first + count):
        key = uuid4().hex
        started = {"id": key, "name": "Bash", "summary": "Bash: make test"}
        ended = {"id": key, "error": False, "output": "done"}
        async with bench.database.sessions.begin() as session:
            await runs.change(
                session,
                run.run_id,
                now=now(),
                attempt=1,
                turns=number,
                tool_calls=_EARLIER_CALLS + number,
                last_activity="Bash: make test",
                last_activity_at=now(),
                cost_usd=Decimal("0.01") * number,
                cost_source=CostSource.ESTIMATED,
            )
            await events.append(
                session,
                run.id,
                1,
                [
                    EventRecord(kind=EventKind.TOOL_STARTED, at=now(), data=started),
                    EventRecord(kind=EventKind.TOOL_FINISHED, at=now(), data=ended),
                ],
            )
        viewers.written[number] = time.monotonic()
        await asyncio.sleep(1 / _WRITES_A_SECOND)
    return (bench.cpu_seconds() - cpu) / (time.monotonic() - began)


def _percentiles(samples: Sequence[float]) -> str:
    parts = ", ".join(f"p{rank} {percentile(samples, rank):.0f}" for rank in (50, 95))
    return f"{parts}, max {max(samples):.0f} ms (n={len(samples)})"
