"""Samples in the database: stored, read, thinned and deleted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from core.domain.actor import SYSTEM
from core.domain.fleet.workers import WorkerNotFound
from core.domain.resources.policy import THINNINGS, floor_to
from core.domain.resources.sample import OwnedSample, OwnedUsage, Sample, SampleSource, Usage
from core.domain.retention import DEFAULT_RETENTION, RetentionPolicy
from core.services.context import ServiceContext
from core.services.fleet.resources import ResourceService, ResourceThinning
from core.store.database.engine import Database
from core.store.resources import samples
from core.store.resources import thinning as thinning_rows
from core.store.tables.resources.samples import SampleRow
from tests.database import NOW, running_run

FIVE = timedelta(seconds=5)


def sample_at(at: datetime, **fields: Any) -> Sample:
    values: dict[str, Any] = {
        "seconds": 5.0, "cpu_seconds": 1.0, "cpu_peak": 0.2, "memory_bytes": 100,
        "memory_peak_bytes": 100, "processes": 2, "read_bytes": 10, "written_bytes": 20,
        "disk_bytes": 1000,
    }  # fmt: skip
    return Sample(at=at, **(values | fields))


USAGE = Usage(
    source=SampleSource.PROCESSES,
    sampled_from=NOW - FIVE,
    sampled_until=NOW,
    cpu_seconds=7.5,
    cpu_peak=1.5,
    memory_peak_bytes=5 * 10**9,
    processes_peak=9,
    read_bytes=None,
    written_bytes=8,
)


@dataclass(frozen=True)
class Stored:
    """A row of `resource_samples`."""

    run: UUID | None
    step: int
    sample: Sample


async def add(
    database: Database, owned: Sequence[OwnedSample], used: Sequence[OwnedUsage] = ()
) -> None:
    await samples.add(database.reads, owned, used)


async def add_of(database: Database, run: UUID | None, found: Sequence[Sample]) -> None:
    attempt = None if run is None else 1
    await add(
        database,
        [OwnedSample(worker_id="w1", run=run, attempt=attempt, sample=one) for one in found],
    )


async def stored(database: Database) -> list[Stored]:
    async with database.sessions() as session:
        rows = await session.scalars(text("SELECT to_jsonb(s) FROM resource_samples s"))
        found = [
            Stored(
                run=None if row["run_id"] is None else UUID(row["run_id"]),
                step=row["step_seconds"],
                sample=Sample(
                    at=datetime.fromisoformat(row["at"]),
                    **{name: row[name] for name in samples.SAMPLED if name != "at"},
                ),
            )
            for row in rows
        ]
    return sorted(found, key=lambda one: (str(one.run), one.sample.at))


def service(database: Database) -> ResourceService:
    return ResourceService(ServiceContext(database, lambda: NOW))


def thinning(
    database: Database,
    now: datetime = NOW,
    *,
    batch: int = 5000,
    retention: RetentionPolicy = DEFAULT_RETENTION,
) -> ResourceThinning:
    return ResourceThinning(ServiceContext(database, lambda: now), retention, batch)


async def test_samples_and_usage_are_read_as_they_were_stored(database: Database) -> None:
    run = await running_run(database)
    first = sample_at(NOW - FIVE, read_bytes=None, disk_bytes=None)
    second = sample_at(NOW, memory_bytes=3 * 10**12, memory_peak_bytes=3 * 10**12)
    owned = [OwnedSample(worker_id="w1", run=run.id, attempt=1, sample=one)
             for one in (second, first)]  # fmt: skip

    await add(database, owned, [OwnedUsage(run=run.id, attempt=1, worker_id="w1", usage=USAGE)])

    found = await service(database).of_run(run.run_id, by=SYSTEM)
    assert found.run.id == run.id
    assert found.graph.samples == (first, second)
    assert found.graph.step is None
    assert found.usage == USAGE


async def test_usage_is_replaced_and_that_of_attempts_is_added_up(database: Database) -> None:
    run = await running_run(database)
    later = replace(USAGE, cpu_seconds=10.0, processes_peak=11, sampled_until=NOW + FIVE)

    for attempt, usage in ((1, USAGE), (1, later), (2, USAGE)):
        await add(
            database, [], [OwnedUsage(run=run.id, attempt=attempt, worker_id="w1", usage=usage)]
        )

    both = (await service(database).of_run(run.run_id, by=SYSTEM)).usage
    assert both is not None
    assert (both.cpu_seconds, both.processes_peak, both.written_bytes) == (17.5, 11, 16)
    assert both.sampled_until == NOW + FIVE


async def test_the_usage_of_a_run_that_is_gone_is_left_out(database: Database) -> None:
    run = await running_run(database)
    gone, here = (
        OwnedUsage(run=one, attempt=1, worker_id="w1", usage=USAGE) for one in (uuid4(), run.id)
    )

    await add(database, [], [gone, here])

    assert (await service(database).of_run(run.run_id, by=SYSTEM)).usage == USAGE


async def test_a_run_without_samples_has_none(database: Database) -> None:
    run = await running_run(database)
    await add_of(database, None, [sample_at(NOW)])

    found = await service(database).of_run(run.run_id, by=SYSTEM)

    assert (found.usage, found.graph.samples) == (None, ())


@pytest.mark.parametrize("points", [1, 2, 7, 99, 100, 2000])
async def test_an_answer_has_no_more_points_than_are_asked_for_and_every_peak(
    database: Database, points: int
) -> None:
    run = await running_run(database)
    found = [
        sample_at(
            NOW + number * FIVE,
            memory_bytes=number,
            memory_peak_bytes=number * (9 if number == 41 else 1),
            cpu_peak=8.0 if number == 77 else 0.5,
        )
        for number in range(100)
    ]
    await add_of(database, run.id, found)

    graph = (await service(database).of_run(run.run_id, by=SYSTEM, points=points)).graph

    assert len(graph.samples) <= points
    assert len(graph.samples) >= min(points, 100) / 2
    assert (graph.step is None) == (points >= 100)
    assert max(one.memory_peak_bytes for one in graph.samples) == 41 * 9
    assert max(one.cpu_peak for one in graph.samples) == 8.0
    assert sum(one.cpu_seconds for one in graph.samples) == pytest.approx(100)
    assert sum(one.read_bytes or 0 for one in graph.samples) == 1000
    assert [one.at for one in graph.samples] == sorted(one.at for one in graph.samples)


async def test_only_what_came_after_a_time_is_read(database: Database) -> None:
    run = await running_run(database)
    await add_of(database, run.id, [sample_at(NOW), sample_at(NOW + FIVE)])

    graph = (await service(database).of_run(run.run_id, by=SYSTEM, since=NOW)).graph

    assert [one.at for one in graph.samples] == [NOW + FIVE]


async def test_an_unknown_worker_is_not_found(database: Database) -> None:
    with pytest.raises(WorkerNotFound):
        await service(database).of_worker("nobody", by=SYSTEM)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("batch", [1, 50, 5000])
async def test_thinning_keeps_every_peak_and_every_total_of_an_interval(
    database: Database, seed: int, batch: int
) -> None:
    random = Random(seed)
    runs = [uuid4(), uuid4(), None]
    before: list[tuple[UUID | None, Sample]] = []
    for run in runs:
        for ages in ((0, 3600), (3600, 86_400), (86_400, 3 * 86_400)):
            for _ in range(60):
                age = timedelta(seconds=random.uniform(*ages))
                sample = sample_at(
                    NOW - age,
                    seconds=random.uniform(0.1, 9),
                    cpu_seconds=random.uniform(0, 9),
                    cpu_peak=random.uniform(0, 16),
                    memory_bytes=random.randrange(10**11),
                    memory_peak_bytes=random.randrange(10**11),
                    processes=random.randrange(1, 90),
                    read_bytes=random.choice((None, random.randrange(10**10))),
                    disk_bytes=random.choice((None, random.randrange(10**10))),
                )
                before.append((run, sample))
    for run in runs:
        await add_of(database, run, [sample for owner, sample in before if owner == run])

    await thinning(database, batch=batch).thin()

    rows = await stored(database)
    cuts = [one.cut(NOW) for one in THINNINGS]
    expected: dict[tuple[UUID | None, datetime, int], list[Sample]] = {}
    for run, sample in before:
        step = 600 if sample.at < cuts[1] else 60 if sample.at < cuts[0] else 0
        start = floor_to(sample.at, timedelta(seconds=step)) if step else sample.at
        expected.setdefault((run, start, step), []).append(sample)
    assert len(rows) == len(expected)
    for row in rows:
        start = floor_to(row.sample.at, timedelta(seconds=row.step)) if row.step else row.sample.at
        parts = expected[row.run, start, row.step]
        one = row.sample
        assert one.cpu_peak == max(part.cpu_peak for part in parts)
        assert one.memory_peak_bytes == max(part.memory_peak_bytes for part in parts)
        assert one.processes == max(part.processes for part in parts)
        assert one.disk_bytes == max(
            (part.disk_bytes for part in parts if part.disk_bytes is not None), default=None
        )
        known = [part.read_bytes for part in parts if part.read_bytes is not None]
        assert one.read_bytes == (sum(known) if known else None)
        assert one.written_bytes == sum(part.written_bytes or 0 for part in parts)
        assert one.seconds == pytest.approx(sum(part.seconds for part in parts))
        assert one.cpu_seconds == pytest.approx(sum(part.cpu_seconds for part in parts))
        mean = sum(part.memory_bytes * part.seconds for part in parts) / one.seconds
        assert one.memory_bytes == pytest.approx(mean, abs=1)
        assert one.at == max(part.at for part in parts)


async def fill(database: Database, run: UUID, *, days: int) -> None:
    """One sample every 5 s for some days until now."""
    async with database.sessions.begin() as session:
        await session.execute(
            text("""
                INSERT INTO resource_samples (worker_id, run_id, attempt, at, step_seconds, seconds,
                    cpu_seconds, cpu_peak, memory_bytes, memory_peak_bytes, processes)
                SELECT 'w1', :run, 1, at, 0, 5, 1, 0.2, 10, 10, 1
                FROM generate_series(CAST(:first AS timestamptz), :last, '5 s') AS at
            """),
            {"run": run, "first": NOW - timedelta(days=days), "last": NOW},
        )


async def test_a_run_of_three_days_has_some_thousand_samples_and_later_fewer(
    database: Database,
) -> None:
    await fill(database, uuid4(), days=3)

    await thinning(database).thin()
    first = len(await stored(database))
    await thinning(database).thin()
    again = len(await stored(database))
    await thinning(database, NOW + timedelta(days=3)).thin()
    rows = await stored(database)

    assert 720 + 1380 + 288 <= first <= 720 + 1380 + 288 + 30
    assert again == first
    assert len(rows) == 3 * 144 + 1
    assert {row.step for row in rows} == {600}
    assert sum(row.sample.cpu_seconds for row in rows) == pytest.approx(3 * 17_280 + 1)


async def test_samples_are_deleted_at_the_end_of_their_time_and_usage_stays(
    database: Database,
) -> None:
    run = await running_run(database)
    kept = timedelta(days=7)
    await add(database, [], [OwnedUsage(run=run.id, attempt=1, worker_id="w1", usage=USAGE)])
    old, young = NOW - kept - timedelta(hours=1), NOW - kept + timedelta(hours=1)
    await add_of(database, run.id, [sample_at(old), sample_at(young)])
    await add_of(database, None, [sample_at(old)])

    none = await thinning(database, retention=RetentionPolicy(samples=None)).thin()
    usual = await thinning(database).thin()
    deleted = await thinning(database, retention=RetentionPolicy(samples=kept)).thin()

    assert (none, usual, deleted) == (0, 0, 2)
    assert [row.sample.at for row in await stored(database)] == [young]
    assert (await service(database).of_run(run.run_id, by=SYSTEM)).usage == USAGE


async def test_samples_are_found_by_index(database: Database) -> None:
    async with database.sessions.begin() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        for condition, index in (
            (f"run_id = '{uuid4()}'", "run_id"),
            ("run_id IS NULL AND worker_id = 'w1'", "worker_id"),
            ("step_seconds = ANY('{0,60}') AND at < now()", "step_seconds"),
        ):
            plan = await session.scalars(
                text(f"EXPLAIN SELECT * FROM {SampleRow.__tablename__} WHERE {condition}")
            )
            assert f"idx_resource_samples_{index}" in "\n".join(plan)


def logged(caplog: pytest.LogCaptureFixture) -> list[object]:
    """The events of all log lines."""
    return [entry.__dict__.get("event") for entry in caplog.records]


async def test_the_oldest_samples_are_found_without_a_look_at_all_others(
    database: Database,
) -> None:
    await fill(database, uuid4(), days=1)
    async with database.sessions.begin() as session:
        await session.execute(text("ANALYZE resource_samples"))

        plan = await session.scalars(
            text(f"EXPLAIN (ANALYZE) {thinning_rows.OLDEST.text}"),
            {"finer": [0, 60], "cut": NOW, "limit": 10},
        )

        lines = "\n".join(plan)
        assert "Seq Scan on resource_samples" not in lines
        assert "actual" in lines
        assert max(map(float, re.findall(r"actual time=\S+ rows=(\d+)", lines))) <= 11
