"""From looks at one tree of processes to samples, peaks and totals.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from core.domain.resources.sample import Look, Sample, Usage, most

# Between two looks that are nearer, the ticks of the kernel's clock make the rates meaningless.
_LEAST = timedelta(seconds=0.05)


@dataclass(frozen=True, kw_only=True)
class Metered:
    """What is known of a tree after some looks.

    The counters only grow: a process that ended without being waited for takes what it used out of
    the sum of those that are alive, and that is not given back.

    Attributes:
        began_at: When the tree began.
        at: The last look.
        look: Its counters, each the highest so far; `None` before the first look.
        usage: Peaks and totals; `None` before the first look.
    """

    began_at: datetime
    at: datetime
    look: Look | None = None
    usage: Usage | None = None

    @classmethod
    def since(cls, began_at: datetime) -> Metered:
        """A tree of which nothing is known but its beginning."""
        return cls(began_at=began_at, at=began_at)

    def after(
        self, look: Look, *, at: datetime, disk_bytes: int | None = None
    ) -> tuple[Metered, Sample | None]:
        """Take in a look.

        Returns:
            What is known now, and the sample of the interval that ends now; `None` if it is too
            short, and then nothing has changed.
        """
        interval = at - self.at
        if interval < _LEAST:
            return self, None
        before = self.look
        seconds = interval.total_seconds()
        cpu_total = max(look.cpu_seconds, before.cpu_seconds if before else 0.0)
        used = cpu_total - (before.cpu_seconds if before else 0.0)
        read = most(look.read_bytes, before.read_bytes if before else None)
        written = most(look.written_bytes, before.written_bytes if before else None)
        sample = Sample(
            at=at,
            seconds=seconds,
            cpu_seconds=used,
            cpu_peak=used / seconds,
            memory_bytes=look.memory_bytes,
            memory_peak_bytes=look.memory_bytes,
            processes=look.processes,
            read_bytes=_grown(before.read_bytes if before else None, read),
            written_bytes=_grown(before.written_bytes if before else None, written),
            disk_bytes=disk_bytes,
        )
        counters = Look(
            cpu_seconds=cpu_total,
            memory_bytes=look.memory_bytes,
            processes=look.processes,
            read_bytes=read,
            written_bytes=written,
            source=look.source,
        )
        return (
            Metered(
                began_at=self.began_at,
                at=at,
                look=counters,
                usage=self._usage(counters, sample, look.largest_bytes),
            ),
            sample,
        )

    def _usage(self, counters: Look, sample: Sample, largest_bytes: int) -> Usage:
        before = self.usage
        return Usage(
            source=counters.source,
            sampled_from=self.began_at,
            sampled_until=sample.at,
            cpu_seconds=counters.cpu_seconds,
            cpu_peak=max(sample.cpu_peak, before.cpu_peak if before else 0.0),
            # A process can have held more between two looks than all of them did at either.
            memory_peak_bytes=max(
                sample.memory_peak_bytes,
                largest_bytes,
                before.memory_peak_bytes if before else 0,
            ),
            processes_peak=max(sample.processes, before.processes_peak if before else 0),
            read_bytes=counters.read_bytes,
            written_bytes=counters.written_bytes,
            disk_bytes=(
                sample.disk_bytes
                if sample.disk_bytes is not None or before is None
                else before.disk_bytes
            ),
            disk_peak_bytes=most(sample.disk_bytes, before.disk_peak_bytes if before else None),
        )


def _grown(before: int | None, now: int | None) -> int | None:
    return None if now is None else now - (before or 0)
