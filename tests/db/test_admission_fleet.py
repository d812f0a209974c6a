"""The caps under load: several workers at full speed, and people who start and kill runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from core.agent.definitions.catalog import load_catalog
from core.domain.actor import Actor, Identity, Origin, Role
from core.domain.fleet.workers import Caps
from core.domain.kills.termination import Phase
from core.domain.runs.request import KillRequest, StartRequest
from core.domain.runs.run import Run, RunStatus, StopReason
from core.queue.jobs import Job
from core.runner.execution.ledgers.ledger import Ledger
from core.services.context import ServiceContext
from core.services.fleet.admission import AdmissionService
from core.services.people import PeopleService
from core.services.runs.kill_requests import AlreadyEnded
from core.services.runs.runs import RunService
from core.store.database.engine import Database
from core.store.runs import run_queries
from tests.fakes.queue import running_worker, wait_until

CAPS = Caps(fleet=6, repository=3, person=2)
# Fewer than there are connections.  Who waits for one is refused after ten seconds, and on a busy
# machine sixty starts take longer.
STARTS_AT_ONCE = 10


@dataclass
class Fleet:
    """People, and workers that execute each run as a short sleep.

    Attributes:
        begun: Ids of the runs in the order in which they began.
        over: Live runs at each moment when there were more than the caps allow.
    """

    database: Database
    work: ServiceContext
    admission: AdmissionService
    service: RunService
    ledger: Ledger
    pause: float = 0.02
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    starting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STARTS_AT_ONCE))
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    live: list[Run] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    caps: Caps = CAPS
    requeues: set[str] = field(default_factory=set)

    async def person(self, name: str, role: Role = Role.RUNNER) -> Actor:
        identity = Identity(origin=Origin.SLACK, external_id=f"U{name}", team_id="T1", name=name)
        return await PeopleService(self.work).ensure_actor(identity, role=role)

    async def start(
        self, by: Actor, *, repo: str | None = None, priority: int = 0, task: str = "Work"
    ) -> Run:
        request = StartRequest(
            workflow="implement", task=task, request_key=uuid4().hex, repo=repo, priority=priority
        )
        async with self.starting:
            return (await self.service.start(request, by=by)).run

    async def execute(self, job: Job) -> None:
        run = await self.ledger.begin(job.run_id, job.attempt)
        if run is None:
            return
        self.begun.append(run.run_id)
        self.live.append(run)
        self._record_exceeded_caps()
        await self.gate.wait()
        await asyncio.sleep(self.pause)
        self.live.remove(run)
        if run.run_id in self.requeues:
            self.requeues.discard(run.run_id)
            await self.ledger.requeue(run, reason="a test")
            return
        await self.ledger.fail(run, StopReason.TIMEOUT, "a test")
        self.ended.append(run.run_id)

    def _record_exceeded_caps(self) -> None:
        persons: Counter[UUID | None] = Counter(run.user_id for run in self.live)
        repositories = Counter(run.git_repo for run in self.live if run.git_repo)
        counts_and_caps = (
            (len(self.live), self.caps.fleet),
            (max(persons.values()), self.caps.person),
            (max(repositories.values(), default=0), self.caps.repository),
        )
        if any(cap is not None and count > cap for count, cap in counts_and_caps):
            self.over.append(str(counts_and_caps))

    async def reload(self, run: Run) -> Run:
        async with self.database.sessions() as session:
            return await run_queries.get(session, run.run_id)

    @asynccontextmanager
    async def running_worker(self, *slots: int) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for count in slots:
                await stack.enter_async_context(
                    running_worker(self.database.dsn, self.execute, slots=count)
                )
            yield


@pytest.fixture
async def fleet(database: Database) -> Fleet:
    work = ServiceContext(database, lambda: datetime.now(UTC))
    catalog = await asyncio.to_thread(load_catalog, None)
    fleet = Fleet(
        database,
        work,
        AdmissionService(work),
        RunService(work, catalog),
        Ledger(work, "w1", "h"),
    )
    fleet.gate.set()
    return fleet


async def test_caps_hold_exactly_at_full_speed_and_no_run_is_left(fleet: Fleet) -> None:
    await fleet.admission.set_caps(CAPS)
    people = [await fleet.person(f"P{number}") for number in range(5)]
    repos = [None, "https://example.org/a", "https://example.org/b"]
    fleet.gate.clear()

    async with fleet.running_worker(4, 4, 4):
        started = await asyncio.gather(
            *(
                fleet.start(people[number % 5], repo=repos[number % 3], priority=number % 2)
                for number in range(60)
            )
        )
        for run in started[::7]:
            fleet.requeues.add(run.run_id)
        # The caps are also fully used: five people and enough slots fill the fleet.
        await wait_until(lambda: len(fleet.live) == 6, within=30)
        fleet.gate.set()
        await wait_until(lambda: len(fleet.ended) == 60, within=60)

    assert fleet.over == []
    assert set(fleet.ended) == {run.run_id for run in started}


async def test_waiting_runs_begin_by_priority_and_then_by_age(fleet: Fleet) -> None:
    await fleet.admission.set_caps(Caps(fleet=1))
    fleet.caps = Caps(fleet=1)
    ann = await fleet.person("Ann")
    fleet.gate.clear()
    async with fleet.running_worker(3):
        first = await fleet.start(ann)
        await wait_until(lambda: fleet.begun == [first.run_id])
        waiting = {priority: await fleet.start(ann, priority=priority) for priority in (-5, 0, 7)}
        second = await fleet.start(ann)
        fleet.gate.set()
        await wait_until(lambda: len(fleet.ended) == 5)

    assert fleet.begun[1:] == [run.run_id for run in (waiting[7], waiting[0], second, waiting[-5])]
    assert fleet.over == []


async def test_a_waiting_run_is_killed_at_once_without_admitting_another(
    fleet: Fleet,
) -> None:
    await fleet.admission.set_caps(Caps(fleet=1))
    ann = await fleet.person("Ann")
    fleet.gate.clear()
    async with fleet.running_worker(2):
        first = await fleet.start(ann)
        await wait_until(lambda: fleet.begun == [first.run_id])
        second, third = await fleet.start(ann), await fleet.start(ann)

        kill = await fleet.service.kill(KillRequest(target=second.run_id), by=ann)

        assert kill.phase is Phase.CONFIRMED
        killed = await fleet.reload(second)
        assert (killed.status, killed.job_id, killed.queue_reason) == (
            RunStatus.KILLED,
            None,
            None,
        )
        assert (await fleet.reload(third)).job_id is None
        fleet.gate.set()
        await wait_until(lambda: len(fleet.ended) == 2)

    assert fleet.begun == [first.run_id, third.run_id]


async def test_a_kill_of_a_run_with_a_job_admits_the_next(fleet: Fleet) -> None:
    await fleet.admission.set_caps(Caps(person=1))
    ann = await fleet.person("Ann")
    first, second = await fleet.start(ann), await fleet.start(ann)
    assert (await fleet.reload(second)).job_id is None

    await fleet.service.kill(KillRequest(target=first.run_id), by=ann)

    assert (await fleet.reload(second)).job_id is not None


async def test_concurrent_kills_starts_and_ends_do_not_deadlock(fleet: Fleet) -> None:
    caps = Caps(fleet=4, person=3)
    await fleet.admission.set_caps(caps)
    fleet.caps = caps
    fleet.pause = 0.005
    people = [await fleet.person(f"P{number}", Role.OPERATOR) for number in range(3)]

    async def admit_repeatedly() -> None:
        while True:
            await fleet.admission.admit_waiting()
            await asyncio.sleep(0.05)

    async def start_and_kill(number: int) -> Run:
        by = people[number % 3]
        run = await fleet.start(by)
        if number % 2:
            with suppress(AlreadyEnded):
                await fleet.service.kill(KillRequest(target=run.run_id), by=by)
        return run

    async with fleet.running_worker(4, 4):
        admitting = asyncio.create_task(admit_repeatedly())
        started = await asyncio.gather(*(start_and_kill(number) for number in range(30)))
        unkilled = {run.run_id for run in started[::2]}
        await wait_until(lambda: unkilled <= set(fleet.ended), within=60)
        admitting.cancel()
        await asyncio.wait({admitting})

    # A deadlock would have failed one of the transactions.
    assert fleet.over == []
    assert admitting.cancelled()
