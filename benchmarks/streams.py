"""Event streams: what 200 idle clients cost the bot, and how late an event reaches a client.

A `signalbox bot` serves.  The runs have no agents: this script writes their rows as a worker does,
and is the client of all streams.  First the bot's CPU time is taken for a minute without any
client, then for a minute with 200 clients on runs that do not change, 20 clients to a run: the
difference is what they cost.  Then, with these still connected, ten other runs get two writes a
second, each with an event, and each of these runs has a client.  The delay of an event is the time
from its commit, as Postgres recorded it (`track_commit_timestamp`), to its arrival in the client,
by the same clock.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp
from sqlalchemy import text

from benchmarks.environment import BenchEnvironment, open_bench
from benchmarks.results import heading, line, percentile
from core.domain.actor import SYSTEM, Role
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.session import Session
from core.domain.token import NewToken
from core.services.context import ServiceContext
from core.services.tokens import TokenService
from core.store import events
from core.store.runs import run_queries, runs
from core.store.sessions import sessions

IDLE_CLIENTS = 200
LIVE = 10
_CLIENTS_OF_A_RUN = 20
_CLIENTS_OF_A_TOKEN = 50
_SETTLE_SECONDS = 10
_MEASURE_SECONDS = 60
_WRITES_A_SECOND = 2
_CONNECT_LIMIT = 60
# After the last write.
_ARRIVAL_LIMIT = 30
_COMMITTED = """
    SELECT id, extract(epoch FROM pg_xact_commit_timestamp(xmin)) AS at FROM run_events
