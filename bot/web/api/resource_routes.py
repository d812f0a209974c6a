"""Routes of what runs and workers use: processors, memory, processes, disks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol

from pydantic import Field

from bot.web.api.values import Moment, RunPath
from bot.web.route import Answer, AnyRoute, Call, Method, NoParameters, Parameters, Route
from core.domain.actor import Action, Actor, Role
from core.domain.resources.sample import (
    DEFAULT_POINTS,
    MAX_POINTS,
    Graph,
    Sample,
    SampleSource,
    Usage,
)
from core.services.fleet.resources import RunResources

WorkerId = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[!-~]+$")]


class WorkerPath(Parameters):
    """A worker's id, as in the list of workers."""

    worker_id: WorkerId


class ResourceQuery(Parameters):
    """Which samples to read."""

    points: Annotated[int, Field(ge=1, le=MAX_POINTS)] = Field(
        default=DEFAULT_POINTS,
        description="The most samples of the answer; more are joined to so many.",
    )
    since: Moment | None = Field(default=None, description="Only samples after this time.")


class SampleAnswer(Answer):
    """What was used in an interval.

    Attributes:
        at: Its end.
        seconds: Its length, as far as there was something to measure.
        cpu: How many processors were busy, on average.
        cpu_peak: The most of that over the time between two looks.
        memory_bytes: The mean.
        memory_peak_bytes: The most that a look found.
        processes: The most that a look found.
        read_bytes: Read from disks in the interval; `null` if unknown.
        written_bytes: Written to disks in the interval; `null` if unknown.
        disk_bytes: What the workspace takes, or of a worker all that is on the disk of its home;
            `null` if it was not measured.
    """

    at: datetime
    seconds: float
    cpu: float
    cpu_peak: float
    memory_bytes: int
    memory_peak_bytes: int
    processes: int
    read_bytes: int | None
    written_bytes: int | None
    disk_bytes: int | None


class TotalsAnswer(Answer):
    """What all attempts of a run have used together.

    Attributes:
        disk_bytes: What the workspace took last; `null` if it was not measured.
    """

    cpu_seconds: float
    read_bytes: int | None
    written_bytes: int | None
    disk_bytes: int | None


class PeaksAnswer(Answer):
    """The most that a run used at a time.

    Attributes:
        cpu: Busy processors, on average over the time between two looks.
        memory_bytes: At least what one process of it held at any time, also between two looks.
    """

    cpu: float
    memory_bytes: int
    processes: int
    disk_bytes: int | None


class RunResourcesAnswer(Answer):
    """What a run uses, oldest sample first.

    Attributes:
        source: Whether the run has a control group of its own, or its processes were counted;
            `null` before the first sample, as are `totals` and `peaks`.
        step_seconds: The intervals into which samples were joined for this answer; `null` if they
            are as stored.
    """

    run_id: str
    source: SampleSource | None
    sampled_from: datetime | None
    sampled_until: datetime | None
    totals: TotalsAnswer | None
    peaks: PeaksAnswer | None
    step_seconds: float | None
    samples: list[SampleAnswer]


class WorkerResourcesAnswer(Answer):
    """What a worker's own process uses, without its agents; oldest sample first.

    Attributes:
        step_seconds: As for a run.
    """

    worker_id: str
    step_seconds: float | None
    samples: list[SampleAnswer]


class ResourceReader(Protocol):
    """Reads samples; see `ResourceService`."""

    async def of_run(
        self, target: str, *, by: Actor, points: int, since: datetime | None
    ) -> RunResources:
        """What a run has used."""
        ...

    async def of_worker(
        self, worker_id: str, *, by: Actor, points: int, since: datetime | None
    ) -> Graph:
        """What a worker itself has used."""
        ...


@dataclass(frozen=True)
class ResourceRoutes:
    """Answers what is used."""

    resources: ResourceReader

    async def of_run(self, call: Call[RunPath, ResourceQuery, NoParameters]) -> RunResourcesAnswer:
        """What a run uses."""
        query = call.query
        found = await self.resources.of_run(
            call.path.run_id, by=call.actor, points=query.points, since=query.since
        )
        usage = found.usage
        return RunResourcesAnswer(
            run_id=found.run.run_id,
            source=None if usage is None else usage.source,
            sampled_from=None if usage is None else usage.sampled_from,
            sampled_until=None if usage is None else usage.sampled_until,
            totals=None if usage is None else _totals(usage),
            peaks=None if usage is None else _peaks(usage),
            step_seconds=_step(found.graph),
            samples=_samples(found.graph.samples),
        )

    async def of_worker(
        self, call: Call[WorkerPath, ResourceQuery, NoParameters]
    ) -> WorkerResourcesAnswer:
        """What a worker uses."""
        query = call.query
        found = await self.resources.of_worker(
            call.path.worker_id, by=call.actor, points=query.points, since=query.since
        )
        return WorkerResourcesAnswer(
            worker_id=call.path.worker_id,
            step_seconds=_step(found),
            samples=_samples(found.samples),
        )

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            _route(
                "/workflows/claude-code/run/{run_id}/resources",
                "get_run_resources",
                "What the processes of a run use",
                "Runs",
                RunPath,
                RunResourcesAnswer,
                self.of_run,
            ),
            _route(
                "/workers/{worker_id}/resources",
                "get_worker_resources",
                "What a worker's own process uses",
                "Console",
                WorkerPath,
                WorkerResourcesAnswer,
                self.of_worker,
            ),
        ]


def _route(  # noqa: PLR0917 - a row of the table above
    path: str,
    name: str,
    summary: str,
    tag: str,
    path_parameters: type[Any],
    answer: type[Answer],
    handler: Any,
) -> AnyRoute:
    return Route(
        method=Method.GET,
        path=path,
        name=name,
        summary=summary,
        tag=tag,
        role=Role.VIEWER,
        action=Action.VIEW,
        path_parameters=path_parameters,
        query=ResourceQuery,
        body=NoParameters,
        answer=answer,
        handler=handler,
    )


def _step(graph: Graph) -> float | None:
    return None if graph.step is None else round(graph.step.total_seconds(), 3)


def _totals(usage: Usage) -> TotalsAnswer:
    return TotalsAnswer(
        cpu_seconds=round(usage.cpu_seconds, 3),
        read_bytes=usage.read_bytes,
        written_bytes=usage.written_bytes,
        disk_bytes=usage.disk_bytes,
    )


def _peaks(usage: Usage) -> PeaksAnswer:
    return PeaksAnswer(
        cpu=round(usage.cpu_peak, 3),
        memory_bytes=usage.memory_peak_bytes,
        processes=usage.processes_peak,
        disk_bytes=usage.disk_peak_bytes,
    )


def _samples(samples: Iterable[Sample]) -> list[SampleAnswer]:
    return [
        SampleAnswer(
            at=one.at,
            seconds=round(one.seconds, 3),
            cpu=round(one.cpu, 3),
            cpu_peak=round(one.cpu_peak, 3),
            memory_bytes=one.memory_bytes,
            memory_peak_bytes=one.memory_peak_bytes,
            processes=one.processes,
            read_bytes=one.read_bytes,
            written_bytes=one.written_bytes,
            disk_bytes=one.disk_bytes,
        )
        for one in samples
    ]
