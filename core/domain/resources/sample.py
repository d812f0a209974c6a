"""What processes use: a look at them, and samples, the difference of two looks.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

# With more samples of a run than that, an answer is no longer a graph for people.
MAX_POINTS = 2_000
DEFAULT_POINTS = 240


class SampleSource(StrEnum):
    """Where the numbers of a run come from.

    Attributes:
        CGROUP: The control group (v2) of the run, which counts everything that was ever in it.
        PROCESSES: The processes that are alive, each with its children that have ended.
    """

    CGROUP = "cgroup"
    PROCESSES = "processes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a tree of processes uses at one moment, and has used until then.

    Attributes:
        cpu_seconds: User and system time since its beginning, with processes that have ended.
        memory_bytes: What its processes hold in memory: their own pages, and those that they share
            with each other once.
        largest_bytes: The most that a process which is alive has ever held.
        processes: How many are alive.
        read_bytes: Read from disks since its beginning; `None` if that may not be read.
        written_bytes: The same for writing.
    """

    cpu_seconds: float
    memory_bytes: int
    processes: int
    largest_bytes: int = 0
    read_bytes: int | None = None
    written_bytes: int | None = None
    source: SampleSource = SampleSource.PROCESSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was used in an interval.

    Attributes:
        at: The end of the interval.
        seconds: Its length; of several samples in one, the sum of theirs.
        cpu_seconds: Processor time in the interval.
        cpu_peak: The most processors that were busy, on average over one look's interval.
        memory_bytes: The mean.
        memory_peak_bytes: The most that a look found.
        processes: The most that a look found.
        read_bytes: Read from disks in the interval; `None` if unknown.
        written_bytes: The same for writing.
        disk_bytes: The most that the workspace took; `None` if it was not measured.
    """

    at: datetime
    seconds: float
    cpu_seconds: float
    cpu_peak: float
    memory_bytes: int
    memory_peak_bytes: int
    processes: int
    read_bytes: int | None = None
    written_bytes: int | None = None
    disk_bytes: int | None = None

    @property
    def cpu(self) -> float:
        """The mean number of busy processors."""
        return self.cpu_seconds / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Peaks and totals of an attempt, or of all attempts of a run.

    Attributes:
        sampled_from: The start of the first interval.
        sampled_until: The end of the last one.
        disk_bytes: What the workspace took last; `None` if it was not measured.
    """

    source: SampleSource
    sampled_from: datetime
    sampled_until: datetime
    cpu_seconds: float
    cpu_peak: float
    memory_peak_bytes: int
    processes_peak: int
    read_bytes: int | None = None
    written_bytes: int | None = None
    disk_bytes: int | None = None
    disk_peak_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class OwnedSample:
    """A sample, and whose it is.

    Attributes:
        worker_id: The worker that took it.
        run: The run's row, with the number of the attempt; `None` if it is of the worker itself.
    """

    worker_id: str
    sample: Sample
    run: UUID | None = None
    attempt: int | None = None


@dataclass(frozen=True, kw_only=True)
class OwnedUsage:
    """What an attempt has used."""

    run: UUID
    attempt: int
    worker_id: str
    usage: Usage


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Samples of a run or a worker, oldest first.

    Attributes:
        step: The interval into which samples were joined so that they are few enough; `None` if
            they are as stored.
    """

    samples: tuple[Sample, ...]
    step: timedelta | None


def most(one: int | None, other: int | None) -> int | None:
    """The larger number; `None` is unknown."""
    known = [number for number in (one, other) if number is not None]
    return max(known, default=None)


def total(one: int | None, other: int | None) -> int | None:
    """The sum of what is known; `None` if nothing is."""
    known = [number for number in (one, other) if number is not None]
    return sum(known) if known else None


def joined(one: Usage, later: Usage) -> Usage:
    """The peaks and totals of two attempts together."""
    return Usage(
        source=later.source,
        sampled_from=min(one.sampled_from, later.sampled_from),
        sampled_until=max(one.sampled_until, later.sampled_until),
        cpu_seconds=one.cpu_seconds + later.cpu_seconds,
        cpu_peak=max(one.cpu_peak, later.cpu_peak),
        memory_peak_bytes=max(one.memory_peak_bytes, later.memory_peak_bytes),
        processes_peak=max(one.processes_peak, later.processes_peak),
        read_bytes=total(one.read_bytes, later.read_bytes),
        written_bytes=total(one.written_bytes, later.written_bytes),
        disk_bytes=one.disk_bytes if later.disk_bytes is None else later.disk_bytes,
        disk_peak_bytes=most(one.disk_peak_bytes, later.disk_peak_bytes),
    )