"""


@dataclass
class _Clients:
    """The clients of all streams.

    Attributes:
        arrived: When the event with this id came, in seconds since 1970.
        connected: How many clients have received their first status.
    """

    bench: BenchEnvironment
    http: aiohttp.ClientSession
    arrived: dict[int, float] = field(default_factory=dict)
    connected: int = 0

    async def follow(self, run: Run, token: str) -> None:
        """Read the stream of a run until cancelled."""
        url = f"{self.bench.url}/api/v1/workflows/claude-code/run/{run.run_id}/stream"
        async with self.http.get(url, headers={"x-api-key": token}) as answer:
            answer.raise_for_status()
            is_first = True
            async for raw in answer.content:
                if not raw.startswith(b"data: "):
                    continue
                data = json.loads(raw[len(b"data: ") :])
                if "kind" in data:
                    self.arrived[data["id"]] = time.time()
                self.connected += is_first
                is_first = False
        raise RuntimeError(f"the stream of {run.run_id} ended")

    async def until_connected(self, wanted: int) -> None:
        """Wait until this many clients are connected."""
        async with asyncio.timeout(_CONNECT_LIMIT):
            while self.connected < wanted:  # noqa: ASYNC110 - waiting is not measured
                await asyncio.sleep(0.1)


async def measure(*, repetitions: int = 60) -> None:
    """Measure and print the results; `repetitions` is the number of writes of each live run."""
    heading("streams", f"{IDLE_CLIENTS} idle streams of a bot, and the delay of events")
    postgres = {"track_commit_timestamp": "on"}
    async with AsyncExitStack() as stack:
        bench = await stack.enter_async_context(open_bench(command="bot", postgres=postgres))
        tokens = await _make_tokens(bench)
        idle = [await add_run(bench) for _ in range(IDLE_CLIENTS // _CLIENTS_OF_A_RUN)]
        live = [await add_run(bench) for _ in range(LIVE)]
        without = await _cpu_share(bench)
        memory = bench.signalbox.memory_full_info().uss
        http = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
            )
        )
        clients = _Clients(bench, http)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = [
            group.create_task(
                clients.follow(idle[number % len(idle)], tokens[number // _CLIENTS_OF_A_TOKEN])
            )
            for number in range(IDLE_CLIENTS)
        ]
        await clients.until_connected(IDLE_CLIENTS)
        with_clients = await _cpu_share(bench)
        memory = bench.signalbox.memory_full_info().uss - memory
        tasks += [group.create_task(clients.follow(run, tokens[-1])) for run in live]
        await clients.until_connected(IDLE_CLIENTS + LIVE)
        began = bench.cpu_seconds(), time.monotonic()
        await asyncio.gather(*(_write(bench, run, repetitions) for run in live))
        cpu, seconds = bench.cpu_seconds() - began[0], time.monotonic() - began[1]
        delays = await _delays(bench, clients, wanted=LIVE * repetitions)
        for task in tasks:
            task.cancel()
    line("the bot without clients", f"{without:.2%} of a processor")
    line(f"with {IDLE_CLIENTS} idle clients", f"{with_clients:.2%}")
    line("  which they cost", f"{with_clients - without:.2%}")
    line("  memory of each", f"{memory / IDLE_CLIENTS / 1024:.0f} KiB")
    line(f"with {LIVE} live runs as well", f"{cpu / seconds:.2%}")
    line("from the commit of an event to a client", _percentiles(delays))


async def _make_tokens(bench: BenchEnvironment) -> list[str]:
    service = TokenService(ServiceContext(bench.database, now))
    count = IDLE_CLIENTS // _CLIENTS_OF_A_TOKEN + 1
    wanted = [NewToken(name=f"client-{number}", role=Role.VIEWER) for number in range(count)]
    return [(await service.create(one, by=SYSTEM))[1] for one in wanted]


async def add_run(bench: BenchEnvironment) -> Run:
    """A running run without a thread, whose worker is this script."""
    at = now()
    conversation = Session(id=uuid4(), agent_name="implement", created_at=at)
    identity = uuid4()
    run = Run(
        id=identity,
        run_id=f"run_{identity.hex[:12]}",
        workflow_name="implement",
        task_input="Nothing.",
        status=RunStatus.PENDING,
        created_at=at,
        updated_at=at,
        session_id=conversation.id,
    )
    async with bench.database.sessions.begin() as session:
        await sessions.add(session, conversation)
        await runs.add(session, run)
        await runs.begin(session, run.run_id, attempt=1, worker_id="benchmark", now=at)
        return await run_queries.get(session, run.run_id)


async def _cpu_share(bench: BenchEnvironment) -> float:
    """The share of a processor that the bot uses in a minute, after a pause."""
    await asyncio.sleep(_SETTLE_SECONDS)
    cpu, began = bench.cpu_seconds(), time.monotonic()
    await asyncio.sleep(_MEASURE_SECONDS)
    return (bench.cpu_seconds() - cpu) / (time.monotonic() - began)


async def _write(bench: BenchEnvironment, run: Run, count: int) -> None:
    """Write progress with an event, again and again, as a worker does."""
    for number in range(count):
        record = EventRecord(
            kind=EventKind.TOOL_STARTED,
            at=now(),
            data={"id": str(number), "name": "Bash", "summary": "make test", "subagent": False},
        )
        async with bench.database.sessions.begin() as session:
            await runs.change(
                session, run.run_id, now=now(), attempt=1, turns=number, tool_calls=number
            )
            await events.append(session, run.id, 1, [record])
        await asyncio.sleep(1 / _WRITES_A_SECOND)


async def _delays(bench: BenchEnvironment, clients: _Clients, *, wanted: int) -> Sequence[float]:
    """The delays of all events, in milliseconds, once they have arrived."""
    async with asyncio.timeout(_ARRIVAL_LIMIT):
        while len(clients.arrived) < wanted:  # noqa: ASYNC110 - waiting is not measured
            await asyncio.sleep(0.1)
    async with bench.database.sessions() as session:
        committed = {row.id: float(row.at) for row in await session.execute(text(_COMMITTED))}
    return [1000 * (at - committed[event_id]) for event_id, at in clients.arrived.items()]


def now() -> datetime:
    """The present time."""
    return datetime.now(UTC)


def _percentiles(samples: Sequence[float]) -> str:
    parts = ", ".join(f"p{rank} {percentile(samples, rank):.0f}" for rank in (50, 95))
    return f"{parts}, max {max(samples):.0f} ms (n={len(samples)})"
