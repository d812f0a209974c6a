"""What runs and workers use, through the API."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.domain.actor import Role
from core.domain.resources.sample import OwnedSample, OwnedUsage, Sample, SampleSource, Usage
from core.domain.runs.run import Run
from core.store.resources import samples
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW, running_run
from tests.worker_rows import WORKER, reported_worker

USAGE = Usage(
    source=SampleSource.PROCESSES,
    sampled_from=NOW,
    sampled_until=NOW + timedelta(seconds=50),
    cpu_seconds=12.3456,
    cpu_peak=1.5,
    memory_peak_bytes=900,
    processes_peak=4,
    read_bytes=7,
    disk_bytes=70,
    disk_peak_bytes=90,
)


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.VIEWER)


def sample(number: int) -> Sample:
    return Sample(
        at=NOW + timedelta(seconds=5 * number),
        seconds=5,
        cpu_seconds=2.5,
        cpu_peak=0.5,
        memory_bytes=100 + number,
        memory_peak_bytes=100 + number,
        processes=3,
        read_bytes=1,
    )


async def sampled_run(api: ApiHarness, count: int) -> Run:
    run = await running_run(api.database)
    await samples.add(
        api.database.reads,
        [OwnedSample(worker_id=WORKER, run=run.id, attempt=1, sample=sample(number))
         for number in range(1, count + 1)],
        [OwnedUsage(run=run.id, attempt=1, worker_id=WORKER, usage=USAGE)],
    )  # fmt: skip
    return run


async def test_a_run_answers_totals_peaks_and_samples(api: ApiHarness, token: str) -> None:
    run = await sampled_run(api, 2)

    reply = await api.get(f"{CONSOLE}/run/{run.run_id}/resources", token)

    assert reply.status == 200
    body = reply.body
    assert (body["run_id"], body["source"], body["step_seconds"]) == (
        run.run_id, "processes", None,
    )  # fmt: skip
    assert body["totals"] == {
        "cpu_seconds": 12.346, "read_bytes": 7, "written_bytes": None, "disk_bytes": 70,
    }  # fmt: skip
    assert body["peaks"] == {"cpu": 1.5, "memory_bytes": 900, "processes": 4, "disk_bytes": 90}
    assert [one["memory_bytes"] for one in body["samples"]] == [101, 102]
    assert body["samples"][0] == {
        "at": "2026-11-21T12:00:05Z", "seconds": 5.0, "cpu": 0.5, "cpu_peak": 0.5,
        "memory_bytes": 101, "memory_peak_bytes": 101, "processes": 3,
        "read_bytes": 1, "written_bytes": None, "disk_bytes": None,
    }  # fmt: skip


async def test_samples_are_joined_to_as_many_points_as_are_asked_for(
    api: ApiHarness, token: str
) -> None:
    run = await sampled_run(api, 10)
    address = f"{CONSOLE}/run/{run.run_id}/resources"

    few = await api.get(f"{address}?points=2", token)
    later = await api.get(f"{address}?since=2026-11-21T12:00:40Z", token)

    assert [one["seconds"] for one in few.body["samples"]] == [25.0, 25.0]
    assert [one["memory_peak_bytes"] for one in few.body["samples"]] == [105, 110]
    assert few.body["step_seconds"] == pytest.approx(22.5)
    assert [one["memory_bytes"] for one in later.body["samples"]] == [109, 110]


async def test_a_run_without_samples_says_so(api: ApiHarness, token: str) -> None:
    run = await running_run(api.database)

    reply = await api.get(f"{CONSOLE}/run/{run.run_id}/resources", token)

    assert reply.body == {
        "run_id": run.run_id, "source": None, "sampled_from": None, "sampled_until": None,
        "totals": None, "peaks": None, "step_seconds": None, "samples": [],
    }  # fmt: skip


@pytest.mark.parametrize("query", ["points=0", "points=2001", "points=x", "since=yesterday"])
async def test_a_wrong_question_is_refused(api: ApiHarness, token: str, query: str) -> None:
    run = await running_run(api.database)

    reply = await api.get(f"{CONSOLE}/run/{run.run_id}/resources?{query}", token)

    assert (reply.status, reply.error) == (400, "invalid_request")


async def test_a_worker_answers_its_own_samples(api: ApiHarness, token: str) -> None:
    await sampled_run(api, 3)
    await reported_worker(api.database)
    await samples.add(api.database.reads, [OwnedSample(worker_id=WORKER, sample=sample(9))], [])

    reply = await api.get(f"/workers/{WORKER}/resources", token)
    unknown = await api.get("/workers/nobody/resources", token)

    assert reply.status == 200
    assert (reply.body["worker_id"], reply.body["step_seconds"]) == (WORKER, None)
    assert [one["memory_bytes"] for one in reply.body["samples"]] == [109]
    assert (unknown.status, unknown.error) == (404, "worker_not_found")
